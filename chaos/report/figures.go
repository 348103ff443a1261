package report

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// The sorts of operations whose latency is told apart.
const (
	writes     = "writes"
	reads      = "linearizable reads"
	staleReads = "stale reads"
)

// sortOf returns which sort an operation is of, empty for those of none.
func sortOf(o *history.Operation) string {
	switch o.Action {
	case history.Apply, history.Delete:
		return writes
	case history.Get, history.List:
		if o.Stale {
			return staleReads
		}
		return reads
	}
	return ""
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// latencies returns how long acknowledged operations took, in milliseconds.
func latencies(h *history.History) map[string][]float64 {
	ms := map[string][]float64{}
	for i := range h.Operations {
		o := &h.Operations[i]
		if what := sortOf(o); what != "" && o.Outcome == history.Done {
			ms[what] = append(ms[what], milliseconds(o.Return.Sub(o.Call)))
		}
	}
	return ms
}

// span is from one moment to another.
type span struct{ from, to history.Micros }

func (s span) length() time.Duration { return s.to.Sub(s.from) }

// behind returns the spans in which an agent was seen not to be where it shall
// be, and those in which it had no session, by agent.
func behind(h *history.History) (late, away map[string][]span) {
	late, away = map[string][]span{}, map[string][]span{}
	last := map[string]*history.Look{}
	for i := range h.Looks {
		look := &h.Looks[i]
		if before := last[look.Agent]; before != nil {
			switch passed := (span{before.At, look.At}); {
			case !before.Connected:
				away[look.Agent] = extend(away[look.Agent], passed)
			case before.Converged < before.Wanted:
				late[look.Agent] = extend(late[look.Agent], passed)
			}
		}
		last[look.Agent] = look
	}
	return late, away
}

// extend adds a span, to the last one when they touch.
func extend(spans []span, s span) []span {
	if n := len(spans); n > 0 && spans[n-1].to == s.from {
		spans[n-1].to = s.to
		return spans
	}
	return append(spans, s)
}

// convergences returns how long after the end of a fault agents were where they
// shall be, of those that were not at its end, in milliseconds. Another fault
// that begins meanwhile makes that no figure of the first one.
func convergences(h *history.History) []float64 {
	looks := map[string][]history.Look{}
	for _, look := range h.Looks {
		looks[look.Agent] = append(looks[look.Agent], look)
	}
	faults := newEffects(h.Faults)
	var ms []float64
	for _, f := range h.Faults {
		if f.Healed == 0 || f.Skipped {
			continue
		}
		for _, seen := range looks {
			if at, ok := converged(seen, f.Healed); ok && !faults.during(span{f.Healed + 1, at}) {
				ms = append(ms, milliseconds(at.Sub(f.Healed)))
			}
		}
	}
	return ms
}

// converged returns when an agent that was not where it shall be at a moment was
// seen to be.
func converged(looks []history.Look, from history.Micros) (history.Micros, bool) {
	i, _ := slices.BinarySearchFunc(looks, from, func(l history.Look, at history.Micros) int { return int(l.At - at) })
	if i == 0 || good(looks[i-1]) {
		return 0, false
	}
	for ; i < len(looks); i++ {
		if good(looks[i]) {
			return looks[i].At, true
		}
	}
	return 0, false
}

func good(l history.Look) bool { return l.Connected && l.Converged >= l.Wanted }

// effects tells when faults were in effect.
type effects struct {
	// begun are when they were begun, in order, healed when the last one of each
	// and all before it was.
	begun, healed []history.Micros
}

func newEffects(faults []history.Fault) *effects {
	done := slices.DeleteFunc(slices.Clone(faults), func(f history.Fault) bool { return f.Skipped || f.Struck == 0 })
	slices.SortStableFunc(done, func(a, b history.Fault) int { return cmp.Compare(a.Begun, b.Begun) })
	e := &effects{}
	last := history.Micros(0)
	for _, f := range done {
		if f.Healed == 0 {
			f.Healed = math.MaxInt64
		}
		last = max(last, f.Healed)
		e.begun, e.healed = append(e.begun, f.Begun), append(e.healed, last)
	}
	return e
}

// during tells whether a fault was in effect in a span.
func (e *effects) during(s span) bool {
	n, _ := slices.BinarySearch(e.begun, s.to+1)
	return n > 0 && e.healed[n-1] >= s.from
}
