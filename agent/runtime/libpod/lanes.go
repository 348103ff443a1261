package libpod

import (
	"context"
	"sync"
)

// Lanes let one call at a time work on an instance.
type Lanes struct {
	mu    sync.Mutex
	lanes map[string]*lane
}

type lane struct {
	token chan struct{}
	users int
}

// NewLanes returns lanes that nobody is in.
func NewLanes() *Lanes { return &Lanes{lanes: make(map[string]*lane)} }

// Enter waits until nobody else works on the instance.
func (l *Lanes) Enter(ctx context.Context, key string) (leave func(), err error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	current := l.lanes[key]
	if current == nil {
		current = &lane{token: make(chan struct{}, 1)}
		l.lanes[key] = current
	}
	current.users++
	l.mu.Unlock()

	forget := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if current.users--; current.users == 0 {
			delete(l.lanes, key)
		}
	}
	select {
	case current.token <- struct{}{}:
		return func() { <-current.token; forget() }, nil
	case <-ctx.Done():
		forget()
		return nil, context.Cause(ctx)
	}
}
