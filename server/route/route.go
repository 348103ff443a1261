// Package route holds where something goes at the moment, such as the leader
// that writes are sent to, and lets whoever waits for another way know at once.
// It protects one invariant: who looks at the way and then waits for the next
// one misses none in between.
package route

import (
	"context"
	"sync/atomic"
)

// Switch is a value that changes, with a signal for each change. The zero value
// is closed.
type Switch[T any] struct {
	way atomic.Pointer[Way[T]]
}

// Way is one value of a Switch.
type Way[T any] struct {
	// To is where it leads; only meaningful when Open.
	To T
	// Open tells whether it leads anywhere.
	Open bool

	ctx    context.Context
	cancel context.CancelFunc
}

func newWay[T any](to T, open bool) *Way[T] {
	ctx, cancel := context.WithCancel(context.Background())
	return &Way[T]{To: to, Open: open, ctx: ctx, cancel: cancel}
}

// Gone is closed when the way has been replaced.
func (w *Way[T]) Gone() <-chan struct{} { return w.ctx.Done() }

// Context ends when the way has been replaced; for calls that are of no use any
// more then.
func (w *Way[T]) Context() context.Context { return w.ctx }

// Now returns the present way, never nil.
func (s *Switch[T]) Now() *Way[T] {
	for {
		if way := s.way.Load(); way != nil {
			return way
		}
		var nowhere T
		s.way.CompareAndSwap(nil, newWay(nowhere, false))
	}
}

// Set opens a new way.
func (s *Switch[T]) Set(to T) { s.replace(newWay(to, true)) }

// Close leaves no way.
func (s *Switch[T]) Close() {
	var nowhere T
	s.replace(newWay(nowhere, false))
}

func (s *Switch[T]) replace(way *Way[T]) {
	if old := s.way.Swap(way); old != nil {
		old.cancel()
	}
}
