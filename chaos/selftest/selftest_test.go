package selftest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/planted"
)

// unprovoked are the bugs that no plan shows within seconds on real processes:
// what it takes is rare, or has limits of time that leave room for a machine with
// other things to do. Tests of the rooms that they are planted in find them.
var unprovoked = []planted.Bug{planted.OldOrders, planted.DeafLeader, planted.LoneAccuser}

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
			if _, ok := fault.Of(s.Fault); !ok {
				t.Errorf("%s: nobody knows how to do %s", c.Bug, s.Fault)
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
			_, err := Run(t.Context(), Config{Binary: binary, Dir: t.TempDir()})
			if err == nil || errors.Is(err, ErrNoBugs) != tc.none {
				t.Errorf("tried with %v", err)
			}
		})
	}
}

func TestOnlyWhatWasFoundCounts(t *testing.T) {
	found, clean := Outcome{Found: true}, Outcome{Found: true, Clean: true}
	missed, failed := Outcome{}, Outcome{Found: true, Clean: true, Err: errors.New("no lab")}
	if n := len(Wanting([]Outcome{found, clean, missed, failed}, false)); n != 2 {
		t.Errorf("%d are wanting, want 2", n)
	}
	if n := len(Wanting([]Outcome{found, clean, missed, failed}, true)); n != 3 {
		t.Errorf("with controls %d are wanting, want 3", n)
	}
}
