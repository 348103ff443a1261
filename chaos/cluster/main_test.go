package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/wait/waittest"
	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/cmd/argosy/cli"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// TestMain makes the test binary behave as the program when it is called like
// it: the servers, agents and keepers of these tests are this binary, with the
// race detector when the tests have it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(cli.Main("v0.0.0-test"))
	}
	goleak.VerifyTestMain(m)
}

// patience bounds what a test waits for that fails.
const patience = 90 * time.Second

// mustPrepare prepares a cluster that leaves nothing behind. Its times are
// stretched: tests share the machine, and what they prove hangs on no time.
func mustPrepare(t *testing.T, config cluster.Config) *cluster.Cluster {
	t.Helper()
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	config.ServerArgs = append(config.ServerArgs, "--timing-multiplier", "5")
	config.Environment = append(config.Environment, "GORACE="+strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	config.StartTimeout = patience
	config.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	c, err := cluster.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Crashes(); err != nil {
			t.Error(err)
		}
		if t.Failed() && os.Getenv("ARGOSY_TEST_LOG") != "" {
			showLogs(t, c)
		}
	})
	return c
}

func showLogs(t *testing.T, c *cluster.Cluster) {
	for _, p := range append(append([]*cluster.Process{}, c.Servers...), c.Agents...) {
		text, _ := os.ReadFile(p.LogPath)
		t.Logf("--- %s\n%s", p.Name, text)
	}
}

func mustCluster(t *testing.T, config cluster.Config) *cluster.Cluster {
	t.Helper()
	c := mustPrepare(t, config)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func mustClient(t *testing.T, c *cluster.Cluster, endpoints ...string) *client.Client {
	t.Helper()
	cl, err := c.Client(client.Config{Endpoints: endpoints, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

func mustLeader(t *testing.T, c *cluster.Cluster) *cluster.Process {
	t.Helper()
	leader, err := c.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return leader
}

func mustApply(t *testing.T, cl *client.Client, workloads ...*argosyv1.Workload) *argosyv1.WriteResponse {
	t.Helper()
	response, err := cl.Apply(t.Context(), &argosyv1.ApplyRequest{Workloads: workloads})
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func mustState(t *testing.T, cl *client.Client) *argosyv1.GetStateResponse {
	t.Helper()
	state, err := cl.GetState(t.Context(), &argosyv1.GetStateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// must fails the test when what was done to a process could not be done.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustStop stops processes gracefully: they end by themselves, with exit code 0.
func mustStop(t *testing.T, processes ...*cluster.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, p := range processes {
		must(t, p.Stop(ctx))
	}
}

func others(all []*cluster.Process, not *cluster.Process) []*cluster.Process {
	var rest []*cluster.Process
	for _, p := range all {
		if p != not {
			rest = append(rest, p)
		}
	}
	return rest
}

// eventually waits for a condition.
var eventually = waittest.Eventually(patience)

// when makes a condition of a truth, with what there is instead.
func when(ok bool, instead string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(instead, args...)
}
