package fsm

import (
	"container/heap"
	"context"
	"sync"
)

// waiters are those who wait for a revision. Each is woken once, when its turn
// has come: thousands of readers that wait cost an entry nothing that none of
// them waits for.
type waiters struct {
	mu   sync.Mutex
	heap waiterHeap
}

type waiter struct {
	index uint64
	ready chan struct{}
	at    int // place in the heap, -1 when not in it
}

func (w *waiters) add(index uint64) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := &waiter{index: index, ready: make(chan struct{})}
	heap.Push(&w.heap, one)
	return one
}

func (w *waiters) remove(one *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one.at >= 0 {
		heap.Remove(&w.heap, one.at)
	}
}

// release wakes those who wait for a revision up to this one.
func (w *waiters) release(revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.heap) > 0 && w.heap[0].index <= revision {
		close(heap.Pop(&w.heap).(*waiter).ready)
	}
}

// WaitApplied waits until an entry is in the state. A restore that brings the
// state there counts like applying. It fails with ErrFailed when that will not
// happen any more, and with the context's error.
func (m *Machine) WaitApplied(ctx context.Context, index uint64) error {
	if m.Applied() >= index {
		return nil
	}
	one := m.waiters.add(index)
	defer m.waiters.remove(one)
	// Whoever applies publishes first and releases then, so that either this
	// sees the new state or that finds the waiter.
	if m.Applied() >= index {
		return nil
	}
	select {
	case <-one.ready:
		return nil
	case <-m.FailedC():
		return m.Failed()
	case <-ctx.Done():
		return ctx.Err()
	}
}

type waiterHeap []*waiter

func (h waiterHeap) Len() int           { return len(h) }
func (h waiterHeap) Less(i, j int) bool { return h[i].index < h[j].index }

func (h waiterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *waiterHeap) Push(x any) {
	one := x.(*waiter)
	one.at = len(*h)
	*h = append(*h, one)
}

func (h *waiterHeap) Pop() any {
	last := len(*h) - 1
	one := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	one.at = -1
	return one
}
