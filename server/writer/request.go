package writer

import (
	"sync/atomic"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Request is one write. Exactly one of Apply, Delete, Remove and Change is set. The
// messages are never written to, so that a request may be repeated elsewhere
// while this one is still under way.
type Request struct {
	// Principal is who asks.
	Principal string
	// Apply is a user's Apply.
	Apply *argosyv1.ApplyRequest
	// Delete is a user's Delete.
	Delete *argosyv1.DeleteRequest
	// Remove is a user's removal of an agent.
	Remove *argosyv1.RemoveAgentRequest
	// Change is a change by another service of the leader; see Writer.Mutate.
	Change func(*Working) error
	// Deadline is when nobody waits any more; zero means never. A request is not
	// begun after it.
	Deadline time.Time
	// Done is called with the outcome.
	Done func(Outcome)

	prepared
	phase atomic.Uint32
	// Repeat is set by whoever has handed the request over before and does not know
	// what came of that: a refusal is then recorded, so that it holds for all copies.
	// The messages may say so, too.
	Repeat bool
	// parked tells that the request has waited for what was in flight. Owned by
	// the writer's goroutine.
	parked bool
}

// Outcome is how a request ended.
type Outcome struct {
	// Revision is that of the write.
	Revision uint64
	// Result is what it did.
	Result *argosyv1.WriteResult
	// Replayed tells that this is the remembered outcome of an earlier request
	// of the same id.
	Replayed bool
	// Err is nil, or an API error (the request was judged and refused), or wraps
	// ErrNotDone or ErrFateUnknown.
	Err error
}

const (
	phaseWaiting = iota
	phaseTaken
	phaseWithdrawn
)

// Withdraw takes a request back that the writer has not begun. When it returns
// true the request is certainly not carried out, and Done is not called.
func (r *Request) Withdraw() bool {
	return r.phase.CompareAndSwap(phaseWaiting, phaseWithdrawn)
}

// Begin marks that the request may be carried out from now on. It returns false
// when the request was withdrawn; Done must not be called then.
func (r *Request) Begin() bool {
	return r.phase.CompareAndSwap(phaseWaiting, phaseTaken)
}

func (r *Request) answer(o Outcome) { r.Done(o) }

// repeats tells whether there may be other copies of the request.
func (r *Request) repeats() bool {
	return r.Repeat || r.Apply.GetRepeat() || r.Delete.GetRepeat() || r.Remove.GetRepeat()
}

// dry tells whether the request is only to be judged.
func (r *Request) dry() bool { return r.Apply.GetDryRun() || r.Delete.GetDryRun() }

// id returns the request id, nil when the request has none.
func (r *Request) id() []byte {
	switch {
	case r.Apply != nil:
		return r.Apply.GetRequestId()
	case r.Delete != nil:
		return r.Delete.GetRequestId()
	case r.Remove != nil:
		return r.Remove.GetRequestId()
	}
	return nil
}
