package check

import (
	"cmp"
	"slices"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// lost judges S1: a write that was acknowledged is in the log of every replica
// that reaches so far, it is what it was asked to be, and what the replicas have
// in the end is what the log leads to.
func lost(a *account) Result {
	f := find("S1")
	for _, w := range a.inOrder {
		if w.answered == 0 {
			continue
		}
		f.result.Checked++
		a.lostWrite(f, w)
	}
	a.changedOnTheWay(f)
	a.lostInTheEnd(f)
	if len(a.h.Replicas) == 0 && f.result.Checked > 0 {
		f.cannot("no replica was read after the trial")
	}
	if !a.whole && a.unsolved > 0 {
		f.cannot("no log was read from its first entry on: the fate of %d writes is not known", a.unsolved)
	}
	return f.result
}

func (a *account) lostWrite(f *findings, w *write) {
	o := w.operation()
	for i := range a.h.Replicas {
		r := &a.h.Replicas[i]
		if r.First == 0 || o.Revision < r.First {
			// It is in the state that this log begins after.
			continue
		}
		if o.Revision > r.Last {
			if o.Revision > a.end {
				f.add(o.Return, a.tell(w.tries...), "a write was acknowledged at revision %d, and the log of %s ends at %d", o.Revision, r.Server, r.Last)
				return
			}
			// A majority has it; of who has not caught up another checker tells.
			continue
		}
		at, found := slices.BinarySearchFunc(r.Entries, o.Revision, func(e history.Entry, index uint64) int { return cmp.Compare(e.Index, index) })
		switch {
		case !found:
			f.add(o.Return, a.tell(w.tries...), "a write was acknowledged at revision %d, and %s has no such entry in its log", o.Revision, r.Server)
			return
		case w.key == o.Request && !slices.Contains(r.Entries[at].Requests, w.key):
			f.add(o.Return, append(a.tell(w.tries...), describeEntry(&r.Entries[at])), "a write was acknowledged at revision %d, and the entry there on %s is of others", o.Revision, r.Server)
			return
		}
	}
}

// changedOnTheWay finds entries that are not what their writes asked for.
func (a *account) changedOnTheWay(f *findings) {
	for i := range a.log {
		e := &a.log[i]
		last := map[string]*history.Operation{}
		values := map[string]string{}
		for _, request := range e.Requests {
			w := a.writes[request]
			if w == nil {
				continue
			}
			o := w.operation()
			for j, name := range o.Objects {
				last[name] = o
				delete(values, name)
				if j < len(o.Values) {
					values[name] = o.Values[j]
				}
			}
		}
		for name, o := range last {
			value, wanted := values[name]
			v, there := a.at(name, e.Index)
			switch {
			case a.doubtful[name]:
			case wanted && (!there || v.revision != e.Index || v.value != value):
				f.add(o.Return, append(a.tell(o), describeEntry(e)), "%s was to become %s at revision %d, and did not", name, value, e.Index)
			case !wanted && there:
				f.add(o.Return, append(a.tell(o), describeEntry(e)), "%s was to be deleted at revision %d, and is there", name, e.Index)
			}
		}
	}
}

// lostInTheEnd holds the objects of each replica against the log.
func (a *account) lostInTheEnd(f *findings) {
	for i := range a.h.Replicas {
		r := &a.h.Replicas[i]
		if r.Error != "" || r.Revision == 0 {
			continue
		}
		f.result.Checked++
		a.compareState(f, r.Objects, r.Revision, func(name string) (history.Micros, []string, string) {
			return a.h.Meta.Ended, a.testimony(name), "in the end on " + r.Server
		})
	}
}

// testimony are the last writes of an object that were acknowledged.
func (a *account) testimony(name string) []string {
	var of []*history.Operation
	for _, w := range a.inOrder {
		if w.answered > 0 && slices.Contains(w.tries[0].Objects, name) {
			of = append(of, w.operation())
		}
	}
	return a.tell(of[max(0, len(of)-3):]...)
}

// compareState compares objects with all that the log leads to at a revision.
func (a *account) compareState(f *findings, objects []history.Object, revision uint64, where func(name string) (history.Micros, []string, string)) {
	seen := make(map[string]bool, len(objects))
	for _, o := range objects {
		seen[o.Name] = true
		if a.doubtful[o.Name] {
			continue
		}
		if v, there := a.at(o.Name, revision); !there || v.value != o.Value || v.revision != o.Revision {
			at, evidence, place := where(o.Name)
			f.add(at, evidence, "%s, at revision %d: %s, and should be %s", place, revision, describeObject(o), describeVersion(o.Name, v, there))
		}
	}
	for name := range a.versions {
		if seen[name] || a.doubtful[name] {
			continue
		}
		if v, there := a.at(name, revision); there {
			at, evidence, place := where(name)
			f.add(at, evidence, "%s, at revision %d: %s is not there, and should be %s", place, revision, name, describeVersion(name, v, true))
		}
	}
}

func describeVersion(name string, v version, there bool) string {
	if !there {
		return "nothing"
	}
	return describeObject(history.Object{Name: name, Value: v.value, Revision: v.revision})
}
