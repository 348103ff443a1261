package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// SummaryFile is the summary in the directory of a simulation.
const SummaryFile = "simulation.json"

// Summary is what came of a simulation, in short.
type Summary struct {
	Seed uint64 `json:"seed"`
	// VirtualHours passed in it, RealSeconds outside.
	VirtualHours float64 `json:"virtual_hours"`
	RealSeconds  float64 `json:"real_seconds"`
	// Faults that were done, by kind, and Operations that were checked.
	Faults     map[string]int64 `json:"faults"`
	Operations int64            `json:"operations"`
	// Violations by invariant, with the first of each in words, and what was not
	// judged, with the reasons.
	Violations map[string]int64  `json:"violations"`
	First      map[string]string `json:"first,omitempty"`
	Unjudged   map[string]string `json:"unjudged,omitempty"`
	// Error is why the simulation failed.
	Error string `json:"error,omitempty"`
}

// Held tells whether everything was judged and nothing was wrong.
func (s *Summary) Held() bool {
	return s.Error == "" && len(s.Violations) == 0 && len(s.Unjudged) == 0 && s.Operations > 0
}

// FaultCount is how many faults were done.
func (s *Summary) FaultCount() int64 {
	var n int64
	for _, count := range s.Faults {
		n += count
	}
	return n
}

// Simulate runs a plan, judges it and leaves in a directory, which is made, a
// summary, and when it did not hold the plan and the history, for those who look
// for the cause.
func Simulate(cfg Config, dir string) (*Summary, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("simulate: make directory: %w", err)
	}
	result, failed := Run(cfg)
	if result == nil {
		return nil, failed
	}
	s := summarize(cfg.Plan.Seed, result, failed)
	var err error
	if !s.Held() {
		err = save(dir, cfg.Plan, result.History)
	}
	return s, errors.Join(err, writeJSON(filepath.Join(dir, SummaryFile), s))
}

// ReadSummary reads the summary in the directory of a simulation.
func ReadSummary(dir string) (*Summary, error) {
	text, err := os.ReadFile(filepath.Join(dir, SummaryFile))
	if err != nil {
		return nil, fmt.Errorf("read what came of a simulation: %w", err)
	}
	s := &Summary{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("read what came of the simulation in %s: %w", dir, err)
	}
	return s, nil
}

func summarize(seed uint64, result *Result, failed error) *Summary {
	v := check.Judge(result.History)
	s := &Summary{
		Seed: seed, VirtualHours: result.Virtual.Hours(), RealSeconds: result.Real.Seconds(),
		Faults: result.Faults, Operations: v.Operations, Violations: v.Violations, Unjudged: v.Unjudged, First: map[string]string{},
	}
	for invariant, r := range v.Results {
		if len(r.Violations) > 0 {
			s.First[invariant] = r.Violations[0].What
		}
	}
	if failed != nil {
		s.Error = failed.Error()
	}
	return s
}

// save writes a history that was kept in memory.
func save(dir string, p *plan.Plan, h *history.History) error {
	r, err := history.Create(dir, h.Meta)
	if err != nil {
		return fmt.Errorf("keep the history of a simulation: %w", err)
	}
	each(h.Operations, r.Operation)
	each(h.Sights, r.Sight)
	each(h.Events, r.Event)
	each(h.LogRuns, r.LogRun)
	each(h.Beats, r.Beat)
	each(h.Faults, r.Fault)
	each(h.Leaderships, r.Leadership)
	each(h.Looks, r.Look)
	each(h.Levels, r.Level)
	each(h.Lines, r.Line)
	each(h.Replicas, r.Replica)
	if _, err := r.Close(); err != nil {
		return fmt.Errorf("keep the history of a simulation: %w", err)
	}
	return writeJSON(filepath.Join(dir, history.PlanFile), p)
}

func each[T any](records []T, record func(T)) {
	for _, r := range records {
		record(r)
	}
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("keep what came of a simulation: %w", err)
	}
	return nil
}
