package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// staleUnknown is how old a read is that says that it does not know.
const staleUnknown = 1<<64 - 1

// reads judges S4: what happened has one order, that of the revisions, and who
// was answered before another one asked comes before him in it. A read is what
// the log leads to at its revision, which is not lower than any that somebody was
// told of before the read began; a write has a revision higher than that. A read
// that may be old is of a state that there was, no longer ago than it says.
func reads(a *account) Result {
	f := find("S4")
	var lists []*history.Operation
	for i := range a.h.Operations {
		o := &a.h.Operations[i]
		if !isRead(o) {
			continue
		}
		f.result.Checked++
		a.timely(f, o)
		switch {
		case o.Action == history.Get:
			a.readOne(f, o)
		case o.Revision > 0:
			lists = append(lists, o)
		}
	}
	a.readAll(f, lists)
	for _, w := range a.inOrder {
		if w.revision == 0 {
			continue
		}
		f.result.Checked++
		if floor, by := a.floor(w.first); w.revision <= floor && by.Request != w.operation().Request {
			f.add(w.first, a.tell(by, w.operation()), "a write has revision %d, and revision %d had been answered before it was asked for", w.revision, floor)
		}
	}
	if !a.whole && a.unsolved > 0 {
		f.cannot("no log was read from its first entry on: the fate of %d writes is not known, and %d objects were not judged", a.unsolved, len(a.doubtful))
	}
	return f.result
}

// timely holds the revision of a read against the time.
func (a *account) timely(f *findings, o *history.Operation) {
	if o.Revision == 0 {
		return
	}
	if ceiling, by, ok := a.ceiling(o.Return); ok && o.Revision >= ceiling {
		f.add(o.Return, a.tell(o, by), "a read was answered from revision %d before the write of revision %d was asked for", o.Revision, ceiling)
	}
	if !o.Stale {
		if floor, by := a.floor(o.Call); o.Revision < floor {
			f.add(o.Return, a.tell(by, o), "a stale read: answered from revision %d, and revision %d had been answered before it began", o.Revision, floor)
		}
		return
	}
	if o.StalenessMs == 0 {
		f.add(o.Return, a.tell(o), "a read that may be old does not say how old")
		return
	}
	if o.StalenessMs == staleUnknown || o.StalenessMs > uint64(time.Hour/time.Millisecond) {
		return
	}
	// To the millisecond: servers work it out from a question to the leader, and
	// all of them, and the clients, have one clock.
	age := time.Duration(o.StalenessMs) * time.Millisecond
	if floor, by := a.floor(o.Call.Add(-age)); o.Revision < floor {
		f.add(o.Return, a.tell(by, o), "a read said to be at most %d ms old was answered from revision %d, and revision %d had been answered %v before it began", o.StalenessMs, o.Revision, floor, o.Call.Sub(by.Return))
	}
}

// readOne holds a read of one object against the log.
func (a *account) readOne(f *findings, o *history.Operation) {
	name := o.Objects[0]
	if a.doubtful[name] {
		return
	}
	if o.Revision > 0 {
		v, there := a.at(name, o.Revision)
		switch {
		case there != (len(o.Found) > 0):
			f.add(o.Return, append(a.tell(o), a.testimony(name)...), "%s was read at revision %d as %s, and was %s", name, o.Revision, describeObjects(o.Found), describeVersion(name, v, there))
		case there && !v.is(o.Found[0]):
			f.add(o.Return, append(a.tell(o), a.testimony(name)...), "%s was read at revision %d as %s, and was %s", name, o.Revision, describeObject(o.Found[0]), describeVersion(name, v, true))
		}
		return
	}
	// The answer does not say of which revision it is. It must have been so at one
	// between what was known before and what was asked for after.
	from := uint64(0)
	if !o.Stale {
		from, _ = a.floor(o.Call)
	}
	to := uint64(1<<64 - 1)
	if ceiling, _, ok := a.ceiling(o.Return); ok {
		to = ceiling - 1
	}
	if !a.was(name, o.Found, from, to) {
		_, by := a.floor(o.Call)
		f.add(o.Return, append(a.tell(by, o), a.testimony(name)...), "%s was read as %s, and was not so at any revision from %d to %d", name, describeObjects(o.Found), from, to)
	}
}

// was tells whether an object was like this, or not there, at some revision
// between two.
func (a *account) was(name string, found []history.Object, from, to uint64) bool {
	like := func(v version, there bool) bool {
		return there == (len(found) > 0) && (!there || v.is(found[0]))
	}
	if like(a.at(name, from)) {
		return true
	}
	return slices.ContainsFunc(a.versions[name], func(v version) bool {
		return v.revision > from && v.revision <= to && like(v, !v.gone)
	})
}

func (v version) is(o history.Object) bool {
	return v.value == o.Value && v.revision == o.Revision && (o.Created == 0 || v.created == 0 || v.created == o.Created)
}

// readAll holds reads of everything against the log, in the order of their
// revisions, so that the state is worked out once.
func (a *account) readAll(f *findings, lists []*history.Operation) {
	slices.SortStableFunc(lists, func(x, y *history.Operation) int { return cmp.Compare(x.Revision, y.Revision) })
	state := map[string]history.Object{}
	next := 0
	for _, o := range lists {
		for ; next < len(a.log) && a.log[next].Index <= o.Revision; next++ {
			for _, put := range a.log[next].Put {
				state[put.Name] = put
			}
			for _, name := range a.log[next].Deleted {
				delete(state, name)
			}
		}
		if !a.same(o.Found, state) {
			a.compareState(f, o.Found, o.Revision, func(name string) (history.Micros, []string, string) {
				return o.Return, append(a.tell(o), a.testimony(name)...), "a list"
			})
		}
	}
}

// same tells whether objects are those of a state, which is nearly always so.
func (a *account) same(found []history.Object, state map[string]history.Object) bool {
	if len(found) != len(state) {
		return false
	}
	for _, o := range found {
		want, there := state[o.Name]
		if !there || want.Value != o.Value || want.Revision != o.Revision {
			return false
		}
	}
	return true
}
