package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// subscriptions judges S14: what a subscriber has after each event, by the events alone from
// the first one on, is what was desired at the revision of that event; and no event
// tells what was told before.
func subscriptions(a *account) Result {
	f := find("S14")
	type stream struct {
		subscriber string
		number     int64
	}
	told := map[stream][]*history.Event{}
	for i := range a.h.Events {
		e := &a.h.Events[i]
		told[stream{e.Subscriber, e.Stream}] = append(told[stream{e.Subscriber, e.Stream}], e)
	}
	for _, of := range slices.SortedFunc(maps.Keys(told), func(x, y stream) int {
		return cmp.Or(cmp.Compare(x.subscriber, y.subscriber), cmp.Compare(x.number, y.number))
	}) {
		s := &subscriber{account: a, findings: f, name: of.subscriber, has: map[string]string{}}
		for _, e := range told[of] {
			s.take(e)
		}
	}
	if !a.whole && a.unsolved > 0 && len(told) > 0 {
		f.cannot("no log was read from its first entry on: the fate of %d writes is not known, and %d objects were not judged", a.unsolved, len(a.doubtful))
	}
	return f.result
}

// subscriber is who was told of events, and what he has by them.
type subscriber struct {
	*account
	*findings
	name string
	// has are the values of objects.
	has  map[string]string
	last *history.Event
}

func (s *subscriber) wrong(e *history.Event, format string, args ...any) {
	s.add(e.At, s.tellEvents(s.last, e), "subscriber "+s.name+": "+format, args...)
}

func (s *subscriber) take(e *history.Event) {
	s.result.Checked++
	if !e.Over {
		s.order(e)
		s.replay(e)
	}
	s.compare(e)
	s.last = e
}

// order finds events that are missing, or came twice or too late.
func (s *subscriber) order(e *history.Event) {
	switch {
	case s.last == nil && (!e.Current || e.N != 1):
		s.wrong(e, "the first event has number %d, and is not the state as it is", e.N)
	case s.last == nil:
	case e.Current:
		s.wrong(e, "event %d is the state as it is, which was told before", e.N)
	case e.N != s.last.N+1:
		s.wrong(e, "event %d follows event %d", e.N, s.last.N)
	case e.Revision < s.last.Revision:
		s.wrong(e, "event %d is of revision %d, and the one before it of %d", e.N, e.Revision, s.last.Revision)
	}
}

// replay does what an event tells.
func (s *subscriber) replay(e *history.Event) {
	for _, path := range e.Removed {
		names := append(strings.Split(path, "."), "", "", "")
		if names[0] != "desiredState" || names[3] != "" && names[3] != "runtimeConfig" {
			continue
		}
		maps.DeleteFunc(s.has, func(name, _ string) bool {
			return history.IsConfig(name) == (names[1] == "configs") && (names[2] == "" || names[2] == name)
		})
	}
	for _, o := range e.Put {
		if s.has[o.Name] == o.Value {
			s.wrong(e, "event %d tells that %s became %s, which was told before", e.N, o.Name, o.Value)
		}
		s.has[o.Name] = o.Value
	}
}

// compare holds what he has against what was desired at the revision of an event.
func (s *subscriber) compare(e *history.Event) {
	for name := range s.versions {
		if s.doubtful[name] || e.Workloads && history.IsConfig(name) {
			continue
		}
		v, there := s.at(name, e.Revision)
		if value, has := s.has[name]; has != there || value != v.value {
			s.wrong(e, "by the events %s is %s at revision %d, and was %s", name, cmp.Or(value, "not there"), e.Revision, describeVersion(name, v, there))
			// What follows from that is not told again and again.
			if s.has[name] = v.value; !there {
				delete(s.has, name)
			}
		}
	}
}

func (a *account) tellEvents(events ...*history.Event) []string {
	var all []string
	for _, e := range events {
		if e == nil {
			continue
		}
		text := fmt.Sprintf("%s: %s #%d.%d was told of revision %d", a.when(e.At), e.Subscriber, e.Stream, e.N, e.Revision)
		if e.Restarted {
			text += ", started again from a snapshot"
		}
		if len(e.Put) <= 5 {
			text += ", put " + describeObjects(e.Put)
		}
		if len(e.Removed) > 0 && len(e.Removed) <= 5 {
			text += ", removed " + strings.Join(e.Removed, " ")
		}
		all = append(all, text)
	}
	return all
}
