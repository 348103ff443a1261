package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/client"
)

// A fault that kills a server and then finds nothing to spoil is not done, but the
// server was killed: whoever judges what it says after that must know.
func TestAServerThatWasKilledForNothingWasKilled(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := cluster.New(cluster.Config{Dir: t.TempDir(), Servers: 3})
	must(err)
	defer func() { must(c.Close()) }()
	cl, err := c.Client(client.Config{})
	must(err)
	defer func() { _ = cl.Close() }()
	var deeds []Deed
	w := &World{Site: &lab.Site{}, Cluster: c, Client: cl, Ledger: NewLedger(names(c.Servers)), Did: func(d Deed) { deeds = append(deeds, d) }}
	defer w.Ledger.Close()
	victim := c.Servers[1]
	must(os.MkdirAll(victim.DataDir, 0o755))
	must(victim.Start())
	pid := victim.PID()

	nothing := fmt.Errorf("%w: nothing", ErrNoTarget)
	inject := to(
		func(context.Context, *World, plan.Step) ([]*cluster.Process, error) {
			return []*cluster.Process{victim}, nil
		}, spoilt, rebuilding,
		spoils(func(context.Context, *World, plan.Step, *cluster.Process) (string, error) { return "", nothing }),
	)
	if _, err := inject(t.Context(), w, plan.Step{N: 7, Fault: plan.FlipBits}); !errors.Is(err, ErrNoTarget) {
		t.Errorf("spoil what has nothing: %v", err)
	}
	if !victim.Running() || victim.PID() == pid {
		t.Error("the server was not killed, or does not run")
	}
	if len(deeds) != 1 {
		t.Fatalf("told of %+v", deeds)
	}
	d := deeds[0]
	if d.Step != 7 || d.Kind != plan.KillServer || d.Target != victim.Name || d.Changes != killCosts || !d.Ended.After(d.Begun) || d.Detail == "" || d.Err != nil {
		t.Errorf("told of %+v", d)
	}
}
