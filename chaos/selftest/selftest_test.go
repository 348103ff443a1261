package selftest

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/sim"
	"github.com/argosy-cluster/argosy/planted"
)

// unprovoked are the bugs that cannot be seen from outside, by whatever plan; tests of
// the rooms that they are planted in find them. That of old orders is the second of
// two locks: an agent says in its hello which term it has followed, and a server that
// leads in a lower one does not take it (sessions.Service.whoLeads). As an agent has
// one session at a time, and leaves it for another one by a new hello, no orders of a
// lower term ever reach it, whether it would follow them or not.
var unprovoked = []planted.Bug{planted.OldOrders}

func TestEveryBugHasItsCase(t *testing.T) {
	seen := map[planted.Bug]bool{}
	for _, c := range Cases() {
		if seen[c.Bug] {
			t.Errorf("%s has two cases", c.Bug)
		}
		seen[c.Bug] = true
		if c.What == "" || len(c.Invariants) == 0 {
			t.Errorf("%s: what %q, invariants %v", c.Bug, c.What, c.Invariants)
		}
		if err := c.Plan.Validate(); err != nil {
			t.Errorf("%s: %v", c.Bug, err)
		}
		for _, s := range c.Plan.Steps {
			if _, ok := fault.Of(s.Fault); !ok || c.Simulated && !slices.Contains(sim.Kinds(), s.Fault) {
				t.Errorf("%s: nobody knows how to do %s (simulated: %v)", c.Bug, s.Fault, c.Simulated)
			}
		}
	}
	for _, bug := range planted.All() {
		if seen[bug] == slices.Contains(unprovoked, bug) {
			t.Errorf("%s has a case: %v", bug, seen[bug])
		}
	}
	if _, ok := Of("no-such-bug"); ok {
		t.Error("there is a case of no bug")
	}
}

// Of a program that cannot have bugs all would go unfound, and of one that does
// not even run, too.
func TestAProgramWithoutBugsIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		none   bool
	}{
		"takes no notice": {"exit 0", true},
		"does not run":    {"echo broken; exit 1", false},
	} {
		t.Run(name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "argosy")
			if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+tc.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := Run(t.Context(), Config{Binary: binary, Simulator: binary, Dir: t.TempDir()})
			if err == nil || errors.Is(err, ErrNoBugs) != tc.none {
				t.Errorf("tried with %v", err)
			}
		})
	}
}

func TestOnlyWhatWasFoundCounts(t *testing.T) {
	failed := errors.New("no lab")
	for name, tc := range map[string]struct {
		report Report
		good   bool
	}{
		"found, and nothing without": {Report{[]Outcome{{Found: true}}, []Control{{}}}, true},
		"missed":                     {Report{[]Outcome{{Found: true}, {}}, nil}, false},
		"failed":                     {Report{[]Outcome{{Found: true, Err: failed}}, nil}, false},
		"there without it, too":      {Report{[]Outcome{{Found: true}}, []Control{{Err: failed}}}, false},
	} {
		if tc.report.Good() != tc.good {
			t.Errorf("%s: good is %v", name, !tc.good)
		}
	}
}

func TestCasesThatShareAPlanShareAControl(t *testing.T) {
	cases := Cases()
	all := controlsOf(cases, AllControls, 0)
	if len(all) >= len(cases) {
		t.Errorf("%d controls of %d cases", len(all), len(cases))
	}
	bugs := map[planted.Bug]bool{}
	for _, c := range all {
		for _, bug := range c.Bugs {
			bugs[bug] = true
			if of, _ := Of(bug); !reflect.DeepEqual(of.Plan, c.Plan) || of.Simulated != c.Simulated {
				t.Errorf("the control of %s has another plan", bug)
			}
		}
	}
	if len(bugs) != len(cases) {
		t.Errorf("%d of %d cases have a control", len(bugs), len(cases))
	}
	if none := controlsOf(cases, NoControls, 0); len(none) > 0 {
		t.Errorf("%d controls, want none", len(none))
	}
}

// In a sample there is another one of each kind for every seed, until all were
// there.
func TestASampleGoesRound(t *testing.T) {
	cases := Cases()
	seen := map[planted.Bug]bool{}
	all := controlsOf(cases, AllControls, 0)
	for seed := range uint64(len(all)) {
		sample := controlsOf(cases, SomeControls, seed)
		if len(sample) != 2 || sample[0].Simulated || !sample[1].Simulated {
			t.Fatalf("a sample of %d", len(sample))
		}
		seen[sample[0].Bugs[0]], seen[sample[1].Bugs[0]] = true, true
	}
	if len(seen) != len(all) {
		t.Errorf("%d of %d controls were ever made", len(seen), len(all))
	}
}

func TestEveryJobIsDoneOnce(t *testing.T) {
	var work jobs
	var mu sync.Mutex
	done := map[int]int{}
	for i := range 20 {
		work.add(i%3 == 0, func() {
			mu.Lock()
			defer mu.Unlock()
			done[i]++
		})
	}
	work.do(2)
	for i := range 20 {
		if done[i] != 1 {
			t.Errorf("job %d was done %d times", i, done[i])
		}
	}
}
