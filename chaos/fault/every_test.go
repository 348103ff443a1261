//go:build !race

// Without the race detector, by the beginning of its name (make test): what is
// tried here is the faults. Those of this package that do them at the same time
// have the servers looked at by it, too.

package fault_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

func TestEveryFaultIsDoneAndUndone(t *testing.T) {
	a := mustArena(t, 3, lab.SiteConfig{DiskSize: diskSize, Shaped: true})
	var upgraded []string
	a.Upgrade = func(p *cluster.Process) { upgraded = append(upgraded, p.Name) }
	whole := a.T
	for i, f := range fault.All() {
		t.Run(string(f.Kind), func(t *testing.T) {
			a.T = t
			defer func() { a.T = whole }()
			if err := f.Available(a.World); err != nil {
				if !errors.Is(err, fault.ErrUnavailable) {
					t.Error(err)
				}
				t.Log(err)
				return
			}
			active := a.suffers(plan.Step{N: i + 1, Fault: f.Kind, Choice: uint64(i), ForMs: 300, Strength: 0.5})
			// Writes fail for a moment, but not for good: with the quorum there was one.
			if a.Ledger.Quorum() {
				a.goesOn()
			}
			a.heals(active)
			a.settles()
		})
	}
	if want := processNames(a.Cluster.Servers); !slices.Equal(upgraded, want) {
		t.Errorf("upgraded %v, want %v", upgraded, want)
	}
	a.restartsWhatEnds()
	a.ends()
}

// restartsWhatEnds ends processes behind everybody's back.
func (a *arena) restartsWhatEnds() {
	a.Helper()
	before := len(a.supervisor.Restarts())
	for _, p := range []*cluster.Process{a.Cluster.Servers[0], a.Cluster.Agents[0]} {
		must(a.T, p.Kill())
		eventually(a.T, p.Name+" to be started again", func() error {
			for _, restart := range a.supervisor.Restarts()[before:] {
				if restart.Name == p.Name && restart.Err != nil {
					return nil
				}
			}
			return errors.New("it was not")
		})
	}
	a.goesOn()
}
