package selftest

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/planted"
)

// Controls says which plans are carried out without a bug.
type Controls int

// The choices.
const (
	// NoControls carries out none.
	NoControls Controls = iota
	// SomeControls carries out a trial and a simulation, others for every seed.
	SomeControls
	// AllControls carries out all.
	AllControls
)

// Control is a plan that is carried out without a bug. Nothing must come of it.
type Control struct {
	Plan      *plan.Plan
	Simulated bool
	// Bugs are those that have the plan, Invariants what they must be found by.
	Bugs       []planted.Bug
	Invariants []string
	// Took is how long it took, Dir where it is.
	Took time.Duration
	Dir  string
	// Err is what was wrong.
	Err error
}

// controlsOf returns the controls of cases. Those with the same plan share one.
func controlsOf(cases []Case, which Controls, seed uint64) []Control {
	var trials, simulations []Control
	for _, c := range cases {
		all := &trials
		if c.Simulated {
			all = &simulations
		}
		i := slices.IndexFunc(*all, func(other Control) bool { return reflect.DeepEqual(other.Plan, c.Plan) })
		if i < 0 {
			i = len(*all)
			*all = append(*all, Control{Plan: c.Plan, Simulated: c.Simulated})
		}
		(*all)[i].Bugs = append((*all)[i].Bugs, c.Bug)
		(*all)[i].Invariants = append((*all)[i].Invariants, c.Invariants...)
	}
	switch which {
	case AllControls:
		return append(trials, simulations...)
	case SomeControls:
		return append(pick(trials, seed), pick(simulations, seed)...)
	}
	return nil
}

// pick picks one, each as often as any other over the seeds.
func pick(all []Control, seed uint64) []Control {
	if len(all) == 0 {
		return nil
	}
	i := seed % uint64(len(all))
	return all[i : i+1]
}

// control carries out a plan without a bug.
func (c Config) control(ctx context.Context, of *Control) {
	began := time.Now()
	defer func() { of.Took = time.Since(began) }()
	seen, err := c.carryOut(ctx, of.Plan, of.Simulated, "", "without-"+string(of.Bugs[0]))
	if err != nil {
		of.Err = err
		return
	}
	of.Dir = seen.dir
	if seen.failed != nil {
		of.Err = seen.failed
		return
	}
	for _, invariant := range slices.Sorted(maps.Keys(seen.violations)) {
		of.Err = fmt.Errorf("%s was violated, too (%s), in %s", invariant, seen.first[invariant].What, seen.dir)
		return
	}
	// What is found by being strict must not be found without the bug by being as
	// strict.
	if first, found := seen.of(of.Invariants); found {
		of.Err = fmt.Errorf("%s was violated, too, judged strictly (%s), in %s", first.Invariant, first.What, seen.dir)
	}
}

func (c *Control) text() string {
	var bugs []string
	for _, bug := range c.Bugs {
		bugs = append(bugs, string(bug))
	}
	text := fmt.Sprintf("%-16s %5.1fs  without %s: ", "control", c.Took.Seconds(), strings.Join(bugs, ", "))
	if c.Err != nil {
		return text + fmt.Sprintf("FAILED: %v", c.Err)
	}
	return text + "nothing is wrong"
}
