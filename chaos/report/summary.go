package report

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/ledger"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// SummaryVersion is that of the file of a summary.
const SummaryVersion = 1

// Judgement is what a trial showed.
type Judgement string

// The judgements.
const (
	// Held says that everything was judged and nothing was wrong.
	Held Judgement = "held"
	// Violated says that something was wrong, whatever else was not judged.
	Violated Judgement = "violated"
	// NotJudged says that nothing was found wrong, and not everything was judged.
	NotJudged Judgement = "not judged"
)

// Summary is what came of a trial, for programs.
type Summary struct {
	// Version of the file.
	Version int `json:"version"`
	// Judgement, and why it is not "held".
	Judgement Judgement `json:"judgement"`
	Reasons   []string  `json:"reasons,omitempty"`

	// What was tried: see history.Meta.
	Seed      uint64            `json:"seed"`
	Profile   string            `json:"profile"`
	Commit    string            `json:"commit,omitempty"`
	Binary    string            `json:"binary,omitempty"`
	Planted   string            `json:"planted,omitempty"`
	Simulated bool              `json:"simulated,omitempty"`
	Started   string            `json:"started,omitempty"`
	Seconds   float64           `json:"seconds"`
	Settings  map[string]string `json:"settings,omitempty"`
	// Replay is the command that does the same again.
	Replay string `json:"replay"`

	// Faults that were done, Skipped on purpose, and Failed to be done or healed,
	// by kind.
	Faults  map[string]int64 `json:"faults"`
	Skipped map[string]int64 `json:"skipped,omitempty"`
	Failed  map[string]int64 `json:"failed,omitempty"`
	// Operations that were recorded, by outcome, and Checked: those judged by one
	// checker at least.
	Operations map[string]int64 `json:"operations"`
	Checked    int64            `json:"checked"`
	// Violations by invariant, and what each checker looked at.
	Violations map[string]int64     `json:"violations"`
	Invariants map[string]Invariant `json:"invariants"`
	// Idle are invariants of which nothing in this trial could have shown a
	// violation: neither held nor broken.
	Idle []string `json:"idle,omitempty"`
	// OutageMs is for how long writes were not acknowledged, by kind of fault;
	// LatencyMs how long acknowledged operations took, by what they were;
	// ConvergenceMs how long after a fault was healed agents were where they shall
	// be, of those that were not before.
	OutageMs      map[string]ledger.Outage `json:"outage_ms"`
	LatencyMs     map[string]ledger.Outage `json:"latency_ms"`
	ConvergenceMs *ledger.Outage           `json:"convergence_ms,omitempty"`
	// Outages are the single outages that OutageMs is of: percentiles of several
	// trials can be had of nothing else.
	Outages map[string][]float64 `json:"outages"`
	// Leaders is how often a server began to lead.
	Leaders int64 `json:"leaders"`
}

// Invariant is what one checker did.
type Invariant struct {
	Checked  int64  `json:"checked"`
	Found    int64  `json:"found,omitempty"`
	Unjudged string `json:"unjudged,omitempty"`
}

// Summarize says what came of a trial. Without a verdict nothing was judged; the
// plan may be nil when it is not known.
func Summarize(h *history.History, v *check.Verdict, p *plan.Plan) *Summary {
	m := h.Meta
	s := &Summary{
		Version: SummaryVersion,
		Seed:    m.Seed, Profile: m.Profile, Commit: m.Commit, Binary: m.Binary, Planted: m.Planted, Simulated: m.Simulated,
		Started: m.Started, Seconds: m.Ended.Sub(m.Began).Seconds(), Settings: m.Settings, Replay: replay(m, p),
		Faults: map[string]int64{}, Skipped: map[string]int64{}, Failed: map[string]int64{},
		Operations: map[string]int64{}, Violations: map[string]int64{}, Invariants: map[string]Invariant{},
		Outages: map[string][]float64{}, OutageMs: map[string]ledger.Outage{}, LatencyMs: map[string]ledger.Outage{},
	}
	s.Judgement, s.Reasons = judge(h, v)
	for _, f := range h.Faults {
		switch {
		case f.Skipped:
			s.Skipped[f.Kind]++
		case f.Error != "":
			s.Failed[f.Kind]++
		default:
			s.Faults[f.Kind]++
		}
	}
	for _, o := range h.Operations {
		s.Operations[string(o.Outcome)]++
	}
	if v != nil {
		s.Checked = v.Operations
		s.Idle = v.Idle
		maps.Copy(s.Violations, v.Violations)
		for name, r := range v.Results {
			s.Invariants[name] = Invariant{Checked: r.Checked, Found: r.Found, Unjudged: cmp.Or(r.Unjudged, v.Unjudged[name])}
		}
	}
	for _, o := range outages(h) {
		s.Outages[o.fault.Kind] = append(s.Outages[o.fault.Kind], o.ms)
	}
	for kind, ms := range s.Outages {
		s.OutageMs[kind] = ledger.Percentiles(ms)
	}
	for what, ms := range latencies(h) {
		s.LatencyMs[what] = ledger.Percentiles(ms)
	}
	if ms := convergences(h); len(ms) > 0 {
		p := ledger.Percentiles(ms)
		s.ConvergenceMs = &p
	}
	for _, l := range h.Leaderships {
		if l.Gained {
			s.Leaders++
		}
	}
	return s
}

// judge says what a trial showed. "Held" has to be earned: every way in which
// something was not looked at is a reason against it.
func judge(h *history.History, v *check.Verdict) (Judgement, []string) {
	var reasons []string
	because := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	if v == nil || v.Unjudged[check.Trial] == "" {
		if h.Meta.Error != "" {
			because("the trial itself failed: %s", h.Meta.Error)
		}
		for _, name := range h.Cut {
			because("the history is not whole: %s was cut off", name)
		}
	}
	for _, f := range h.Faults {
		if f.Healed == 0 && !f.Skipped && f.Struck != 0 {
			because("fault %d (%s) was never healed: %s", f.Step, f.Kind, cmp.Or(f.Error, "nobody says why"))
		}
	}
	if v == nil {
		because("no checker has run")
		return NotJudged, reasons
	}
	if v.Operations == 0 {
		because("no operation was judged")
	}
	for _, name := range slices.Sorted(maps.Keys(v.Unjudged)) {
		if name == check.Trial {
			because("%s", v.Unjudged[name])
			continue
		}
		because("%s could not be judged: %s", name, v.Unjudged[name])
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(v.Violations)) {
		wrong = append(wrong, fmt.Sprintf("%s was violated %s", name, times(v.Violations[name])))
	}
	reasons = append(wrong, reasons...)
	switch {
	case len(wrong) > 0:
		return Violated, reasons
	case len(reasons) > 0 || !v.Held():
		return NotJudged, reasons
	}
	return Held, nil
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// replay is the command that does the same again, the file of the plan beside
// it where a seed does not say it all.
func replay(m history.Meta, p *plan.Plan) string {
	if m.Simulated && p != nil {
		return "argosy-chaos simulate --plan " + history.PlanFile
	}
	if m.Simulated {
		return fmt.Sprintf("argosy-chaos simulate --seeds 1 --seed %d", m.Seed)
	}
	if p == nil {
		return "argosy-chaos replay DIR"
	}
	// Of a plan that was written by hand or made smaller, seed and profile tell
	// where it came from only.
	if made, err := plan.MakeFor(p.Seed, p.Profile, p.Duration()); err == nil && reflect.DeepEqual(made, p) {
		return fmt.Sprintf("argosy-chaos run --profile %s --seed %d --for %v", p.Profile, p.Seed, p.Duration())
	}
	return "argosy-chaos run --plan " + history.PlanFile
}
