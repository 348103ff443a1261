package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// acknowledged returns when writes were acknowledged, in order.
func acknowledged(h *history.History) []history.Micros {
	var at []history.Micros
	for i := range h.Operations {
		if o := &h.Operations[i]; sortOf(o) == writes && o.Outcome == history.Done {
			at = append(at, o.Return)
		}
	}
	slices.Sort(at)
	return at
}

// gaps returns the spans without an acknowledged write that are so long that
// somebody notices: 50 ms, or 20 times as long as in the middle when the load is
// so light.
func gaps(h *history.History) []span {
	at := acknowledged(h)
	if len(at) < 2 {
		return nil
	}
	between := make([]time.Duration, 0, len(at)-1)
	for i := 1; i < len(at); i++ {
		between = append(between, at[i].Sub(at[i-1]))
	}
	slices.Sort(between)
	noticed := max(50*time.Millisecond, 20*between[len(between)/2])
	var found []span
	for i := 1; i < len(at); i++ {
		if gap := (span{at[i-1], at[i]}); gap.length() >= noticed {
			found = append(found, gap)
		}
	}
	return found
}

// after is for how long after its end a fault is still to blame: what comes back
// may disturb those that went on without it.
const after = time.Second

// outage is how long writes waited because of a fault.
type outage struct {
	fault *history.Fault
	ms    float64
}

// outages returns the outage of each fault that was done and has one of its own:
// the longest span without an acknowledged write that reaches into its time. One
// that begins before it and ends after it is as much an outage as one within.
//
// Without a quorum nothing is written, whatever the product is worth: then what
// counts is what follows the beginning of the fault's end. When several faults
// took the quorum together, none of them can be blamed.
func outages(h *history.History) []outage {
	at := acknowledged(h)
	if len(at) < 2 {
		return nil
	}
	var faults []*history.Fault
	for i := range h.Faults {
		if f := &h.Faults[i]; !f.Skipped && f.Struck != 0 {
			faults = append(faults, f)
		}
	}
	slices.SortStableFunc(faults, func(a, b *history.Fault) int { return cmp.Compare(a.Begun, b.Begun) })
	var all []outage
	// latest is when the last of the faults before ended.
	var latest history.Micros
	for i, f := range faults {
		end := max(f.Healed, f.Struck)
		alone := f.Begun > latest && (i+1 == len(faults) || faults[i+1].Begun > end)
		latest = max(latest, end)
		if f.Error != "" || !f.Quorum && !alone {
			continue
		}
		blame := span{f.Begun, end.Add(after)}
		next, _ := slices.BinarySearchFunc(faults, end+1, func(f *history.Fault, at history.Micros) int { return cmp.Compare(f.Begun, at) })
		until := at[len(at)-1]
		if next < len(faults) {
			until = faults[next].Begun
			blame.to = min(blame.to, until)
		}
		from := history.Micros(0)
		if !f.Quorum {
			from = max(f.Healing, f.Begun)
		}
		all = append(all, outage{f, milliseconds(longestGap(at, blame, span{from, until}))})
	}
	return all
}

// longestGap returns the longest of the spans between moments that reach into a
// window; only what is between two bounds counts of each.
func longestGap(at []history.Micros, window, counts span) time.Duration {
	first, _ := slices.BinarySearch(at, window.from)
	var longest time.Duration
	for i := max(first, 1); i < len(at) && at[i-1] <= window.to; i++ {
		longest = max(longest, min(at[i], counts.to).Sub(max(at[i-1], counts.from)))
	}
	return longest
}
