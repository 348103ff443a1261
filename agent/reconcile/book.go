package reconcile

import (
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// book is what is known of the desired instance beyond what its runtime shows.
type book struct {
	// called is set once Start was called in this life: something may exist
	// even though it was never seen.
	called   bool
	calledAt time.Time
	// created is set once it was tried to create the instance ahead of its start.
	created bool
	// seen is set once the instance ran, in this life or an earlier one: its
	// absence means that it is lost. here is set when that was in this life.
	seen, here bool
	// left is set while all that is known of the instance is how it ended before the
	// machine was started anew: with leftCode.
	left     bool
	leftCode int32
	// attempts counts failed starts in a row; reason says how the last failed.
	attempts int
	reason   string
	// invalid says why the instance can never be created.
	invalid string
	// file is the mount point of the file that invalid or reason is about; empty
	// when it is not about one.
	file string
	// prepared is set once what serves the instance is there in this life.
	prepared bool
	// adoptions counts failed attempts to take that up from an earlier life, and
	// adoptAt is the earliest time of the next.
	adoptions int
	adoptAt   time.Time
	// notBefore is the earliest time of the next start, and pause how long that was
	// to wait for when the last run ended.
	notBefore time.Time
	pause     time.Duration
	// restarts counts the starts that the restart policy asked for; owed is set
	// while the next one will be such a start.
	restarts uint32
	owed     bool
	// quick counts the quick runs in a row.
	quick int
	// run is the last run that was seen, and began when it began.
	run   run
	began time.Time
	// ended is set when the end of the run was noted; exited when its exit code
	// is known too.
	ended, exited bool
	exitCode      int32
}

// pace is how restarts are slowed down: a run that is shorter than quick counts
// as a quick failure, and none is waited for longer than longest.
type pace struct{ quick, longest time.Duration }

// run tells one run of an instance from the next.
type run struct {
	id      string
	started time.Time
}

func runOf(i runtime.Instance) run { return run{id: i.RuntimeID, started: i.StartedAt} }

// same compares with a tolerance for runtimes that tell the time of the same
// start in different precision.
func (r run) same(other run) bool {
	if r.id != other.id {
		return false
	}
	if r.started.IsZero() || other.started.IsZero() {
		return r.started.IsZero() == other.started.IsZero()
	}
	return r.started.Sub(other.started).Abs() < time.Millisecond
}

// call takes note that Start is called. A restart counts from here on, so that
// it counts in every state that comes of it, and once however often it fails.
func (b *book) call(now time.Time) {
	b.called, b.calledAt, b.left = true, now, false
	if b.owed {
		b.restarts++
		b.owed = false
	}
}

// begin takes note that Start returned: a new run has begun when it was called.
func (b *book) begin(i runtime.Instance) {
	b.run, b.began = runOf(i), b.calledAt
	b.ended, b.exited = false, false
	b.attempts, b.reason = 0, ""
}

// observe takes note of how the instance is now.
func (b *book) observe(i runtime.Instance, now time.Time, p pace, random float64) {
	switch i.Status {
	case runtime.StatusRunning:
		if !b.seen || b.ended || !b.run.same(runOf(i)) {
			b.began = now
			if !i.StartedAt.IsZero() && i.StartedAt.Before(now) {
				b.began = i.StartedAt
			}
		}
		b.run = runOf(i)
		b.seen, b.here = true, true
		b.ended, b.exited = false, false
		b.attempts, b.reason = 0, ""
	case runtime.StatusExited:
		if b.attempts > 0 && (i.StartedAt.IsZero() || b.run.same(runOf(i))) {
			// Left over from a start that failed, or from the run before it.
			return
		}
		if !b.run.same(runOf(i)) {
			b.run = runOf(i)
			b.ended = false
			if b.began = i.StartedAt; b.began.IsZero() {
				b.began = now
			}
		}
		b.attempts, b.reason = 0, ""
		b.end(now, p, random)
		b.seen, b.here = true, true
		b.exited, b.exitCode = true, i.ExitCode
	case runtime.StatusUnknown, runtime.StatusStopping:
		// It ran once, or it could not be paused or stopping.
		if b.attempts == 0 && !b.seen {
			b.run, b.began = runOf(i), now
			b.seen, b.here = true, true
		}
	case runtime.StatusStarting:
		// Says neither that the instance ever ran, nor that it ended.
	}
}

// vanish takes note that the instance does not exist any more.
func (b *book) vanish(now time.Time, p pace, random float64) {
	if b.seen && b.attempts == 0 {
		b.end(now, p, random)
	}
}

// end computes, once a run, when the instance may be started again.
func (b *book) end(now time.Time, p pace, random float64) {
	if b.ended {
		return
	}
	b.ended, b.owed = true, true
	if now.Sub(b.began) >= p.quick {
		b.quick, b.pause = 0, 0
		b.notBefore = now
		return
	}
	b.quick++
	b.pause = restartDelay(b.quick, p.longest, random)
	b.notBefore = now.Add(b.pause)
}

// failed takes note of a start that failed.
func (b *book) failed(reason, file string, now time.Time, random float64) {
	b.attempts++
	b.reason, b.file = reason, file
	b.notBefore = now.Add(retryDelay(b.attempts, random))
}

// wantsRestart tells whether the policy asks for another run after the last
// one. A lost instance counts as one that failed.
func (b *book) wantsRestart(policy argosyv1.RestartPolicy) bool {
	switch policy {
	case argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS:
		return true
	case argosyv1.RestartPolicy_RESTART_POLICY_ON_FAILURE:
		return !b.exited || b.exitCode != 0
	default:
		return false
	}
}
