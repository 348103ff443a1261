package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
)

const (
	// mostFindings of one invariant are told.
	mostFindings = 10
	// mostAround is how many events around a finding are told, around how far from
	// it they may be.
	mostAround = 14
	around     = 1500 * time.Millisecond
)

// longStall is how long the machine must have kept somebody waiting for that to be
// told: what takes less is usual.
const longStall = 50 * time.Millisecond

// finding is a violation with what happened around it.
type finding struct {
	check.Violation
	Class string
	// Found is how many there were of the invariant, told in the first of them.
	Found int64
	// When it was, Left where the timeline has it; empty when that cannot be said.
	When     string
	From, To float64
	Left     float64
	Events   []event
}

// event is something that happened around a finding.
type event struct {
	at          history.Micros
	When, Class string
	What        string
}

func findings(t *timeline, v *check.Verdict) []finding {
	var all []finding
	for _, name := range slices.Sorted(maps.Keys(v.Results)) {
		r := v.Results[name]
		for i, violation := range r.Violations[:min(len(r.Violations), mostFindings)] {
			f := finding{Violation: violation}
			if i == 0 {
				f.Found = r.Found
			}
			if violation.At != 0 {
				f.When, f.Left = t.clock(violation.At), t.place(violation.At)
				f.From, f.To = t.place(violation.At.Add(-around)), t.place(violation.At.Add(around))
				f.Events = t.around(violation.At)
			}
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b finding) int { return cmp.Compare(rank(a.Invariant), rank(b.Invariant)) })
	return all
}

// around returns what happened near a moment, and what was in effect then.
func (t *timeline) around(at history.Micros) []event {
	from, to := at.Add(-around), at.Add(around)
	near := func(m history.Micros) bool { return m >= from && m <= to }
	var events []event
	add := func(at history.Micros, class, format string, args ...any) {
		events = append(events, event{at: at, When: t.clock(at), Class: class, What: fmt.Sprintf(format, args...)})
	}
	for i := range t.h.Faults {
		f := &t.h.Faults[i]
		if f.Skipped || f.Struck == 0 {
			continue
		}
		class := cmp.Or(classes[f.Kind], "other")
		if near(f.Struck) || f.Struck < from && (f.Healed == 0 || f.Healed > from) {
			add(f.Struck, class, "fault %d begins: %s", f.Step, describe(f))
		}
		if near(f.Healed) {
			add(f.Healed, class, "fault %d is healed: %s", f.Step, f.Kind)
		}
	}
	for _, l := range t.h.Leaderships {
		if near(l.At) && l.Gained {
			add(l.At, "leads", "%s leads in term %d", l.Server, l.Term)
		} else if near(l.At) && l.Elected {
			add(l.At, "leads", "%s is elected in term %d", l.Server, l.Term)
		} else if near(l.At) {
			add(l.At, "leads", "%s leads no more (term %d)", l.Server, l.Term)
		}
	}
	for _, l := range t.h.Lines {
		if near(l.At) {
			add(l.At, "line", "%s printed: %s", l.Process, short(l.Text))
		}
	}
	for i := range t.h.Stalls {
		s := &t.h.Stalls[i]
		if s.From <= to && s.To >= from && s.Micros >= longStall.Microseconds() {
			add(s.From, "line", "the machine kept %s waiting, for %s of %s", s.Who, spanText(time.Duration(s.Micros)*time.Microsecond), spanText(s.To.Sub(s.From)))
		}
	}
	for _, gap := range gaps(t.h) {
		if near(gap.from) || near(gap.to) {
			add(gap.from, "outage", "no write was acknowledged for %s", spanText(gap.length()))
		}
	}
	// The nearest ones, told in the order of time, with the finding among them.
	distance := func(e event) history.Micros { return max(e.at-at, at-e.at) }
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(distance(a), distance(b)) })
	events = events[:min(len(events), mostAround)]
	add(at, "here", "the violation")
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return events
}

// short leaves out the end of a long line, which its log has.
func short(text string) string {
	const most = 240
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
