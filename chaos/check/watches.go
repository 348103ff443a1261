package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// watches judges S7: a watch begins with the whole state at a revision, or goes on
// after the one that it was at, and from there on shows what each entry of the
// log changed: nothing is missing, nothing comes twice or earlier than its time.
// Who cannot be shown that is told so by a new snapshot.
func watches(a *account) Result {
	f := find("S7")
	followed := map[string]*follower{}
	var inOrder []*follower
	for i := range a.h.Sights {
		s := &a.h.Sights[i]
		w := followed[s.Watcher]
		if w == nil {
			w = &follower{account: a, findings: f, name: s.Watcher}
			followed[s.Watcher] = w
			inOrder = append(inOrder, w)
		}
		w.sights = append(w.sights, s)
	}
	for _, w := range inOrder {
		// Those of one moment are in the order of their numbers.
		slices.SortStableFunc(w.sights, func(x, y *history.Sight) int { return cmp.Compare(x.N, y.N) })
		w.follow()
	}
	if !a.whole && a.unsolved > 0 && len(inOrder) > 0 {
		f.cannot("no log was read from its first entry on: the fate of %d writes is not known, and %d objects were not judged", a.unsolved, len(a.doubtful))
	}
	return f.result
}

// follower is a watcher, and what it was shown.
type follower struct {
	*account
	*findings
	name   string
	sights []*history.Sight
	// at is the revision up to which everything was shown, known tells that it is
	// at any.
	at    uint64
	known bool
	// inSnapshot is set between the beginning and the end of a snapshot.
	inSnapshot bool
	put        []history.Object
	deleted    []string
	last       *history.Sight
}

func (w *follower) wrong(s *history.Sight, evidence []string, format string, args ...any) {
	w.add(s.At, append(w.tellSights(w.last, s), evidence...), "watcher "+w.name+": "+format, args...)
}

func (w *follower) follow() {
	for _, s := range w.sights {
		w.result.Checked++
		if s.Resumed > 0 || s.SnapshotBegin {
			w.begin(s)
		}
		if !w.known && !w.inSnapshot {
			// It cannot be said what it had before.
			w.wrong(s, nil, "its first message begins no snapshot")
			w.at, w.known = s.Revision, true
		}
		w.take(s)
		w.last = s
	}
	w.finish()
}

// begin notes that the watch was begun, or begun again.
func (w *follower) begin(s *history.Sight) {
	if s.Resumed > 0 && w.known && s.Resumed > w.at {
		// Its own fault, not the cluster's; what it skips it does not see.
		w.cannot("watcher %s was resumed after revision %d and was at %d", w.name, s.Resumed, w.at)
	}
	if s.Resumed > 0 {
		w.at, w.known, w.inSnapshot = s.Resumed, true, false
	}
	w.put, w.deleted = nil, nil
	if !s.SnapshotBegin {
		return
	}
	if w.known && s.Revision < w.at {
		w.wrong(s, nil, "it was at revision %d and was sent a snapshot of %d", w.at, s.Revision)
	}
	w.inSnapshot = true
}

func (w *follower) take(s *history.Sight) {
	w.put, w.deleted = append(w.put, s.Put...), append(w.deleted, s.Deleted...)
	if w.inSnapshot {
		if s.SnapshotEnd {
			w.snapshot(s)
			w.inSnapshot, w.known, w.at = false, true, s.Revision
			w.put, w.deleted = nil, nil
		}
		return
	}
	switch {
	case s.Revision < w.at:
		w.wrong(s, nil, "it was at revision %d and was sent %d", w.at, s.Revision)
		w.at = s.Revision
	case s.Revision > w.at:
		w.changes(s)
		w.at = s.Revision
	default:
		// A part of what an entry changed; the last part has its revision.
		w.stray(s)
	}
}

// stray finds changes that were shown again by a message of no new revision.
func (w *follower) stray(s *history.Sight) {
	for _, o := range s.Put {
		if o.Revision <= w.at {
			w.wrong(s, nil, "it was at revision %d and was shown %s", w.at, describeObject(o))
			w.put, w.deleted = nil, nil
			return
		}
	}
}

// snapshot holds a whole snapshot against the log.
func (w *follower) snapshot(s *history.Sight) {
	if len(w.deleted) > 0 {
		w.wrong(s, nil, "a snapshot says that %s are deleted", w.deleted)
	}
	if ceiling, by, ok := w.ceiling(s.At); ok && s.Revision >= ceiling {
		w.wrong(s, w.tell(by), "a snapshot of revision %d came before the write of revision %d was asked for", s.Revision, ceiling)
	}
	w.compareState(w.findings, w.put, s.Revision, func(name string) (history.Micros, []string, string) {
		return s.At, append(w.tellSights(s), w.testimony(name)...), "a snapshot of watcher " + w.name
	})
}

// changes holds what was shown since the last revision against the log.
func (w *follower) changes(s *history.Sight) {
	if ceiling, by, ok := w.ceiling(s.At); ok && s.Revision >= ceiling {
		w.wrong(s, w.tell(by), "it was sent revision %d before the write of revision %d was asked for", s.Revision, ceiling)
	}
	type shown struct {
		name     string
		revision uint64
	}
	left := map[shown]history.Object{}
	for _, o := range w.put {
		k := shown{o.Name, o.Revision}
		if _, twice := left[k]; twice {
			w.wrong(s, nil, "%s was shown twice", describeObject(o))
		}
		left[k] = o
	}
	gone := map[string]int{}
	for _, name := range w.deleted {
		gone[name]++
	}
	entries := w.entriesAfter(w.at, s.Revision)
	for i := range entries {
		e := &entries[i]
		for _, o := range e.Put {
			k := shown{o.Name, o.Revision}
			got, there := left[k]
			delete(left, k)
			switch {
			case w.doubtful[o.Name]:
			case !there:
				w.wrong(s, []string{describeEntry(e)}, "a gap: it went from revision %d to %d and was not shown %s", w.at, s.Revision, describeObject(o))
			case got.Value != o.Value:
				w.wrong(s, []string{describeEntry(e)}, "it was shown %s, which was %s", describeObject(got), describeObject(o))
			}
		}
		for _, name := range e.Deleted {
			if gone[name]--; gone[name] < 0 && !w.doubtful[name] {
				w.wrong(s, []string{describeEntry(e)}, "a gap: it went from revision %d to %d and was not shown that %s was deleted at %d", w.at, s.Revision, name, e.Index)
			}
		}
	}
	w.put, w.deleted = nil, nil
	for _, o := range left {
		switch {
		case w.doubtful[o.Name]:
		case o.Revision > s.Revision:
			// A part of what an entry changed; the last part will have its revision.
			w.put = append(w.put, o)
		case o.Revision <= w.at:
			w.wrong(s, nil, "it was at revision %d and was shown %s again", w.at, describeObject(o))
		default:
			w.wrong(s, nil, "it went from revision %d to %d and was shown %s, which is not so", w.at, s.Revision, describeObject(o))
		}
	}
	for name, more := range gone {
		switch {
		case more <= 0 || w.doubtful[name]:
		case len(w.put) > 0 || len(entries) == 0:
			w.deleted = append(w.deleted, name)
		default:
			w.wrong(s, nil, "it went from revision %d to %d and was shown that %s was deleted, which is not so", w.at, s.Revision, name)
		}
	}
}

// finish finds what it was never shown: the trial waited until every watcher had
// come to the last revision.
func (w *follower) finish() {
	if len(w.put)+len(w.deleted) > 0 {
		w.wrong(w.last, nil, "it was shown %s, deleted %v, which no revision ever had", describeObjects(w.put), w.deleted)
	}
	if w.h.Meta.Quiet == 0 || w.h.Meta.Error != "" || w.inSnapshot {
		return
	}
	for _, e := range w.entriesAfter(w.at, w.newest()) {
		if len(e.Put)+len(e.Deleted) == 0 {
			continue
		}
		w.add(w.last.At, append(w.tellSights(w.last), describeEntry(&e)), "watcher %s: it was never shown what changed at revision %d, it ended at %d", w.name, e.Index, w.at)
		return
	}
}

func (a *account) tellSights(sights ...*history.Sight) []string {
	var all []string
	for _, s := range sights {
		if s == nil {
			continue
		}
		text := fmt.Sprintf("%s: %s #%d was sent revision %d by %s", a.when(s.At), s.Watcher, s.N, s.Revision, s.AnsweredBy)
		if s.Resumed > 0 {
			text += fmt.Sprintf(", resumed after %d", s.Resumed)
		}
		if s.SnapshotBegin {
			text += ", a snapshot begins"
		}
		if len(s.Put) > 0 && len(s.Put) <= 5 {
			text += ", put " + describeObjects(s.Put)
		} else if len(s.Put) > 0 {
			text += fmt.Sprintf(", put %d objects", len(s.Put))
		}
		if len(s.Deleted) > 0 {
			text += fmt.Sprintf(", deleted %v", s.Deleted)
		}
		all = append(all, text)
	}
	return all
}
