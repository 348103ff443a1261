package writer

import (
	"fmt"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// crowd is how many requests have to wait for the queue to look whether another
// one has time to.
const crowd = 512

// paceWindow is for how long requests are counted to know how fast they go.
const paceWindow = 250 * time.Millisecond

// Bounds of what clients are told. A writer that takes nothing at all is most
// likely about to be replaced.
const (
	stuckAfter    = time.Second
	retryAtOnce   = 20 * time.Millisecond
	retryUnknown  = time.Second
	retryAtLatest = 10 * time.Second
)

// pace knows how fast requests leave the queue.
type pace struct {
	began  time.Time
	last   time.Time
	taken  int
	perOne time.Duration // 0: not known yet
}

// note counts requests that were taken.
func (p *pace) note(n int, now time.Time) {
	paused := now.Sub(p.last) > paceWindow
	p.last = now
	if paused {
		// There was nothing to take, or nothing could be: the time does not count.
		p.began, p.taken = now, 0
		return
	}
	p.taken += n
	passed := now.Sub(p.began)
	if passed < paceWindow {
		return
	}
	p.perOne = max(passed/time.Duration(p.taken), 1)
	p.began, p.taken = now, 0
}

// wait is about how long so many requests take.
func (p *pace) wait(waiting int, now time.Time) time.Duration {
	if p.perOne == 0 || now.Sub(p.last) > stuckAfter {
		return retryUnknown
	}
	return min(max(time.Duration(waiting)*p.perOne, retryAtOnce), retryAtLatest)
}

// overloaded refuses a request that may come back after a while.
func overloaded(wait time.Duration, format string, args ...any) error {
	err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED,
		"%s; nothing was changed, try again after %s", fmt.Sprintf(format, args...), wait.Round(time.Millisecond))
	err.Detail.RetryAfterMs = uint64(max(wait.Milliseconds(), 1))
	return err
}
