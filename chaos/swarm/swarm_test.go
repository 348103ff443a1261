package swarm_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/swarm"
	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/cmd/argosy/cli"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(cli.Main("v0.0.0-test"))
	}
	goleak.VerifyTestMain(m)
}

// patience bounds what a test waits for that fails.
const patience = 90 * time.Second

func TestASwarmRunsItsWorkloadsAndFollowsTheLeader(t *testing.T) {
	for name, perConnection := range map[string]int{"a connection each": 1, "shared connections": 20} {
		t.Run(name, func(t *testing.T) {
			const agents, each = 60, 3
			c, err := cluster.New(cluster.Config{Dir: t.TempDir(), ServerArgs: []string{"--timing-multiplier", "5"}, StartTimeout: patience})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			if err := c.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			cl, err := c.Client(client.Config{Timeout: patience})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cl.Close() })
			s, err := swarm.New(swarm.Config{Servers: c.Endpoints(), Agents: agents, PerConnection: perConnection})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = s.Run(ctx)
			}()
			t.Cleanup(func() {
				cancel()
				<-done
			})
			if err := s.WaitConnected(ctx, agents); err != nil {
				t.Fatal(err)
			}
			request := &argosyv1.ApplyRequest{}
			for i := range agents * each {
				request.Workloads = append(request.Workloads, &argosyv1.Workload{
					Name: fmt.Sprintf("w-%d", i), Agent: s.Name(i % agents), Runtime: "process", RuntimeConfig: "command: /bin/true",
				})
			}
			if _, err := cl.Apply(ctx, request); err != nil {
				t.Fatal(err)
			}
			if err := s.WaitRunning(ctx, agents*each); err != nil {
				t.Fatal(err)
			}
			mustRun(ctx, t, cl, agents*each)

			leader, err := c.Leader(ctx)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Now()
			if err := leader.Kill(); err != nil {
				t.Fatal(err)
			}
			for len(s.Since(at)) < agents {
				if err := s.WaitConnected(ctx, agents); err != nil {
					t.Fatal(err)
				}
			}
			mustRun(ctx, t, cl, agents*each)
			if s.Running() != agents*each {
				t.Errorf("agents have %d workloads after the leader was lost, want %d", s.Running(), agents*each)
			}
		})
	}
}

// mustRun waits until so many instances are shown as running.
func mustRun(ctx context.Context, t *testing.T, cl *client.Client, count int) {
	t.Helper()
	running := map[string]bool{}
	err := cl.Watch(ctx, &argosyv1.WatchRequest{OmitDesired: true}, func(message *argosyv1.WatchResponse) error {
		if message.GetSnapshotBegin() {
			clear(running)
		}
		for _, state := range message.GetStates() {
			running[state.GetInstance().Key()] = state.GetExecution().GetState() == argosyv1.State_STATE_RUNNING
		}
		found := 0
		for _, runs := range running {
			if runs {
				found++
			}
		}
		if found >= count {
			return client.ErrStop
		}
		return nil
	})
	if err != nil {
		t.Fatalf("wait until %d run: %v", count, err)
	}
}
