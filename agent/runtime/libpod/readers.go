package libpod

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// drainTimeout is how long the removal of a container that has ended waits for
// those who follow its log. Podman itself takes a quarter of a second until it
// has read a log to its end, and seconds when the machine is busy; who reads slower
// is told that lines are missing.
const drainTimeout = 10 * time.Second

// errCutOff is returned for a log whose container was removed before it was read.
var errCutOff = errors.New("the container was removed before its log was read to the end; its last lines may be missing")

// readers are those who follow the logs of containers. Podman ends what they read
// in the middle, and without an error, when the container is removed.
type readers struct {
	mu  sync.Mutex
	all map[string]map[*follower]struct{} // by container
}

// follower is one of them.
type follower struct {
	left chan struct{}
	cut  atomic.Bool
}

func newReaders() *readers { return &readers{all: make(map[string]map[*follower]struct{})} }

// enter notes a follower of a container until it leaves.
func (r *readers) enter(id string) (f *follower, leave func()) {
	f = &follower{left: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[id] == nil {
		r.all[id] = make(map[*follower]struct{})
	}
	r.all[id][f] = struct{}{}
	return f, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.all[id], f)
		if len(r.all[id]) == 0 {
			delete(r.all, id)
		}
		close(f.left)
	}
}

// Drain is called before a container is removed: it waits until those who follow
// its log have read it to its end, for a moment.
func (c *Client) Drain(ctx context.Context, id string) { c.readers.drain(ctx, id) }

// drain waits until all who follow a container have left. Those who have not in
// time are cut off.
func (r *readers) drain(ctx context.Context, id string) {
	r.mu.Lock()
	var here []*follower
	for f := range r.all[id] {
		here = append(here, f)
	}
	r.mu.Unlock()
	if len(here) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for _, f := range here {
		select {
		case <-f.left:
		case <-ctx.Done():
			f.cut.Store(true)
		}
	}
}
