package cluster_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestNothingAcknowledgedIsLostAndNothingIsDoneTwice(t *testing.T) {
	t.Parallel()
	c := mustCluster(t, cluster.Config{Servers: 3})
	l := startLoad(t, c, 6)
	l.mustGoOn(t)
	for _, fault := range []struct {
		name string
		run  func(*testing.T, *cluster.Cluster, *loaded)
	}{
		{"when the leader is killed", func(t *testing.T, c *cluster.Cluster, l *loaded) {
			leader := mustLeader(t, c)
			must(t, leader.Kill())
			l.mustGoOn(t)
			must(t, leader.Start())
		}},
		{"when a follower is killed", func(t *testing.T, c *cluster.Cluster, l *loaded) {
			follower := others(c.Servers, mustLeader(t, c))[0]
			must(t, follower.Kill())
			l.mustGoOn(t)
			must(t, follower.Start())
		}},
		{"when the leader is frozen, and when it thaws", freezeLeader},
		{"when the leader is stopped", func(t *testing.T, c *cluster.Cluster, l *loaded) {
			leader := mustLeader(t, c)
			mustStop(t, leader)
			l.mustGoOn(t)
			must(t, leader.Start())
		}},
		{"when all servers are killed at once", func(t *testing.T, c *cluster.Cluster, _ *loaded) {
			for _, p := range c.Servers {
				must(t, p.Kill())
			}
			for _, p := range c.Servers {
				must(t, p.Start())
			}
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			must(t, l.Wrong())
			fault.run(t, c, l)
			must(t, c.WaitReady(t.Context()))
			l.mustGoOn(t)
		})
	}
	l.mustEnd(t)
	must(t, c.OneLeaderATerm())
	must(t, c.WaitLevel(t.Context()))
}

// freezeLeader proves that a leader that was frozen answers nothing from before,
// not even to those who asked it while it slept.
func freezeLeader(t *testing.T, c *cluster.Cluster, l *loaded) {
	leader := mustLeader(t, c)
	must(t, leader.Freeze())
	l.mustGoOn(t)
	var asked sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range 8 {
		begun := make(chan struct{})
		asked.Go(func() {
			close(begun)
			// An error is as good an answer as any.
			_ = l.Read(ctx, leader, i)
		})
		<-begun
	}
	l.mustGoOn(t)
	must(t, leader.Thaw())
	asked.Wait()
}

const startupManifest = `apiVersion: v1
workloads:
  first: {runtime: process, runtimeConfig: "command: /bin/true"}
  second: {runtime: process, runtimeConfig: "command: /bin/true"}
`

func TestTheStateIsThereWhenAllServersComeBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	manifest := filepath.Join(dir, "startup.yaml")
	must(t, os.WriteFile(manifest, []byte(startupManifest), 0o600))
	c := mustCluster(t, cluster.Config{Dir: dir, Servers: 3, ServerArgs: []string{"--startup-manifest", manifest}})
	cl := mustClient(t, c)
	eventually(t, "the startup manifest", func() error {
		names := workloadNames(mustState(t, cl))
		return when(names == "first second", "there are: %s", names)
	})
	if _, err := cl.Delete(t.Context(), &argosyv1.DeleteRequest{Names: []string{"first"}}); err != nil {
		t.Fatal(err)
	}
	mustApply(t, cl, &argosyv1.Workload{Name: "third", Runtime: "process", RuntimeConfig: "command: /bin/true"})
	before := mustState(t, cl)
	for _, end := range []struct {
		name string
		end  func(*testing.T, *cluster.Process)
	}{
		{"after they were stopped", func(t *testing.T, p *cluster.Process) { mustStop(t, p) }},
		{"after they were killed", func(t *testing.T, p *cluster.Process) { must(t, p.Kill()) }},
	} {
		t.Run(end.name, func(t *testing.T) {
			for _, p := range c.Servers {
				end.end(t, p)
			}
			for _, p := range c.Servers {
				must(t, p.Start())
			}
			must(t, c.WaitReady(t.Context()))
			after := mustState(t, cl)
			if names := workloadNames(after); names != "second third" {
				t.Errorf("there are: %s", names)
			}
			for i, w := range after.GetWorkloads() {
				if w.GetRevision() != before.GetWorkloads()[i].GetRevision() {
					t.Errorf("%s was at revision %d, it is at %d", w.GetName(), before.GetWorkloads()[i].GetRevision(), w.GetRevision())
				}
			}
		})
	}
	// The manifest was for the empty cluster alone, and somebody said so.
	var logs strings.Builder
	for _, p := range c.Servers {
		text, err := os.ReadFile(p.LogPath)
		must(t, err)
		logs.Write(text)
	}
	if applied := strings.Count(logs.String(), "startup manifest was applied"); applied != 1 {
		t.Errorf("the manifest was applied %d times", applied)
	}
	if !strings.Contains(logs.String(), "startup manifest was ignored: the cluster has state already") {
		t.Error("nobody said that the manifest was ignored")
	}
}

func workloadNames(state *argosyv1.GetStateResponse) string {
	var names []string
	for _, w := range state.GetWorkloads() {
		names = append(names, w.GetName())
	}
	return strings.Join(names, " ")
}

func TestServersJoinAndMove(t *testing.T) {
	t.Parallel()
	c := mustCluster(t, cluster.Config{Servers: 3})
	cl := mustClient(t, c)
	mustApply(t, cl, &argosyv1.Workload{Name: "w", Runtime: "process", RuntimeConfig: "command: /bin/true"})

	t.Run("a fourth server joins and votes", func(t *testing.T) {
		fourth, err := c.AddServer(false)
		must(t, err)
		must(t, fourth.Start())
		own := mustClient(t, c, fourth.Endpoint())
		eventually(t, "four voters", func() error {
			status, err := own.Status(t.Context())
			if err != nil {
				return err
			}
			return when(status.GetVoters() == 4, "%d voters", status.GetVoters())
		})
		must(t, c.WaitLevel(t.Context()))
		mustApply(t, own, &argosyv1.Workload{Name: "v", Runtime: "process", RuntimeConfig: "command: /bin/true"})
		if names := workloadNames(mustState(t, own)); names != "v w" {
			t.Errorf("the new server has %s", names)
		}
	})

	t.Run("a server with other addresses is the same server", func(t *testing.T) {
		moving := others(c.Servers, mustLeader(t, c))[0]
		before := mustServer(t, c, moving)
		must(t, moving.Kill())
		must(t, c.Relocate(moving))
		must(t, moving.Start())
		eventually(t, "the new address", func() error {
			status, err := cl.Status(t.Context())
			if err != nil {
				return err
			}
			for _, s := range status.GetServers() {
				if s.GetId() == before.GetId() {
					return when(s.GetApiAddress() == moving.Endpoint() && strings.HasPrefix(s.GetRaftAddress(), moving.Host+":") && s.GetVoter(), "it is %v", s)
				}
			}
			return when(false, "servers are %v", status.GetServers())
		})
		must(t, c.WaitLevel(t.Context()))
		own := mustClient(t, c, moving.Endpoint())
		mustApply(t, own, &argosyv1.Workload{Name: "u", Runtime: "process", RuntimeConfig: "command: /bin/true"})
		if names := workloadNames(mustState(t, own)); names != "u v w" {
			t.Errorf("the moved server has %s", names)
		}
	})
}

// mustServer returns a server as the cluster describes it.
func mustServer(t *testing.T, c *cluster.Cluster, p *cluster.Process) *argosyv1.ServerStatus {
	t.Helper()
	status, err := mustClient(t, c).Status(t.Context())
	must(t, err)
	for _, s := range status.GetServers() {
		if s.GetName() == p.Name {
			return s
		}
	}
	t.Fatalf("%s is not among %v", p.Name, status.GetServers())
	return nil
}
