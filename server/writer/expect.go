package writer

import (
	"fmt"

	"github.com/argosy-cluster/argosy/planted"
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
		newest := max(r.Apply.GetExpectedRevision(), r.Apply.GetExpectedStateRevision())
		for _, e := range r.Apply.GetExpected() {
			newest = max(newest, e.GetRevision())
		}
		return newest
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

// changedSince refuses a request that expects that no workload and no config was
// changed after a revision.
func (c *Working) changedSince(revision uint64) refuse {
	if revision == 0 {
		return nil
	}
	changed, by := c.view.LastWorkloadRevision(), c.changedBy
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
			"write: expected that no workload or config changed after revision %d, but one did at revision %d; read the state again and decide anew", revision, changed)
		err.Detail.CurrentRevision = changed
		return err
	}
}

// expectations refuses an Apply that expects its objects, or others, to be as they
// are not.
func (d *draft) expectations() refuse {
	a := d.request.Apply
	if a.GetExpectedRevision() != 0 || a.GetMustNotExist() {
		for i := range d.request.puts {
			if why := d.expectPut(rowKey{kindWorkload, d.request.puts[i].name}); why != nil {
				return why
			}
		}
		for i := range d.request.configs {
			if why := d.expectPut(rowKey{kindConfig, d.request.configs[i].name}); why != nil {
				return why
			}
		}
	}
	for _, e := range a.GetExpected() {
		kind, _ := rowKindOf(e.GetKind())
		if why := d.expect(rowKey{kind, e.GetName()}, e.GetRevision()); why != nil {
			return why
		}
	}
	return nil
}

// expectPut judges one object by what is said of all that are applied.
func (d *draft) expectPut(key rowKey) refuse {
	a := d.request.Apply
	if a.GetMustNotExist() {
		if why := d.expect(key, 0); why != nil {
			return why
		}
	}
	if a.GetExpectedRevision() != 0 {
		return d.expect(key, a.GetExpectedRevision())
	}
	return nil
}

// expect refuses an object that is not at a revision; 0 means that it must not
// exist.
func (d *draft) expect(key rowKey, revision uint64) refuse {
	row := d.Row(key.kind, key.key)
	if planted.On(planted.LateCompare) {
		row = d.settled(key.kind, key.key)
	}
	switch {
	case revision == 0 && row.Exists:
		return conflict("apply", key, row, "must not exist")
	case revision != 0 && !row.is(revision):
		return conflict("apply", key, row, fmt.Sprintf("expected revision %d", revision))
	}
	return nil
}

// is tells whether the row has this revision. Of one that is in flight it is not
// known yet; who could know it has been parked.
func (r Row) is(revision uint64) bool {
	return r.Exists && r.by == nil && r.revision == revision
}

// conflict is answered when the row's revision is known.
func conflict(verb string, key rowKey, row Row, want string) refuse {
	return func() error {
		revision := row.revision
		if row.by != nil && row.Exists {
			revision = row.by.revision
		}
		found := fmt.Sprintf("it is at revision %d", revision)
		if !row.Exists {
			revision, found = 0, "it does not exist"
		}
		err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT,
			"%s %s: %s, but %s; read it again and decide anew", verb, objectName(key), want, found)
		err.Detail.CurrentRevision = revision
		return err
	}
}
