package writer

import (
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// expectedState returns after which revision nothing may have changed, 0 when
// the request does not care.
func (r *Request) expectedState() uint64 {
	if r.Apply != nil {
		return r.Apply.GetExpectedStateRevision()
	}
	return r.Delete.GetExpectedStateRevision()
}

// expected returns the newest revision that the request builds on, 0 when it
// does not say.
func (r *Request) expected() uint64 {
	if r.Apply != nil {
		return max(r.Apply.GetExpectedRevision(), r.Apply.GetExpectedStateRevision())
	}
	return max(r.Delete.GetExpectedRevision(), r.Delete.GetExpectedStateRevision())
}

// early tells whether a request builds on a revision that this writer has not
// seen committed yet, while something is in flight. A follower may have applied
// an entry, and shown it to somebody, a moment before its proposer hears of it:
// such a request is judged when the writer knows as much as its sender. (The view
// may be as far as the follower: it is the newest there was when an entry was
// heard of.)
func (w *Writer) early(r *Request) bool {
	if r.parked || len(w.flight) == 0 || r.expected() <= w.working.known {
		return false
	}
	// Once: what was in flight when it came is all that its sender can have seen.
	r.parked = true
	return true
}

// changedSince refuses a request that expects that no workload was changed after
// a revision.
func (c *Working) changedSince(revision uint64) func() error {
	if revision == 0 {
		return nil
	}
	changed, by := c.view.LastWorkloadRevision(), c.changed
	if by == nil && changed <= revision && revision <= c.view.Revision() {
		return nil
	}
	at := c.view.Revision()
	return func() error {
		if by != nil {
			changed = by.revision
		}
		if by == nil && changed <= revision {
			err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT,
				"write: the state is at revision %d and has not reached the expected revision %d: was that read from another cluster? read it again and decide anew", at, revision)
			err.Detail.CurrentRevision = at
			return err
		}
		err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT,
			"write: expected that no workload changed after revision %d, but one did at revision %d; read the state again and decide anew", revision, changed)
		err.Detail.CurrentRevision = changed
		return err
	}
}
