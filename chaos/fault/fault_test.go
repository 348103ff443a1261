package fault_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/load"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/wait/waittest"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// patience bounds what a test waits for that fails.
const patience = 120 * time.Second

// diskSize has room for logs of either kind, and for one in quarantine.
const diskSize = 512 << 20

// arena is a cluster on a site, under a load, with what it takes to do faults.
type arena struct {
	*testing.T
	*fault.World
	load       *load.Load
	supervisor *fault.Supervisor
}

func mustArena(t *testing.T, servers int, of lab.SiteConfig, args ...string) *arena {
	t.Helper()
	dir := t.TempDir()
	site, err := lab.NewSite(dir, of)
	if errors.Is(err, lab.ErrUnable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, site.Close()) })
	config := cluster.Config{
		Dir: dir, Servers: servers, Agents: 2, TLS: true, StartTimeout: patience, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		ServerArgs:  append(args, "--timing-multiplier", "2", "--snapshot-threshold", "300"),
		Environment: []string{"GORACE=" + strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")},
	}
	site.Use(&config)
	c, err := cluster.New(config)
	must(t, err)
	a := &arena{T: t}
	t.Cleanup(func() {
		must(t, c.Close())
		if err := c.Crashes(); err != nil {
			t.Error(err)
		}
		if t.Failed() && os.Getenv("ARGOSY_TEST_LOG") != "" {
			for _, p := range append(c.Servers, c.Agents...) {
				text, _ := os.ReadFile(p.LogPath)
				t.Logf("--- %s\n%s", p.Name, text)
			}
		}
	})
	must(t, c.Start(t.Context()))
	cl, err := c.Client(client.Config{Timeout: patience})
	must(t, err)
	t.Cleanup(func() { _ = cl.Close() })
	a.World = &fault.World{
		Site: site, Cluster: c, Client: cl, Rand: rand.New(rand.NewPCG(seed(t), 2)),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Ledger: fault.NewLedger(processNames(c.Servers)),
	}
	t.Cleanup(a.Ledger.Close)
	a.supervisor = fault.Supervise(a.World)
	t.Cleanup(a.supervisor.Stop)
	a.startWorkloads()
	a.load, err = load.Start(t.Context(), c, 4, patience)
	must(t, err)
	t.Cleanup(a.load.Stop)
	a.goesOn()
	return a
}

// seed is 1, or what somebody looks for something with.
func seed(t *testing.T) uint64 {
	text := os.Getenv("ARGOSY_FAULT_SEED")
	if text == "" {
		return 1
	}
	number, err := strconv.ParseUint(text, 10, 64)
	must(t, err)
	return number
}

// startWorkloads starts a process on each agent.
func (a *arena) startWorkloads() {
	a.Helper()
	var workloads []*argosyv1.Workload
	for _, agent := range a.Cluster.Agents {
		workloads = append(workloads, &argosyv1.Workload{
			Name: "on-" + agent.Name, Agent: agent.Name, Runtime: "process",
			RuntimeConfig: "command: /bin/sleep\nargs: ['100000']\n", RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
		})
	}
	_, err := a.Client.Apply(a.Context(), &argosyv1.ApplyRequest{Workloads: workloads})
	must(a.T, err)
	a.workloadsRun()
}

func (a *arena) workloadsRun() {
	a.Helper()
	eventually(a.T, "workloads to run", func() error {
		state, err := a.Client.GetState(a.Context(), &argosyv1.GetStateRequest{OmitWorkloads: true, OmitAgents: true})
		if err != nil {
			return err
		}
		running := 0
		for _, s := range state.GetStates() {
			if s.GetExecution().GetState() == argosyv1.State_STATE_RUNNING {
				running++
			}
		}
		if running != len(a.Cluster.Agents) {
			return fmt.Errorf("%d of %d run", running, len(a.Cluster.Agents))
		}
		return nil
	})
}

// goesOn waits until more writes were acknowledged.
func (a *arena) goesOn() {
	a.Helper()
	from := a.load.Acknowledged()
	eventually(a.T, "writes to go on", func() error {
		must(a.T, a.load.Wrong())
		if n := a.load.Acknowledged() - from; n < 50 {
			return fmt.Errorf("%d writes were acknowledged", n)
		}
		return nil
	})
}

// settles waits until everything is as if no fault had been done.
func (a *arena) settles() {
	a.Helper()
	ctx, cancel := context.WithTimeout(a.Context(), patience)
	defer cancel()
	must(a.T, a.Ledger.Settle(ctx))
	if healthy := a.Ledger.Healthy(); len(healthy) != len(a.Cluster.Servers) || !a.Ledger.Quorum() {
		a.Fatalf("healthy are %v", healthy)
	}
	a.goesOn()
}

// suffers does a fault.
func (a *arena) suffers(step plan.Step) *fault.Active {
	a.Helper()
	active, err := mustFault(a.T, step.Fault).Inject(a.Context(), a.World, step)
	must(a.T, err)
	a.Logf("%s: %v, leader %s: %s", step.Fault, active.Targets, active.Leader, active.Detail)
	if active.Detail == "" {
		a.Error("nothing is said about what was done")
	}
	return active
}

func mustFault(t *testing.T, kind plan.Kind) fault.Fault {
	t.Helper()
	f, ok := fault.Of(kind)
	if !ok {
		t.Fatalf("there is no fault %s", kind)
	}
	return f
}

func (a *arena) heals(active *fault.Active) {
	a.Helper()
	if active.Heal != nil {
		must(a.T, active.Heal(a.Context()))
	}
}

// What was done to a server's data is found by itself, or does no harm.
func TestSpoiledDataIsFoundOrDoesNoHarm(t *testing.T) {
	rounds := 1
	if more, err := strconv.Atoi(os.Getenv("ARGOSY_FAULT_ROUNDS")); err == nil {
		rounds = more
	}
	for _, store := range []string{"boltdb", "wal"} {
		t.Run(store, func(t *testing.T) {
			a := mustArena(t, 3, lab.SiteConfig{DiskSize: diskSize}, "--log-store", store)
			for round := range rounds {
				for _, kind := range []plan.Kind{plan.FlipBits, plan.CutFile, plan.OldFile, plan.WipeServer} {
					active := a.suffers(plan.Step{Fault: kind, Choice: uint64(round), ForMs: 200, Strength: a.Rand.Float64()})
					a.goesOn()
					a.heals(active)
					a.settles()
				}
			}
			a.ends()
		})
	}
}

// ends checks everything in the end.
func (a *arena) ends() {
	a.Helper()
	t := a.T
	a.workloadsRun()
	must(t, a.load.End(t.Context()))
	must(t, a.Cluster.WaitLevel(t.Context()))
	must(t, a.Cluster.OneLeaderATerm())
	t.Logf("%d writes, %d reads, %d restarts", a.load.Acknowledged(), a.load.Reads(), len(a.supervisor.Restarts()))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition.
var eventually = waittest.Eventually(patience)

func processNames(processes []*cluster.Process) []string {
	var names []string
	for _, p := range processes {
		names = append(names, p.Name)
	}
	return names
}
