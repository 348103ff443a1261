package reconcile

import (
	"math"
	"testing"
	"time"
)

func TestDelaysAreCappedForAnyNumberOfFailures(t *testing.T) {
	for _, n := range []int{0, 1, 2, 9, 10, 11, 56, 62, 63, 64, 1000, math.MaxInt} {
		for _, random := range []float64{0, 0.5, 0.999999} {
			if d := retryDelay(n, random); d < 0 || d > delayCap {
				t.Errorf("retryDelay(%d, %v) = %v", n, random, d)
			}
			if d := restartDelay(n, delayCap, random); d < 0 || d > delayCap {
				t.Errorf("restartDelay(%d, %v) = %v", n, random, d)
			}
		}
	}
}

func TestRetryDelayIsUniformBelowADoublingCeiling(t *testing.T) {
	for n, want := range map[int]time.Duration{
		1: 500 * time.Millisecond, 2: time.Second, 3: 2 * time.Second, 10: 256 * time.Second, 11: 5 * time.Minute, 80: 5 * time.Minute,
	} {
		if got := retryDelay(n, 0); got != 0 {
			t.Errorf("retryDelay(%d) begins at %v, want 0", n, got)
		}
		if got := retryDelay(n, 0.5); got != want/2 {
			t.Errorf("middle of retryDelay(%d) = %v, want %v", n, got, want/2)
		}
	}
}

func TestRestartIsPromptOnceAndThenBacksOff(t *testing.T) {
	for n, want := range map[int]time.Duration{
		0: 0, 1: 0, 2: 500 * time.Millisecond, 3: time.Second, 4: 2 * time.Second, 12: 5 * time.Minute, 999: 5 * time.Minute,
	} {
		if got := restartDelay(n, delayCap, 0); got != want {
			t.Errorf("longest restartDelay(%d) = %v, want %v", n, got, want)
		}
		if got := restartDelay(n, delayCap, 1); got != want*3/4 {
			t.Errorf("shortest restartDelay(%d) = %v, want %v", n, got, want*3/4)
		}
	}
}

func TestARestartWaitsNoLongerThanItMay(t *testing.T) {
	for n := range 80 {
		if d := restartDelay(n, 3*time.Second, 0); d > 3*time.Second {
			t.Errorf("restartDelay(%d) = %v, want at most 3 s", n, d)
		}
	}
}
