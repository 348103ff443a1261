package keeper

import (
	"errors"
	"sync"
	"time"
)

var errIdle = errors.New("nothing runs and nobody asks")

// idle ends a keeper that has had neither processes nor clients for a while.
type idle struct {
	after time.Duration
	end   func()

	mu      sync.Mutex
	running int
	clients int
	timer   *time.Timer
	ended   bool
}

func newIdle(after time.Duration, end func()) *idle {
	i := &idle{after: after, end: end}
	i.timer = time.AfterFunc(after, i.check)
	return i
}

// addClient returns false when the keeper is about to end: who would start a
// process now would have it without a parent.
func (i *idle) addClient() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended {
		return false
	}
	i.clients++
	i.timer.Stop()
	return true
}

func (i *idle) dropClient() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clients--
	i.wind()
}

func (i *idle) setRunning(count int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.running = count
	i.wind()
}

func (i *idle) wind() {
	i.timer.Stop()
	if !i.ended && i.running == 0 && i.clients == 0 {
		i.timer.Reset(i.after)
	}
}

func (i *idle) check() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.ended && i.running == 0 && i.clients == 0 {
		i.ended = true
		i.end()
	}
}

func (i *idle) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	i.timer.Stop()
}
