package control

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// end is the agent's end of a pipe. One goroutine uses it; others wake that one.
type end struct {
	// suspect is set when the pipe may have been replaced.
	suspect atomic.Bool
	kick    chan struct{}

	mu   sync.Mutex
	file *os.File
}

func newEnd() end { return end{kick: make(chan struct{}, 1)} }

// set replaces the open pipe, and closes the former one. What was opened is looked
// at once more: it may have been replaced before its folder was watched.
func (e *end) set(file *os.File) {
	e.mu.Lock()
	former := e.file
	e.file = file
	e.mu.Unlock()
	e.suspect.Store(file != nil)
	if former != nil {
		_ = former.Close()
	}
}

// wake makes its goroutine look at everything anew: it stops waiting, whatever it
// waits for.
func (e *end) wake() {
	e.mu.Lock()
	if e.file != nil {
		_ = e.file.SetDeadline(time.Unix(1, 0))
	}
	e.mu.Unlock()
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// check makes its goroutine see whether the pipe was replaced.
func (e *end) check() {
	e.suspect.Store(true)
	e.wake()
}

// use calls wait with the file, for waiting on it; it tells whether that was
// possible. A deadline that has passed, or somebody who wakes, is no error.
func (e *end) use(wait func(syscall.RawConn) error) error {
	raw, err := e.file.SyscallConn()
	if err == nil {
		err = wait(raw)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// waitUntil arms the deadline for the next wait; zero means none. Whoever wakes
// later is heard, and who did before left a trace that is looked at first.
func (e *end) waitUntil(deadline time.Time) { _ = e.file.SetDeadline(deadline) }

// pause waits, and tells whether the context goes on.
func pause(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}
