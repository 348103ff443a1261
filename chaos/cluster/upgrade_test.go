package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// upgrade is a cluster that goes from the former release to this one.
type upgrade struct {
	*troupe
	t *testing.T
	// former and present are the programs.
	former, present string
}

// mustCommand runs a command line of one of the programs against the cluster.
func (u *upgrade) mustCommand(binary string, args ...string) string {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), binary, append(u.cluster.CLIArgs(), args...)...)
	text, err := cmd.CombinedOutput()
	if err != nil {
		u.t.Fatalf("%s %s: %v\n%s", binary, strings.Join(args, " "), err, text)
	}
	return string(text)
}

// mustServe proves that a command line can read and write.
func (u *upgrade) mustServe(binary string) {
	u.t.Helper()
	name := fmt.Sprintf("by-command-%x", client.NewRequestID())
	u.mustCommand(binary, "run", name, "--runtime", "process", "--", "/bin/true")
	if text := u.mustCommand(binary, "get", "workloads"); !strings.Contains(text, name) {
		u.t.Errorf("%s is not among\n%s", name, text)
	}
	u.mustCommand(binary, "status")
	u.mustCommand(binary, "get", "servers")
	u.mustCommand(binary, "delete", name)
}

// mustReplace stops a process in order and starts it as one of this release.
func (u *upgrade) mustReplace(p *cluster.Process) {
	u.t.Helper()
	mustStop(u.t, p)
	must(u.t, p.Upgrade(u.present))
	must(u.t, p.Start())
	must(u.t, u.cluster.WaitReady(u.t.Context()))
}

// level returns the cluster's feature level, as a server of this release says.
func (u *upgrade) level(p *cluster.Process) uint32 {
	u.t.Helper()
	response, err := mustClient(u.t, u.cluster, p.Endpoint()).GetSettings(u.t.Context())
	must(u.t, err)
	return argosyv1.ActiveLevel(response.GetSettings())
}

func TestTheFormerReleaseAndThisOneWorkTogether(t *testing.T) {
	t.Parallel()
	former, err := cluster.BuildFormerRelease(t.Context(), t.TempDir())
	if errors.Is(err, cluster.ErrNoHistory) {
		t.Skip(err)
	}
	must(t, err)
	present, err := os.Executable()
	must(t, err)
	t.Run("while a cluster is upgraded under load", func(t *testing.T) { upgradeUnderLoad(t, former, present) })
	t.Run("when a leader of this one sends a snapshot to a follower of the former", func(t *testing.T) {
		catchUpFormer(t, former, present)
	})
}

func upgradeUnderLoad(t *testing.T, former, present string) {
	u := &upgrade{t: t, former: former, present: present, troupe: mustTroupe(t, cluster.Config{
		Servers: 3, Binary: former,
		// Small, so that servers of both releases send each other snapshots.
		ServerArgs: []string{"--snapshot-threshold", "64", "--trailing-logs", "16"},
	})}
	c := u.cluster
	u.mustServe(u.present)
	l := startLoad(t, c, 3)
	l.mustGoOn(t)

	// The leader first: it is the hardest.
	leader := mustLeader(t, c)
	order := append([]*cluster.Process{leader}, others(c.Servers, leader)...)
	for i, p := range order {
		u.mustReplace(p)
		l.mustGoOn(t)
		u.mustServe(u.former)
		u.mustServe(u.present)
		if i == len(order)-1 {
			break
		}
		if level := u.level(p); level != argosyv1.FeatureBase {
			t.Errorf("the feature level is %d while a server of the former release is there", level)
		}
	}
	u.mustBeUntouched(t)
	eventually(t, "the feature level to be raised", func() error {
		level := u.level(order[0])
		return when(level == argosyv1.FeatureLevel, "it is %d", level)
	})
	l.mustEnd(t)
	for _, name := range l.Names() {
		_, err := u.client.Delete(t.Context(), &argosyv1.DeleteRequest{Names: []string{name}})
		must(t, err)
	}
	u.mustObey(t) // agents of the former release
	for _, agent := range c.Agents {
		life, _ := u.life(t, agent)
		mustStop(t, agent)
		must(t, agent.Upgrade(u.present))
		must(t, agent.Start())
		u.mustReturn(t, agent, life)
	}
	u.mustBeUntouched(t)
	u.mustObey(t)
	must(t, c.WaitLevel(t.Context()))
}

func catchUpFormer(t *testing.T, former, present string) {
	u := &upgrade{t: t, former: former, present: present, troupe: &troupe{cluster: mustCluster(t, cluster.Config{
		Servers: 3, Binary: former, ServerArgs: []string{"--snapshot-threshold", "32", "--trailing-logs", "8"},
	})}}
	c := u.cluster
	for _, p := range c.Servers[:2] {
		u.mustReplace(p)
	}
	last := c.Servers[2]
	must(t, last.Kill())
	leader := mustLeader(t, c)
	cl := mustClient(t, c)
	for i := range 200 {
		mustApply(t, cl, &argosyv1.Workload{Name: fmt.Sprintf("w-%d", i), Runtime: "process", RuntimeConfig: "x"})
	}
	if leader == last {
		t.Fatal("a killed server leads")
	}
	must(t, last.Start())
	must(t, c.WaitLevel(t.Context()))
	if level := u.level(leader); level != argosyv1.FeatureBase {
		t.Errorf("the feature level is %d while a server of the former release is there", level)
	}
}
