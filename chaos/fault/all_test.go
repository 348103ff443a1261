package fault_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	"github.com/argosy-cluster/argosy/client"
)

func TestThereIsAFaultOfEveryKind(t *testing.T) {
	var kinds []plan.Kind
	for _, f := range fault.All() {
		kinds = append(kinds, f.Kind)
		if found, ok := fault.Of(f.Kind); !ok || found.Kind != f.Kind || f.What == "" || f.Changes < 0 || f.Available == nil || f.Inject == nil {
			t.Errorf("%s is not whole", f.Kind)
		}
		// What a machine has can be asked without any cluster.
		if err := f.Available(&fault.World{}); err != nil && !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("%s: %v", f.Kind, err)
		}
	}
	if want := plan.Kinds(); !slices.Equal(kinds, want) {
		t.Errorf("faults are %v\nkinds are  %v", kinds, want)
	}
	if _, ok := fault.Of("earthquake"); ok {
		t.Error("there is a fault that nobody knows")
	}
}

// mustWorld is a world of processes that do not run.
func mustWorld(t *testing.T, servers, agents int) *fault.World {
	t.Helper()
	c, err := cluster.New(cluster.Config{Dir: t.TempDir(), Servers: servers, Agents: agents})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	cl, err := c.Client(client.Config{})
	must(t, err)
	t.Cleanup(func() { _ = cl.Close() })
	w := &fault.World{Cluster: c, Client: cl, Rand: rand.New(rand.NewPCG(1, 1)), Log: slog.New(slog.DiscardHandler), Ledger: fault.NewLedger(processNames(c.Servers))}
	t.Cleanup(w.Ledger.Close)
	return w
}

func TestWhatCannotBeDoneIsRefused(t *testing.T) {
	t.Run("not available", func(t *testing.T) {
		w := mustWorld(t, 3, 0)
		for _, kind := range []plan.Kind{plan.Ring, plan.KillAgent, plan.PauseAgent, plan.KillKeeper, plan.KillPodman} {
			if err := mustFault(t, kind).Available(w); !errors.Is(err, fault.ErrUnavailable) {
				t.Errorf("%s: %v", kind, err)
			}
		}
	})
	t.Run("available", func(t *testing.T) {
		w := mustWorld(t, 5, 1)
		for _, kind := range []plan.Kind{plan.Ring, plan.KillAgent, plan.KillLeader} {
			if err := mustFault(t, kind).Available(w); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	})
	t.Run("nobody is there", func(t *testing.T) {
		w := mustWorld(t, 3, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nobody will lead
		for _, kind := range []plan.Kind{plan.KillLeader, plan.KillServer, plan.PauseFollower, plan.KillAgent, plan.TransferLeader, plan.KillWorkload, plan.KillAll} {
			if _, err := mustFault(t, kind).Inject(ctx, w, plan.Step{Fault: kind}); !errors.Is(err, fault.ErrNoTarget) {
				t.Errorf("%s: %v", kind, err)
			}
		}
	})
	t.Run("more than a quorum survives", func(t *testing.T) {
		w := mustWorld(t, 3, 0)
		all, err := w.Ledger.Take(fault.Harm{Down: processNames(w.Cluster.Servers), Busy: processNames(w.Cluster.Servers)})
		must(t, err)
		if _, err := w.Ledger.Take(fault.Harm{Spoiled: []string{"server-2"}}); !errors.Is(err, fault.ErrBudget) {
			t.Errorf("spoil what is down: %v", err)
		}
		all.Release()
		if healthy := w.Ledger.Healthy(); len(healthy) != 3 {
			t.Errorf("healthy are %v", healthy)
		}
	})
}

func TestPodmanIsEndedAndStartedAgain(t *testing.T) {
	dir, err := os.MkdirTemp("", "podman")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	service, err := podmand.Start(t.Context(), podmand.Config{Dir: dir, StartTimeout: patience})
	if errors.Is(err, podmand.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip("needs podman: ", err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, service.Stop(context.Background())) })
	w := mustWorld(t, 3, 1)
	w.Podman = service
	kill := mustFault(t, plan.KillPodman)
	must(t, kill.Available(w))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	active, err := kill.Inject(ctx, w, plan.Step{Fault: plan.KillPodman})
	must(t, err)
	if service.PID() != 0 {
		t.Error("it runs")
	}
	if _, err := kill.Inject(ctx, w, plan.Step{Fault: plan.KillPodman}); !errors.Is(err, fault.ErrNoTarget) {
		t.Errorf("kill what does not run: %v", err)
	}
	must(t, active.Heal(ctx))
	if service.PID() == 0 {
		t.Error("it does not run")
	}
}
