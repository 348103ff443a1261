package check

import (
	"slices"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// sessions judges S5: what a client is told never goes back, whoever answers. A
// write that it makes later has a higher revision than all it has seen. Reads
// that may be old go back only when they are answered by another server, or by
// one that was started again.
func sessions(a *account) Result {
	f := find("S5")
	type session struct {
		newest *history.Operation
		// before are the newest answers before the first try of each request.
		before map[string]*history.Operation
		stale  map[string]*history.Operation
	}
	all := map[string]*session{}
	for i := range a.h.Operations {
		o := &a.h.Operations[i]
		s := all[o.Client]
		if s == nil {
			s = &session{before: map[string]*history.Operation{}, stale: map[string]*history.Operation{}}
			all[o.Client] = s
		}
		if isWrite(o) && o.Request != "" {
			if _, again := s.before[o.Request]; !again {
				s.before[o.Request] = s.newest
			}
		}
		if o.Outcome != history.Done || o.Revision == 0 || o.Action == history.Ask {
			continue
		}
		f.result.Checked++
		switch {
		case o.Stale:
			last := s.stale[o.AnsweredBy]
			if last != nil && o.Revision < last.Revision && !a.restarted(o.Server, last.Call, o.Return) {
				f.add(o.Return, a.tell(last, o), "%s was shown revision %d by a server, and then %d", o.Client, last.Revision, o.Revision)
			}
			s.stale[o.AnsweredBy] = o
			continue
		case isWrite(o):
			newest := s.newest
			if o.Request != "" {
				newest = s.before[o.Request]
			}
			if newest != nil && o.Revision <= newest.Revision {
				f.add(o.Return, a.tell(newest, o), "%s had seen revision %d, and its write after that has %d", o.Client, newest.Revision, o.Revision)
			}
		case s.newest != nil && o.Revision < s.newest.Revision:
			f.add(o.Return, a.tell(s.newest, o), "%s had seen revision %d, and then read %d", o.Client, s.newest.Revision, o.Revision)
		}
		if s.newest == nil || o.Revision > s.newest.Revision {
			s.newest = o
		}
	}
	return f.result
}

// restarted tells whether a fault may have ended a server between two times. It
// begins with its newest snapshot then.
func (a *account) restarted(server string, from, to history.Micros) bool {
	return slices.ContainsFunc(a.h.Faults, func(fault history.Fault) bool {
		return !fault.Skipped && fault.Begun <= to && (fault.Healed == 0 || fault.Healed.Add(settling) >= from) &&
			(server == "" || slices.Contains(fault.Targets, server)) && !onlyNetwork(fault.Kind)
	})
}
