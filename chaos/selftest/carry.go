package selftest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/sim"
	"github.com/argosy-cluster/argosy/chaos/trial"
	"github.com/argosy-cluster/argosy/planted"
)

// sighting is what was found when a plan was carried out.
type sighting struct {
	dir string
	// violations is how many there were of each invariant, first the first of each,
	// strictly judged.
	violations map[string]int64
	first      map[string]check.Violation
	// failed is why it was not carried out as planned, or not judged.
	failed error
}

// of returns a violation of one of some invariants.
func (s *sighting) of(invariants []string) (check.Violation, bool) {
	for _, invariant := range invariants {
		if violation, ok := s.first[invariant]; ok {
			return violation, true
		}
	}
	return check.Violation{}, false
}

// carryOut carries a plan out, with a bug or, when that is empty, without one.
func (c Config) carryOut(ctx context.Context, p *plan.Plan, simulated bool, bug planted.Bug, name string) (*sighting, error) {
	dir := filepath.Join(c.Dir, name)
	if simulated {
		return c.simulation(ctx, p, bug, dir)
	}
	return c.trial(ctx, p, bug, dir)
}

func (c Config) simulation(ctx context.Context, p *plan.Plan, bug planted.Bug, dir string) (*sighting, error) {
	summary, err := sim.Apart{Program: c.Simulator, Environment: environment(bug)}.Simulate(ctx, p, dir)
	if err != nil {
		return nil, err
	}
	seen := &sighting{dir: dir, violations: summary.Violations, first: map[string]check.Violation{}}
	for invariant, what := range summary.First {
		seen.first[invariant] = check.Violation{Invariant: invariant, What: what}
	}
	if summary.Error != "" {
		seen.failed = errors.New(summary.Error)
	} else if len(summary.Unjudged) > 0 {
		seen.failed = fmt.Errorf("not judged: %v", summary.Unjudged)
	}
	return seen, nil
}

// Patience of a trial. With a bug in it a cluster may never be whole again, which
// need not be waited for.
const (
	patience        = 8 * time.Second
	controlPatience = time.Minute
	quiet           = time.Second
)

func (c Config) trial(ctx context.Context, p *plan.Plan, bug planted.Bug, dir string) (*sighting, error) {
	config := trial.Config{
		Plan: p, Binary: c.Binary, Prober: c.Prober, Planted: string(bug), Environment: environment(bug),
		Dir: dir, Patience: patience, Quiet: quiet, Logger: c.Logger,
	}
	if bug == "" {
		config.Patience = controlPatience
	}
	result, err := trial.Run(ctx, config)
	if err != nil {
		return nil, err
	}
	strict, err := strictly(dir)
	if err != nil {
		return nil, err
	}
	seen := &sighting{dir: dir, violations: strict.Violations, first: map[string]check.Violation{}, failed: result.Err}
	if bug == "" {
		seen.violations = result.Verdict.Violations
		if seen.failed == nil && len(result.Verdict.Unjudged) > 0 {
			seen.failed = fmt.Errorf("not judged: %v", result.Verdict.Unjudged)
		}
	}
	for invariant, r := range strict.Results {
		if len(r.Violations) > 0 {
			seen.first[invariant] = r.Violations[0]
		}
	}
	return seen, nil
}

// strictly judges a trial once more, and makes no allowance for what else the
// machine had to do: it would have to be waited for.
func strictly(dir string) (*check.Verdict, error) {
	h, err := history.Read(dir)
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	h.Meta.Load = 0
	return check.Judge(h), nil
}

func environment(bug planted.Bug) []string { return []string{planted.Variable + "=" + string(bug)} }
