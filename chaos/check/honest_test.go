package check

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// store is a cluster that does everything right, one thing after the other, and
// the clients that it answers.
type store struct {
	rand    *rand.Rand
	h       *history.History
	log     []history.Entry
	objects map[string]history.Object
	answers map[string]history.Operation
	index   uint64
	events  events
	serial  int
	last    uint64
	ops     int
}

// event is something that happens at a time.
type event struct {
	at history.Micros
	do func(now history.Micros)
	n  int
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

func (s *store) after(now history.Micros, most int, do func(now history.Micros)) {
	s.serial++
	heap.Push(&s.events, event{now + 1 + history.Micros(s.rand.IntN(most)), do, s.serial})
}

const servers = 3

// honest makes a history in which nothing is wrong: so many operations of some
// clients, watchers, and in the end what each replica had.
func honest(seed uint64, operations, clients, objects int) *history.History {
	s := &store{
		rand: rand.New(rand.NewPCG(seed, 1)), objects: map[string]history.Object{}, answers: map[string]history.Operation{}, index: 3,
		h: &history.History{Meta: history.Meta{Version: history.Version, Began: 1, Whole: true}}, ops: operations,
	}
	for i := range clients {
		c := &client{store: s, name: fmt.Sprintf("client-%d", i), objects: objects}
		s.after(1, 1000, c.call)
	}
	watchers := make([]*watcher, servers)
	for i := range watchers {
		watchers[i] = &watcher{store: s, name: fmt.Sprintf("watcher-%d", i), server: fmt.Sprintf("server-%d", i+1)}
		s.after(1, 5000, watchers[i].begin)
	}
	var now history.Micros
	for len(s.events) > 0 {
		e := heap.Pop(&s.events).(event)
		now = e.at
		e.do(now)
	}
	for _, w := range watchers {
		w.see(now + 10)
	}
	s.h.Meta.Quiet, s.h.Meta.Ended = now+1, now+100
	s.h.Leaderships = []history.Leadership{{Server: "server-1", ID: "id-1", Term: 2, Gained: true, At: 2}}
	for i := 1; i <= servers; i++ {
		r := history.Replica{Server: fmt.Sprintf("server-%d", i), ID: fmt.Sprintf("id-%d", i), Revision: s.index, Hash: fmt.Sprint("hash", s.index), First: 1, Last: s.index}
		r.Entries = slices.Clone(s.log)
		for _, o := range s.objects {
			r.Objects = append(r.Objects, o)
		}
		r.Hashes = []history.IndexHash{{Index: s.index / 2, Hash: "half"}, {Index: s.index, Hash: r.Hash}}
		r.Snapshots = []history.SnapshotHash{{Index: s.index / 2, Said: "half", Had: "half"}}
		s.h.Replicas = append(s.h.Replicas, r)
	}
	slices.SortStableFunc(s.h.Operations, func(a, b history.Operation) int { return int(a.Call - b.Call) })
	slices.SortStableFunc(s.h.Sights, func(a, b history.Sight) int { return int(a.At - b.At) })
	return s.h
}

type client struct {
	*store
	name    string
	n       int64
	objects int
	known   uint64
}

func (c *client) call(now history.Micros) {
	if c.ops--; c.ops < 0 {
		return
	}
	c.n++
	o := history.Operation{Client: c.name, N: c.n, Call: now, Outcome: history.Done, Term: 2}
	name := func() string { return fmt.Sprintf("object-%d", c.rand.IntN(c.objects)) }
	switch kind := c.rand.IntN(10); {
	case kind < 4:
		o.Action, o.Objects = history.Apply, []string{name()}
		if c.rand.IntN(4) == 0 {
			o.Objects = append(o.Objects, o.Objects[0]+"b")
		}
		for i := range o.Objects {
			o.Values = append(o.Values, fmt.Sprintf("%s-%d-%d", c.name, c.n, i))
		}
		switch c.rand.IntN(6) {
		case 0, 1:
			if was := c.store.objects[o.Objects[0]]; len(o.Objects) == 1 {
				o.Expected = was.Revision
			}
		case 2:
			o.MustNotExist = true
		case 3:
			o.ExpectedState = c.known
		}
	case kind < 5:
		o.Action, o.Objects, o.IgnoreMissing = history.Delete, []string{name()}, c.rand.IntN(2) == 0
	case kind < 9:
		o.Action, o.Objects, o.Stale = history.Get, []string{name()}, c.rand.IntN(3) == 0
	default:
		o.Action = history.List
	}
	if isWrite(&o) {
		o.Request = fmt.Sprintf("%s-%d", c.name, c.n)
	}
	c.after(now, 800, func(now history.Micros) { c.carryOut(now, o) })
}

func (c *client) carryOut(now history.Micros, o history.Operation) {
	fate := c.rand.IntN(40)
	if isWrite(&o) && fate == 0 {
		// It never arrives.
		o.Outcome = history.Unknown
	} else if isWrite(&o) {
		c.write(&o)
	} else {
		c.read(&o)
	}
	lost := isWrite(&o) && fate == 1 && o.Outcome == history.Done
	answered := o
	if lost {
		o.Outcome, o.Revision, o.Changes = history.Unknown, 0, nil
	}
	c.after(now, 800, func(now history.Micros) {
		o.Return = now
		c.h.Operations = append(c.h.Operations, o)
		if o.Outcome == history.Done {
			c.known = max(c.known, o.Revision)
		}
		if lost && c.rand.IntN(2) == 0 {
			// It asks again, and is told what was answered.
			c.n++
			again := answered
			again.N, again.Call, again.Return, again.Replayed = c.n, now+1, now+100, true
			c.after(now+100, 300, func(history.Micros) {
				c.h.Operations = append(c.h.Operations, again)
			})
			c.after(now+500, 300, c.call)
			return
		}
		c.after(now, 300, c.call)
	})
}

func (c *client) write(o *history.Operation) {
	// Now and then something else gets an entry.
	c.index += uint64(c.rand.IntN(2))
	refuse := func(code string) { o.Outcome, o.Code = history.Refused, code }
	if o.ExpectedState > 0 && c.last > o.ExpectedState {
		refuse("CONFLICT")
		return
	}
	for _, name := range o.Objects {
		was, exists := c.store.objects[name]
		switch {
		case o.MustNotExist && exists, o.Expected > 0 && (!exists || was.Revision != o.Expected):
			refuse("CONFLICT")
			return
		case o.Action == history.Delete && !exists && !o.IgnoreMissing:
			refuse("NOT_FOUND")
			return
		}
	}
	// Two writes may share an entry, but then the second is of other objects.
	e := history.Entry{Index: c.index + 1, Term: 2, Sum: fmt.Sprint("sum", c.index+1), Requests: []string{o.Request}}
	c.index++
	o.Revision = e.Index
	for i, name := range o.Objects {
		was, exists := c.store.objects[name]
		o.Changes = append(o.Changes, change(o, exists))
		if o.Action == history.Apply {
			next := history.Object{Name: name, Value: o.Values[i], Revision: e.Index, Created: was.Created}
			if !exists {
				next.Created = e.Index
			}
			c.store.objects[name] = next
			e.Put = append(e.Put, next)
		} else if exists {
			delete(c.store.objects, name)
			e.Deleted = append(e.Deleted, name)
		}
	}
	if len(e.Put)+len(e.Deleted) > 0 {
		c.last = e.Index
	}
	c.log = append(c.log, e)
}

func (c *client) read(o *history.Operation) {
	o.Revision, o.AnsweredBy = c.index, "id-1"
	if o.Stale {
		o.StalenessMs = 1
	}
	if o.Action == history.List {
		for _, each := range c.store.objects {
			o.Found = append(o.Found, each)
		}
		return
	}
	found, exists := c.store.objects[o.Objects[0]]
	if exists {
		o.Found = []history.Object{found}
		return
	}
	// The answer that there is none has no revision.
	o.Revision, o.StalenessMs = 0, 0
	if c.rand.IntN(2) == 0 {
		o.Outcome, o.Code = history.Refused, "NOT_FOUND"
	}
}

type watcher struct {
	*store
	name, server string
	n            int64
	shown        uint64
	place        int
}

func (w *watcher) sight(now history.Micros, s history.Sight) {
	w.n++
	s.Watcher, s.Server, s.AnsweredBy, s.N, s.At = w.name, w.server, "id", w.n, now
	w.h.Sights = append(w.h.Sights, s)
}

func (w *watcher) begin(now history.Micros) {
	s := history.Sight{SnapshotBegin: true, SnapshotEnd: true, Revision: w.index}
	for _, o := range w.objects {
		s.Put = append(s.Put, o)
	}
	w.sight(now, s)
	w.shown, w.place = w.index, len(w.log)
	w.after(now, 2000, w.see)
}

func (w *watcher) see(now history.Micros) {
	resumed := uint64(0)
	if w.rand.IntN(10) == 0 {
		resumed = w.shown
	}
	for ; w.place < len(w.log); w.place++ {
		e := w.log[w.place]
		if len(e.Put)+len(e.Deleted) == 0 {
			continue
		}
		s := history.Sight{Revision: e.Index, Put: e.Put, Deleted: e.Deleted, Resumed: resumed}
		if len(e.Put) == 2 && w.rand.IntN(2) == 0 {
			// In two parts.
			w.sight(now, history.Sight{Revision: max(w.shown, e.Index-1), Put: e.Put[:1], Resumed: resumed})
			s.Put, s.Resumed = e.Put[1:], 0
		}
		w.sight(now, s)
		w.shown, resumed = e.Index, 0
		now++
	}
	if w.ops > 0 {
		w.after(now, 2000, w.see)
	}
}

func TestNothingIsFoundWhereNothingIsWrong(t *testing.T) {
	for seed := range uint64(20) {
		h := honest(seed, 2000, 10, 12)
		v := Judge(h)
		for name, r := range v.Results {
			for _, violation := range r.Violations[:min(3, len(r.Violations))] {
				t.Errorf("seed %d, %s: %s\n%v", seed, name, violation.What, violation.Evidence)
			}
		}
		if !v.Held() || v.Operations < 1000 {
			t.Errorf("seed %d: %d operations, unjudged %v", seed, v.Operations, v.Unjudged)
		}
		if t.Failed() {
			return
		}
	}
}
