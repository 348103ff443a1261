package check

import (
	"cmp"
	"slices"
	"sort"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// timeline are revisions at times, with the operations that they are of.
type timeline []moment

type moment struct {
	at       history.Micros
	revision uint64
	by       *history.Operation
}

// order works out which revisions were known to somebody at which time, and which
// could not have been there yet.
func (a *account) order() {
	for i := range a.h.Operations {
		o := &a.h.Operations[i]
		if o.Outcome == history.Done && o.Revision > 0 && !o.Stale && (isWrite(o) || isRead(o)) {
			a.acknowledged = append(a.acknowledged, moment{o.Return, o.Revision, o})
		}
	}
	for _, w := range a.inOrder {
		if w.revision > 0 {
			a.future = append(a.future, moment{w.first, w.revision, w.operation()})
		}
	}
	byTime := func(x, y moment) int { return cmp.Compare(x.at, y.at) }
	slices.SortStableFunc(a.acknowledged, byTime)
	slices.SortStableFunc(a.future, byTime)
	for i := 1; i < len(a.acknowledged); i++ {
		if before := a.acknowledged[i-1]; before.revision > a.acknowledged[i].revision {
			a.acknowledged[i].revision, a.acknowledged[i].by = before.revision, before.by
		}
	}
	for i := len(a.future) - 2; i >= 0; i-- {
		if after := a.future[i+1]; after.revision < a.future[i].revision {
			a.future[i].revision, a.future[i].by = after.revision, after.by
		}
	}
}

// floor returns the highest revision that had been returned to somebody before a
// time, and by which operation; 0 when none had.
func (a *account) floor(before history.Micros) (uint64, *history.Operation) {
	i := sort.Search(len(a.acknowledged), func(i int) bool { return a.acknowledged[i].at >= before })
	if i == 0 {
		return 0, nil
	}
	return a.acknowledged[i-1].revision, a.acknowledged[i-1].by
}

// ceiling returns the lowest revision of a write that was asked for after a time
// only; false when there is none.
func (a *account) ceiling(after history.Micros) (uint64, *history.Operation, bool) {
	i := sort.Search(len(a.future), func(i int) bool { return a.future[i].at > after })
	if i == len(a.future) {
		return 0, nil, false
	}
	return a.future[i].revision, a.future[i].by, true
}
