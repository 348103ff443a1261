package ledger

import (
	"maps"
	"slices"

	"github.com/argosy-cluster/argosy/chaos/plan"
)

// Sum is what soaks of one sort add up to.
type Sum struct {
	Soaks      int64
	Trials     int64
	Minutes    float64
	Faults     map[string]int64
	Operations int64
	Violations map[string]int64
}

// Totals is what all soaks add up to.
type Totals struct {
	// Real is of those of real processes, Simulated of those in virtual time.
	Real, Simulated Sum
	VirtualHours    float64
	// Outages are those of real processes: for each percentile the worst that any
	// soak had. Percentiles of parts do not add up to one of the whole, but none of
	// the whole is above the worst of its parts.
	Outages map[string]Outage
}

// Total adds soaks up.
func Total(soaks []Soak) Totals {
	t := Totals{Real: newSum(), Simulated: newSum(), Outages: map[string]Outage{}}
	for _, s := range soaks {
		t.VirtualHours += s.VirtualHours
		if s.Simulated() {
			t.Simulated.add(&s)
			continue
		}
		t.Real.add(&s)
		for kind, o := range s.OutageMs {
			worst := t.Outages[kind]
			t.Outages[kind] = Outage{
				N: worst.N + o.N, P50: max(worst.P50, o.P50), P99: max(worst.P99, o.P99), Max: max(worst.Max, o.Max),
			}
		}
	}
	return t
}

// SinceViolation returns the soaks after the last one that found something
// wrong. What was mended since was not yet right before.
func SinceViolation(soaks []Soak) []Soak {
	for i, s := range slices.Backward(soaks) {
		if len(s.Violations) > 0 {
			return soaks[i+1:]
		}
	}
	return soaks
}

func newSum() Sum {
	return Sum{Faults: map[string]int64{}, Violations: map[string]int64{}}
}

func (s *Sum) add(soak *Soak) {
	s.Soaks++
	s.Trials += soak.Trials
	s.Minutes += soak.Minutes
	s.Operations += soak.Operations
	for kind, n := range soak.Faults {
		s.Faults[kind] += n
	}
	for invariant, n := range soak.Violations {
		s.Violations[invariant] += n
	}
}

// Of returns how many faults there were of some kinds.
func (s *Sum) Of(kinds ...plan.Kind) int64 {
	var n int64
	for _, kind := range kinds {
		n += s.Faults[string(kind)]
	}
	return n
}

// All returns how many faults there were.
func (s *Sum) All() int64 { return sum(maps.Values(s.Faults)) }

// Wrong returns how many violations there were.
func (s *Sum) Wrong() int64 { return sum(maps.Values(s.Violations)) }

func sum(values func(yield func(int64) bool)) int64 {
	var total int64
	for n := range values {
		total += n
	}
	return total
}
