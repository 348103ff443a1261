package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// troupe is a cluster with workloads that tell when they are disturbed.
type troupe struct {
	cluster *cluster.Cluster
	client  *client.Client
	// runs is a file with a line for every run of a job.
	runs string
	// instances are those of the beginning.
	instances map[string]*argosyv1.ExecutionState
}

const (
	services = 4
	jobs     = 2
)

func mustTroupe(t *testing.T, config cluster.Config) *troupe {
	t.Helper()
	config.Agents = 2
	x := &troupe{runs: filepath.Join(t.TempDir(), "runs")}
	x.cluster = mustCluster(t, config)
	x.client = mustClient(t, x.cluster)
	var workloads []*argosyv1.Workload
	for i := range services {
		workloads = append(workloads, &argosyv1.Workload{
			Name: fmt.Sprintf("service-%d", i), Agent: x.cluster.Agents[i%2].Name, Runtime: "process",
			RuntimeConfig: "command: /bin/sleep\nargs: ['100000']\n", RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
		})
	}
	for i := range jobs {
		workloads = append(workloads, &argosyv1.Workload{
			Name: fmt.Sprintf("job-%d", i), Agent: x.cluster.Agents[i%2].Name, Runtime: "process",
			RuntimeConfig: fmt.Sprintf("command: /bin/sh\nargs: [-c, 'echo job-%d >>%s; exit %d']\n", i, x.runs, i),
		})
	}
	mustApply(t, x.client, workloads...)
	eventually(t, "all workloads", func() error {
		x.instances = x.observed(t)
		return x.settled(x.instances)
	})
	return x
}

// observed returns what is known of each workload.
func (x *troupe) observed(t *testing.T) map[string]*argosyv1.ExecutionState {
	t.Helper()
	states := map[string]*argosyv1.ExecutionState{}
	for _, s := range mustState(t, x.client).GetStates() {
		states[s.GetInstance().GetWorkload()] = s.GetExecution()
	}
	return states
}

func (x *troupe) settled(states map[string]*argosyv1.ExecutionState) error {
	want := map[string]argosyv1.State{"job-0": argosyv1.State_STATE_SUCCEEDED, "job-1": argosyv1.State_STATE_FAILED}
	for i := range services {
		want[fmt.Sprintf("service-%d", i)] = argosyv1.State_STATE_RUNNING
	}
	for name, state := range want {
		if states[name].GetState() != state {
			return fmt.Errorf("%s is %s, not %s", name, states[name].Text(), state.Name())
		}
	}
	return nil
}

// mustBeUntouched waits until everything is known again and proves that every
// service is the same process as in the beginning, and that no job ran twice.
// Processes of the given names may have been started anew once.
func (x *troupe) mustBeUntouched(t *testing.T, restarted ...string) {
	t.Helper()
	must(t, x.cluster.WaitReady(t.Context()))
	eventually(t, "all workloads", func() error { return x.settled(x.observed(t)) })
	now := x.observed(t)
	for name, was := range x.instances {
		is := now[name]
		expected := uint32(0)
		for _, r := range restarted {
			if r == name {
				expected = 1
			}
		}
		same := is.GetRuntimeId() == was.GetRuntimeId() && is.GetStartedUnixNanos() == was.GetStartedUnixNanos()
		if is.GetRestarts() != was.GetRestarts()+expected || same != (expected == 0) {
			t.Errorf("%s was process %s (%d restarts), it is %s (%d restarts)", name, was.GetRuntimeId(), was.GetRestarts(), is.GetRuntimeId(), is.GetRestarts())
		}
	}
	x.instances = now
	text, err := os.ReadFile(x.runs)
	must(t, err)
	if runs := strings.Count(string(text), "\n"); runs != jobs {
		t.Errorf("%d jobs ran %d times:\n%s", jobs, runs, text)
	}
}

// mustObey proves that the agents do what they are told.
func (x *troupe) mustObey(t *testing.T) {
	t.Helper()
	var names []string
	for _, agent := range x.cluster.Agents {
		name := "order-for-" + agent.Name
		names = append(names, name)
		mustApply(t, x.client, &argosyv1.Workload{Name: name, Agent: agent.Name, Runtime: "process", RuntimeConfig: "command: /bin/true"})
	}
	eventually(t, "orders to be carried out", func() error {
		states := x.observed(t)
		for _, name := range names {
			if states[name].GetState() != argosyv1.State_STATE_SUCCEEDED {
				return fmt.Errorf("%s is %s", name, states[name].Text())
			}
		}
		return nil
	})
	_, err := x.client.Delete(t.Context(), &argosyv1.DeleteRequest{Names: names})
	must(t, err)
	eventually(t, "orders to be cleared away", func() error {
		return when(len(x.observed(t)) == services+jobs, "there are %d workloads", len(x.observed(t)))
	})
}

// mustRun proves that the services' processes are there now, whatever anybody
// knows of them.
func (x *troupe) mustRun(t *testing.T) {
	t.Helper()
	for name, state := range x.instances {
		if state.GetState() != argosyv1.State_STATE_RUNNING {
			continue
		}
		if err := syscall.Kill(x.pid(t, name), 0); err != nil {
			t.Errorf("process %s of %s: %v", state.GetRuntimeId(), name, err)
		}
	}
}

func (x *troupe) pid(t *testing.T, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(x.instances[name].GetRuntimeId())
	must(t, err)
	return pid
}

// life returns which life of an agent the leader knows.
func (x *troupe) life(t *testing.T, agent *cluster.Process) (instance string, connected bool) {
	t.Helper()
	for _, status := range mustState(t, x.client).GetAgentStatuses() {
		if status.GetName() == agent.Name {
			return status.GetInstanceId(), status.GetConnected()
		}
	}
	return "", false
}

func (x *troupe) mustReturn(t *testing.T, agent *cluster.Process, formerLife string) {
	t.Helper()
	eventually(t, agent.Name+" to be back", func() error {
		life, connected := x.life(t, agent)
		return when(connected && life != formerLife, "connected %v, life %s", connected, life)
	})
}

func TestWorkloadsDoNotNoticeWhatHappensToAgentsAndServers(t *testing.T) {
	t.Parallel()
	x := mustTroupe(t, cluster.Config{Servers: 3})
	c := x.cluster

	t.Run("when an agent is killed and started again", func(t *testing.T) {
		agent := c.Agents[0]
		life, _ := x.life(t, agent)
		must(t, agent.Kill())
		x.mustRun(t)
		must(t, agent.Start())
		x.mustReturn(t, agent, life)
		x.mustBeUntouched(t)
		x.mustObey(t)
	})
	t.Run("when an agent is stopped for a while", func(t *testing.T) {
		agent := c.Agents[1]
		life, _ := x.life(t, agent)
		mustStop(t, agent)
		eventually(t, "the agent to be gone", func() error {
			_, connected := x.life(t, agent)
			return when(!connected, "it is connected")
		})
		for name, state := range x.observed(t) {
			if gone := state.GetState() == argosyv1.State_STATE_AGENT_DISCONNECTED; gone != (name == "service-1" || name == "service-3" || name == "job-1") {
				t.Errorf("%s is shown as %s", name, state.Text())
			}
		}
		x.mustRun(t)
		must(t, agent.Start())
		x.mustReturn(t, agent, life)
		x.mustBeUntouched(t)
		x.mustObey(t)
	})
	t.Run("when an agent is frozen for longer than it may be silent", func(t *testing.T) {
		agent := c.Agents[0]
		must(t, agent.Freeze())
		eventually(t, "the agent to be given up", func() error {
			_, connected := x.life(t, agent)
			return when(!connected, "it is connected")
		})
		x.mustRun(t)
		must(t, agent.Thaw())
		eventually(t, "the agent to be back", func() error {
			_, connected := x.life(t, agent)
			return when(connected, "it is not connected")
		})
		x.mustBeUntouched(t)
		x.mustObey(t)
	})
	t.Run("when the leader is killed", func(t *testing.T) {
		leader := mustLeader(t, c)
		must(t, leader.Kill())
		x.mustBeUntouched(t)
		x.mustObey(t)
		must(t, leader.Start())
		must(t, c.WaitLevel(t.Context()))
	})
	t.Run("when leader and agent are killed together", func(t *testing.T) {
		leader, agent := mustLeader(t, c), c.Agents[0]
		life, _ := x.life(t, agent)
		must(t, agent.Kill())
		must(t, leader.Kill())
		must(t, agent.Start())
		x.mustReturn(t, agent, life)
		x.mustBeUntouched(t)
		x.mustObey(t)
		must(t, leader.Start())
		must(t, c.WaitLevel(t.Context()))
	})
	t.Run("when there is no server for a while, and a process dies meanwhile", func(t *testing.T) {
		for _, p := range c.Servers {
			must(t, p.Kill())
		}
		x.mustRun(t)
		must(t, syscall.Kill(x.pid(t, "service-0"), syscall.SIGKILL))
		for _, p := range c.Servers {
			must(t, p.Start())
		}
		eventually(t, "the new process to be known", func() error {
			return when(x.observed(t)["service-0"].GetRestarts() == x.instances["service-0"].GetRestarts()+1, "it is not")
		})
		x.mustBeUntouched(t, "service-0")
		x.mustObey(t)
	})
}
