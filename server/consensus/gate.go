package consensus

import (
	"context"
	"sync"
)

// gate lets proposals in, and can be shut to wait until those inside are done.
//
// Raft refuses proposals one by one while it hands leadership over: of two
// that build on each other it could refuse the first and take the second. So
// none may be on the way at that time.
type gate struct {
	mu     sync.Mutex
	shut   int
	inside int
	empty  chan struct{} // closed when the last one leaves; nil when nobody waits
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut > 0 {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// close shuts the gate; open must be called as often.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut++
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut--
}

// drained waits until nobody is inside.
func (g *gate) drained(ctx context.Context) error {
	g.mu.Lock()
	if g.inside == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
