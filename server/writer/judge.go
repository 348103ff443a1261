package writer

import (
	"fmt"

	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"google.golang.org/protobuf/proto"
)

const kindWorkload = argosyv1.RowKind_ROW_KIND_WORKLOAD

// judge checks one request against the working copy and adds what it changes to
// the batch. A request that fails its check fails alone.
func (w *Writer) judge(b *batch, r *Request) {
	c := w.working
	if !r.Deadline.IsZero() && b.proposed.After(r.Deadline) {
		r.answer(Outcome{Err: fmt.Errorf("%w: its deadline passed while it waited", ErrNotDone)})
		return
	}
	if r.Change != nil {
		it := &item{request: r}
		if err := r.Change(c); err != nil {
			it.refusal = &refusal{why: func() error { return err }}
		}
		b.items = append(b.items, it)
		return
	}
	if !planted.On(planted.NoMemory) && (w.repeated(r) || w.refusedBefore(b, r)) {
		return
	}
	if w.early(r) {
		behind := w.flight[len(w.flight)-1]
		behind.parked = append(behind.parked, r)
		return
	}
	it := &item{request: r}
	why := c.changedSince(r.expectedState())
	switch {
	case why != nil:
	case r.Apply != nil:
		if why = w.noRoom(); why == nil {
			it.result, why = c.apply(r)
		}
	default:
		it.result, why = c.deleteWorkloads(r.Delete)
	}
	if why != nil {
		it.refusal = w.refusals.note(r, why)
		it.unrecorded = c.records && r.repeats()
	} else {
		it.resultSize = proto.Size(it.result)
		it.remembered = true
		b.outcomes++
		c.requests[r.requestID] = it
	}
	b.items = append(b.items, it)
}

// noRoom refuses what may make the state larger, while it must not grow. It comes
// to that in its turn, since a repeat adds nothing, and copies of what is refused
// are to be refused like it.
func (w *Writer) noRoom() func() error {
	full := w.full()
	if full == nil {
		return nil
	}
	return func() error { return full }
}

// repeated answers a request whose id was seen before, now or once the first
// one is committed.
func (w *Writer) repeated(r *Request) bool {
	if first, ok := w.working.requests[r.requestID]; ok {
		if first.request.Principal != r.Principal {
			r.answer(Outcome{Err: otherPrincipal()})
		} else {
			first.repeats = append(first.repeats, r)
		}
		return true
	}
	// The newest view: what is remembered only grows at the end that matters, and
	// the state machine finds nothing faster than in its newest state.
	seen, ok := w.state.View().Outcome(r.requestID[:])
	if !ok {
		return false
	}
	if seen.Principal != r.Principal {
		r.answer(Outcome{Err: otherPrincipal()})
		return true
	}
	result := &argosyv1.WriteResult{}
	if err := proto.Unmarshal(seen.Result, result); err != nil {
		r.answer(Outcome{Err: argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INTERNAL,
			"read remembered outcome of revision %d: %v", seen.Revision, err)})
		return true
	}
	o := outcomeOf(seen.Revision, result)
	o.Replayed = o.Err == nil
	r.answer(o)
	return true
}

func otherPrincipal() error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN,
		"check request: another user has used this request_id; choose a new one")
}

// apply checks all workloads first, then changes: all of them or none.
func (c *Working) apply(r *Request) (*argosyv1.WriteResult, func() error) {
	expected, mustNotExist := r.Apply.GetExpectedRevision(), r.Apply.GetMustNotExist()
	if expected != 0 || mustNotExist {
		for i := range r.puts {
			row := c.Row(kindWorkload, r.puts[i].name)
			if planted.On(planted.LateCompare) {
				row = c.settled(kindWorkload, r.puts[i].name)
			}
			if mustNotExist && row.Exists {
				return nil, conflict("apply", r.puts[i].name, row, "must not exist")
			}
			if expected != 0 && !row.is(expected) {
				return nil, conflict("apply", r.puts[i].name, row, fmt.Sprintf("expected revision %d", expected))
			}
		}
	}
	if refusal := c.exceeds(r); refusal != nil {
		return nil, refusal
	}
	changes := make([]argosyv1.WorkloadChange, len(r.puts))
	result := &argosyv1.WriteResult{Changes: make([]*argosyv1.WorkloadChange, len(r.puts))}
	for i := range r.puts {
		p := &r.puts[i]
		row := c.Row(kindWorkload, p.name)
		kind := argosyv1.ChangeKind_CHANGE_KIND_UPDATED
		switch {
		case !row.Exists:
			kind = argosyv1.ChangeKind_CHANGE_KIND_CREATED
		case argosyv1.SameButDisplacing(row.Value, p.value):
			kind = argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED
		}
		if kind == argosyv1.ChangeKind_CHANGE_KIND_CREATED && c.displacing(p) {
			p.mark()
		}
		if kind != argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED {
			c.put(kindWorkload, p.name, row, p.record, p.value, p.size())
		}
		change := &changes[i]
		change.Name, change.Kind, change.Agent, change.InstanceId = p.name, kind, p.agent, p.instance
		result.Changes[i] = change
	}
	return result, nil
}

func (c *Working) deleteWorkloads(req *argosyv1.DeleteRequest) (*argosyv1.WriteResult, func() error) {
	rows := make([]Row, len(req.GetNames()))
	for i, name := range req.GetNames() {
		rows[i] = c.Row(kindWorkload, name)
		switch {
		case !rows[i].Exists && !req.GetIgnoreMissing():
			return nil, func() error {
				return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND,
					"delete workload %q: there is no such workload", name)
			}
		case rows[i].Exists && req.GetExpectedRevision() != 0 && !rows[i].is(req.GetExpectedRevision()):
			return nil, conflict("delete", name, rows[i], fmt.Sprintf("expected revision %d", req.GetExpectedRevision()))
		}
	}
	result := &argosyv1.WriteResult{Changes: make([]*argosyv1.WorkloadChange, len(rows))}
	for i, name := range req.GetNames() {
		change := &argosyv1.WorkloadChange{Name: name, Kind: argosyv1.ChangeKind_CHANGE_KIND_MISSING}
		if rows[i].Exists {
			var was argosyv1.Workload
			// A row that cannot be read is deleted all the same: it is of no use.
			if err := proto.Unmarshal(rows[i].Value, &was); err == nil {
				change.Agent, change.InstanceId = was.GetAgent(), argosyv1.InstanceID(was.GetRuntimeConfig())
			}
			change.Kind = argosyv1.ChangeKind_CHANGE_KIND_DELETED
			c.delete(kindWorkload, name, rows[i])
		}
		result.Changes[i] = change
	}
	return result, nil
}

// is tells whether the row has this revision. Of one that is in flight it is not
// known yet; who could know it has been parked.
func (r Row) is(revision uint64) bool {
	return r.Exists && r.by == nil && r.revision == revision
}

// conflict is answered when the row's revision is known.
func conflict(verb, name string, row Row, want string) func() error {
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
			"%s workload %q: %s, but %s; read it again and decide anew", verb, name, want, found)
		err.Detail.CurrentRevision = revision
		return err
	}
}
