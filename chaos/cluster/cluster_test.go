package cluster_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestNothingOutlivesACluster(t *testing.T) {
	t.Parallel()
	c := mustCluster(t, cluster.Config{Servers: 1, Agents: 1})
	cl := mustClient(t, c)
	mustApply(t, cl, &argosyv1.Workload{
		Name: "stubborn", Agent: "agent-1", Runtime: "process",
		RuntimeConfig: "command: /bin/sh\nargs: [-c, 'trap \"\" TERM; while :; do sleep 1; done']\n",
	})
	var pid string
	eventually(t, "the workload", func() error {
		for _, s := range mustState(t, cl).GetStates() {
			pid = s.GetExecution().GetRuntimeId()
		}
		return when(pid != "", "it has no process")
	})
	keeper, err := c.Agents[0].KeeperPID()
	must(t, err)
	// Even with the agent gone before.
	must(t, c.Agents[0].Kill())
	must(t, c.Close())
	for _, p := range append(append([]*cluster.Process{}, c.Servers...), c.Agents...) {
		if p.Running() {
			t.Errorf("%s runs", p.Name)
		}
		if err := p.Signal(syscall.SIGTERM); !errors.Is(err, cluster.ErrNotRunning) {
			t.Errorf("signal %s: %v", p.Name, err)
		}
	}
	if _, err := c.Agents[0].KeeperPID(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("keeper: %v", err)
	}
	for name, dir := range map[string]string{"keeper": filepath.Join("/proc", strconv.Itoa(keeper)), "workload": filepath.Join("/proc", pid)} {
		eventually(t, name+" to be gone", func() error {
			stat, err := os.ReadFile(filepath.Join(dir, "stat"))
			// One that nobody has waited for yet is dead all the same.
			return when(err != nil || strings.Contains(string(stat), ") Z "), "it is there: %s", stat)
		})
	}
	must(t, c.Close())
}

func TestAProcessThatEndsUnaskedIsReportedWithItsLastWords(t *testing.T) {
	t.Parallel()
	c := mustPrepare(t, cluster.Config{Servers: 1, ServerArgs: []string{"--timing", "warp"}})
	err := c.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "server-1 ended: exit status 2") || !strings.Contains(err.Error(), `profile "warp" is not known`) {
		t.Errorf("error is %v", err)
	}
}

func TestProcessesAreStartedOnce(t *testing.T) {
	t.Parallel()
	c := mustPrepare(t, cluster.Config{Servers: 1})
	server := c.Servers[0]
	if err := server.Freeze(); !errors.Is(err, cluster.ErrNotRunning) {
		t.Errorf("freeze before the start: %v", err)
	}
	must(t, server.Start())
	first := server.PID()
	if err := server.Start(); !errors.Is(err, cluster.ErrRunning) {
		t.Errorf("second start: %v", err)
	}
	if err := c.Relocate(server); !errors.Is(err, cluster.ErrRunning) {
		t.Errorf("relocate: %v", err)
	}
	must(t, c.WaitReady(t.Context()))
	must(t, server.Kill())
	must(t, server.Start())
	if server.PID() == first {
		t.Error("it is the same process")
	}
	must(t, c.WaitReady(t.Context()))
	mustStop(t, server)
	if err := server.Err(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, err := c.Issue("somebody"); err == nil {
		t.Error("a cluster without TLS made a certificate")
	}
}

func TestAConfigurationNeedsADirectory(t *testing.T) {
	t.Parallel()
	if _, err := cluster.New(cluster.Config{}); err == nil || !strings.Contains(err.Error(), "no directory") {
		t.Errorf("error is %v", err)
	}
}
