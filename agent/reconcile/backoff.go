package reconcile

import "time"

const (
	delayStep = 500 * time.Millisecond
	delayCap  = 5 * time.Minute
)

// ceiling returns min(2^n * 500 ms, 5 min); it is exact for every n, since it
// never computes a power that could overflow.
func ceiling(n int) time.Duration {
	d := delayStep
	for range n {
		if d >= delayCap {
			break
		}
		d *= 2
	}
	return min(d, delayCap)
}

// retryDelay is how long to wait after the n-th failed attempt in a row (from
// 1) to create or remove an instance: uniform from nothing to the ceiling.
// random is in [0, 1).
func retryDelay(n int, random float64) time.Duration {
	return time.Duration(random * float64(ceiling(max(n, 1)-1)))
}

// restartDelay is how long to wait before a restart after the n-th quick run in
// a row (from 1). The first restart is prompt; later ones wait between three
// quarters of the ceiling and the ceiling, so that what failed together does
// not start together. The ceiling is at most longest.
func restartDelay(n int, longest time.Duration, random float64) time.Duration {
	if n <= 1 {
		return 0
	}
	d := min(ceiling(n-2), longest)
	return d - time.Duration(random*float64(d)/4)
}
