package observed

import (
	"context"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Batch is what one event changed.
type Batch struct {
	// Position is the position of the store after it.
	Position Position
	// States are the states that changed, in order; one instance may be in it
	// more than once. REMOVED means gone.
	States []*argosyv1.WorkloadState
	// Agents are the agents whose status changed.
	Agents []*argosyv1.AgentStatus
	// RemovedAgents are the names of agents that are not known any more.
	RemovedAgents []string
}

func (b Batch) empty() bool {
	return len(b.States) == 0 && len(b.Agents) == 0 && len(b.RemovedAgents) == 0
}

// weight is what a batch counts against Config.RingStates.
func (b Batch) weight() int { return len(b.States) + len(b.Agents) + len(b.RemovedAgents) }

// ring is the bounded history that subscribers read. Batches are numbered from
// 1 by this store alone, whatever the leader's numbers are, so that a cursor
// outlives a change of leaders.
type ring struct {
	batches []Batch
	last    uint64 // number of the newest batch
	weight  int
}

// floor is the number of the newest batch that is not in the ring any more.
func (r *ring) floor() uint64 { return r.last - uint64(len(r.batches)) }

func (r *ring) add(b Batch, maxBatches, maxWeight int) {
	r.batches = append(r.batches, b)
	r.last++
	r.weight += b.weight()
	drop := 0
	for len(r.batches)-drop > 1 && (len(r.batches)-drop > maxBatches || r.weight > maxWeight) {
		r.weight -= r.batches[drop].weight()
		r.batches[drop] = Batch{}
		drop++
	}
	r.batches = r.batches[drop:]
}

// maxNext bounds what one Next hands out.
const maxNext = 256

func (r *ring) after(number uint64) []Batch {
	from := r.batches[number-r.floor():]
	return append([]Batch(nil), from[:min(len(from), maxNext)]...)
}

// Subscription is a cursor into the changes. It needs no closing and is used
// by one goroutine.
type Subscription struct {
	store *Store
	after uint64
}

// Next returns the changes after those it returned before, and waits for at
// least one. It returns ErrCompacted when the subscriber was overtaken.
func (s *Subscription) Next(ctx context.Context) ([]Batch, error) {
	for {
		batches, wake, err := s.take()
		if err != nil || len(batches) > 0 {
			return batches, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *Subscription) take() ([]Batch, <-chan struct{}, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r := &s.store.ring
	if s.after < r.floor() {
		return nil, nil, ErrCompacted
	}
	if s.after == r.last {
		return nil, s.store.wakeLocked(), nil
	}
	batches := r.after(s.after)
	s.after += uint64(len(batches))
	return batches, nil, nil
}
