package writer

import (
	"fmt"

	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"google.golang.org/protobuf/proto"
)

const (
	kindWorkload = argosyv1.RowKind_ROW_KIND_WORKLOAD
	kindAgent    = argosyv1.RowKind_ROW_KIND_AGENT
	kindConfig   = argosyv1.RowKind_ROW_KIND_CONFIG
)

// judge checks one request against the working copy and adds what it changes to
// the batch. A request that fails its check fails alone.
func (w *Writer) judge(b *batch, r *Request) {
	c := w.working
	// Not by the entry's time: that of a leader whose clock was ahead lives on in it.
	if !r.Deadline.IsZero() && w.now().After(r.Deadline) {
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
	// A dry run is never carried out, so it matters to no copy and none to it.
	if !r.dry() && !planted.On(planted.NoMemory) && (w.repeated(r) || w.refusedBefore(b, r)) {
		return
	}
	if w.early(r) {
		behind := w.flight[len(w.flight)-1]
		behind.parked = append(behind.parked, r)
		return
	}
	b.items = append(b.items, w.carryOut(b, r))
}

// carryOut judges a request and, when it passes, makes it part of the batch.
func (w *Writer) carryOut(b *batch, r *Request) *item {
	c := w.working
	it := &item{request: r, dry: r.dry()}
	var d *draft
	why := c.changedSince(r.expectedState())
	if why == nil {
		why = w.noRoom(r)
	}
	if why == nil {
		d, why = w.draft(r)
	}
	switch {
	case why != nil && it.dry:
		it.refusal = &refusal{why: why}
	case why != nil:
		it.refusal = w.refusals.note(r, why)
		it.unrecorded = c.records && r.repeats()
	case it.dry:
		it.result = d.result
		d.drop()
	default:
		d.lay()
		it.result = d.result
		it.resultSize = proto.Size(it.result)
		it.remembered = true
		b.outcomes++
		c.requests[r.requestID] = it
	}
	return it
}

// noRoom refuses what may make the state larger, while it must not grow. It comes
// to that in its turn, since a repeat adds nothing, and copies of what is refused
// are to be refused like it.
func (w *Writer) noRoom(r *Request) refuse {
	if len(r.puts)+len(r.configs)+len(r.Apply.GetAgentTags()) == 0 {
		return nil
	}
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
