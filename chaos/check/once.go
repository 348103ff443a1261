package check

import (
	"github.com/argosy-cluster/argosy/chaos/history"
)

// once judges S2: a request is in the log once at most, not at all when it was
// refused, and whoever repeats it gets the answer of the first time.
func once(a *account) Result {
	f := find("S2")
	at, never := map[string]uint64{}, map[string]uint64{}
	for i := range a.log {
		e := &a.log[i]
		for _, request := range e.Refused {
			never[request] = e.Index
		}
		for _, request := range e.Requests {
			if first, again := at[request]; again {
				var tries []*history.Operation
				var when history.Micros
				if w := a.writes[request]; w != nil {
					tries, when = w.tries, w.first
				}
				f.add(when, a.tell(tries...), "request %s was carried out at revision %d and again at %d", request, first, e.Index)
				continue
			}
			at[request] = e.Index
		}
	}
	for request, index := range never {
		if carried, done := at[request]; done {
			var tries []*history.Operation
			var when history.Micros
			if w := a.writes[request]; w != nil {
				tries, when = w.tries, w.first
			}
			f.add(when, a.tell(tries...), "request %s was carried out at revision %d, and refused for good at %d", request, carried, index)
		}
	}
	for _, w := range a.inOrder {
		f.result.Checked++
		var answer *history.Operation
		refused, unknown := (*history.Operation)(nil), false
		for _, o := range w.tries {
			switch o.Outcome {
			case history.Done:
				if answer != nil && answer.Revision != o.Revision {
					f.add(o.Return, a.tell(answer, o), "request %s was answered with revision %d and with %d", w.key, answer.Revision, o.Revision)
				}
				answer = o
			case history.Refused:
				refused = o
			default:
				unknown = true
			}
		}
		// One that was refused and repeated may be carried out the second time, and
		// one of unknown fate may have been before it was refused.
		if refused != nil && answer == nil && !unknown && w.logged {
			f.add(refused.Return, append(a.tell(w.tries...), describeEntry(a.entry(w.revision))), "request %s was refused (%s) and carried out at revision %d", w.key, refused.Code, w.revision)
		}
	}
	if !a.whole && len(a.inOrder) > 0 {
		f.cannot("no log was read from its first entry on: whether anything in it was done twice is not known")
	}
	return f.result
}
