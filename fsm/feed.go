package fsm

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Change is what an entry did to one row: its state before and after the whole
// entry, however many of its mutations touched it.
type Change struct {
	// Before is the row as it was; nil when the entry created it.
	Before *Row
	// After is the row as it is; nil when the entry deleted it.
	After *Row
}

// row returns the row as it is, or else as it was.
func (c Change) row() *Row {
	if c.After != nil {
		return c.After
	}
	return c.Before
}

// Batch is all that one entry changed. An entry that changed no row is a batch
// too, since it moved the revision.
type Batch struct {
	// Revision is that of the entry.
	Revision uint64
	// ProposedAt is the leader's clock when it proposed the entry, Unix time
	// in nanoseconds; 0 for entries of Raft's own.
	ProposedAt int64
	// Changes are in the order in which the entry first touched the rows, each
	// row once.
	Changes []Change
}

// What a batch keeps alive beside the rows that are part of the state anyway:
// its own structure, and the rows that were replaced. Each replaced row is the
// Before of exactly one change that still is in the feed or already was
// dropped from it, so nothing is counted twice or never.
const (
	batchOverhead  = 96
	changeOverhead = 192
)

func (b *Batch) cost() int {
	cost := batchOverhead
	for i := range b.Changes {
		cost += changeOverhead
		if before := b.Changes[i].Before; before != nil {
			cost += len(before.Value)
		}
	}
	return cost
}

// maxBatches bounds what one call to Next returns.
const maxBatches = 512

// feed is the ring of the latest batches.
type feed struct {
	mu sync.Mutex
	// batches[head:] are in the feed, in order of revision; what is before
	// head is zeroed and given up when it is half of the slice
	batches []Batch
	head    int
	size    int
	limit   int
	// all batches after this revision are in the feed
	floor uint64
	// counts restores
	epoch uint64
	// closed when there is something new; nil while nobody waits
	wake chan struct{}
}

// append adds a batch, and drops old ones until it fits. The newest always
// stays, even when it alone is over the limit: somebody has to get it.
func (f *feed) append(b Batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches = append(f.batches, b)
	f.size += b.cost()
	for f.size > f.limit && len(f.batches)-f.head > 1 {
		oldest := &f.batches[f.head]
		f.size -= oldest.cost()
		f.floor = oldest.Revision
		*oldest = Batch{}
		f.head++
	}
	if f.head > 64 && f.head > len(f.batches)/2 {
		f.batches = slices.Clone(f.batches[f.head:])
		f.head = 0
	}
	f.broadcast()
}

// reset empties the feed after the state was replaced.
func (f *feed) reset(revision uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches, f.head, f.size = nil, 0, 0
	f.floor = revision
	f.epoch++
	f.broadcast()
}

func (f *feed) broadcast() {
	if f.wake != nil {
		close(f.wake)
		f.wake = nil
	}
}

// after returns the batches after a revision, or the channel that is closed
// when there may be some.
func (f *feed) after(revision, epoch uint64) ([]Batch, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if epoch != f.epoch {
		return nil, nil, fmt.Errorf("read changes after revision %d: state was restored at revision %d: %w", revision, f.floor, ErrCompacted)
	}
	if revision < f.floor {
		return nil, nil, fmt.Errorf("read changes after revision %d: feed begins after %d: %w", revision, f.floor, ErrCompacted)
	}
	live := f.batches[f.head:]
	first, _ := slices.BinarySearchFunc(live, revision, func(b Batch, revision uint64) int {
		if b.Revision <= revision {
			return -1
		}
		return 1
	})
	if first < len(live) {
		return slices.Clone(live[first:min(len(live), first+maxBatches)]), nil, nil
	}
	if f.wake == nil {
		f.wake = make(chan struct{})
	}
	return nil, f.wake, nil
}

// Subscription is a position in the feed of changes. It holds nothing that
// needs to be given back and is for one goroutine.
type Subscription struct {
	machine *Machine
	after   uint64
	epoch   uint64
}

// Subscribe returns a position after a revision, which may lie in the future.
// It fails with ErrCompacted when the feed does not reach back so far.
func (m *Machine) Subscribe(after uint64) (*Subscription, error) {
	f := &m.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if after < f.floor {
		return nil, fmt.Errorf("subscribe after revision %d: feed begins after %d: %w", after, f.floor, ErrCompacted)
	}
	return &Subscription{machine: m, after: after, epoch: f.epoch}, nil
}

// FeedFloor returns the lowest revision after which one can subscribe.
func (m *Machine) FeedFloor() uint64 {
	m.feed.mu.Lock()
	defer m.feed.mu.Unlock()
	return m.feed.floor
}

// Next returns the batches after the position and moves it behind them: all
// that there are up to some hundred, and it waits until there is one. It fails
// with ErrCompacted when the subscriber was overtaken by the end of the feed or
// the state was restored, with ErrFailed when nothing will come any more, and
// with the context's error.
func (s *Subscription) Next(ctx context.Context) ([]Batch, error) {
	for {
		batches, wake, err := s.machine.feed.after(s.after, s.epoch)
		if err != nil {
			return nil, err
		}
		if len(batches) > 0 {
			s.after = batches[len(batches)-1].Revision
			return batches, nil
		}
		select {
		case <-wake:
		case <-s.machine.FailedC():
			return nil, s.machine.Failed()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Position returns the revision of the last batch returned, or that given to
// Subscribe.
func (s *Subscription) Position() uint64 { return s.after }
