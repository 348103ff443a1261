package bench

import (
	"slices"
	"time"
)

// sample is a set of durations.
type sample []time.Duration

// at returns the quantile q of the sample, 0 when it is empty.
func (s sample) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s sample) max() time.Duration { return s.at(1) }
