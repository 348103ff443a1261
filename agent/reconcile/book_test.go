package reconcile

import (
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

const testQuick = 10 * time.Second

var testPace = pace{quick: testQuick, longest: delayCap}

func runningAt(started time.Time) runtime.Instance {
	return runtime.Instance{RuntimeID: "id", Status: runtime.StatusRunning, StartedAt: started}
}

func exitedAt(started time.Time, code int32) runtime.Instance {
	return runtime.Instance{RuntimeID: "id", Status: runtime.StatusExited, StartedAt: started, ExitCode: code}
}

func TestQuickRunsSlowRestartsDownAndALongRunEndsThat(t *testing.T) {
	var b book
	now := testNow
	live := func(length time.Duration) time.Duration {
		b.observe(runningAt(now), now, testPace, 0)
		started := now
		now = now.Add(length)
		b.observe(exitedAt(started, 1), now, testPace, 0)
		delay := b.notBefore.Sub(now)
		now = b.notBefore
		return delay
	}
	for i, want := range []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second} {
		if got := live(time.Second); got != want {
			t.Errorf("delay after quick run %d: %v, want %v", i+1, got, want)
		}
	}
	if got := live(testQuick); got != 0 {
		t.Errorf("delay after a long run: %v, want 0", got)
	}
	if got := live(time.Second); got != 0 {
		t.Errorf("delay after the first quick run again: %v, want 0", got)
	}
	for range 200 {
		if got := live(time.Millisecond); got > delayCap {
			t.Fatalf("delay %v is above the cap", got)
		}
	}
}

func TestOneEndCountsOnce(t *testing.T) {
	var b book
	b.observe(runningAt(testNow), testNow, testPace, 0)
	for range 5 {
		b.observe(exitedAt(testNow, 1), testNow.Add(time.Second), testPace, 0)
	}
	b.vanish(testNow.Add(time.Second), testPace, 0)
	if b.quick != 1 {
		t.Errorf("quick runs: %d, want 1", b.quick)
	}
	if !b.exited || b.exitCode != 1 {
		t.Errorf("exit code was forgotten when the instance vanished: %+v", b)
	}
}

func TestWhatAFailedStartLeavesIsNoRun(t *testing.T) {
	var b book
	b.failed("no such image", "", testNow, 0.5)
	b.observe(exitedAt(time.Time{}, 127), testNow, testPace, 0)
	b.observe(runtime.Instance{RuntimeID: "id", Status: runtime.StatusStarting}, testNow, testPace, 0)
	if b.seen || b.attempts != 1 {
		t.Errorf("left over instance counts as a run: %+v", b)
	}
	b.observe(exitedAt(testNow, 0), testNow, testPace, 0)
	if !b.seen || b.attempts != 0 || !b.exited {
		t.Errorf("an instance that ran all the same does not count: %+v", b)
	}
}

func TestARestartThatFailsStaysARetryThoughTheOldRunIsStillThere(t *testing.T) {
	var b book
	b.observe(runningAt(testNow), testNow, testPace, 0)
	b.observe(exitedAt(testNow, 1), testNow, testPace, 0)
	b.failed("no space", "", testNow, 0.5)
	b.observe(exitedAt(testNow, 1), testNow, testPace, 0)
	if b.attempts != 1 {
		t.Errorf("attempts: %d, want 1", b.attempts)
	}
	b.begin(runningAt(testNow.Add(time.Second)))
	b.observe(runningAt(testNow.Add(time.Second)), testNow.Add(time.Second), testPace, 0)
	if b.attempts != 0 || b.ended || b.exited {
		t.Errorf("a start that succeeded is not a new run: %+v", b)
	}
}

func TestAJobThatEndsAtOnceEveryTimeBacksOffThoughItsRunsLookAlike(t *testing.T) {
	// A runtime that tells neither ids nor times.
	var b book
	now := testNow
	for i := range 4 {
		b.calledAt = now
		b.begin(runtime.Instance{Status: runtime.StatusExited})
		b.observe(runtime.Instance{Status: runtime.StatusExited, ExitCode: 1}, now, testPace, 0)
		if b.quick != i+1 {
			t.Fatalf("quick runs after %d: %d", i+1, b.quick)
		}
	}
}
