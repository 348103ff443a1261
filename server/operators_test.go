package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/argosy-cluster/argosy/membership"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

func operatorsOf(r *replica) argosyv1.OperatorServiceClient {
	return argosyv1.NewOperatorServiceClient(r.conn)
}

// mustLookedOver waits until the leader has a table in which all servers are
// healthy.
func mustLookedOver(t *testing.T, all ...*replica) *replica {
	t.Helper()
	leader := mustLeader(t, all...)
	eventually(t, "healthy servers", func() bool {
		table := leader.autopilot.Table()
		if table == nil {
			leader = mustLeader(t, all...)
			return false
		}
		for _, h := range table.Servers {
			if !h.Healthy {
				return false
			}
		}
		return len(table.Servers) == len(all)
	})
	return leader
}

func TestSettingsAreChangedThroughAnyServer(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	eventually(t, "the settings that a new leader writes", func() bool { return level(leader) == argosyv1.FeatureLevel })
	follower := others(all, leader)[0]
	quota := uint64(64 << 20)
	changed, err := operatorsOf(follower).UpdateSettings(requestContext(t), &argosyv1.UpdateSettingsRequest{
		Autopilot: &argosyv1.AutopilotSettings{MinVoters: 5}, StateQuotaBytes: &quota})
	if err != nil {
		t.Fatal(err)
	}
	revision := changed.GetSettings().GetRevision()
	for _, r := range all {
		read, err := operatorsOf(r).GetSettings(requestContext(t), &argosyv1.GetSettingsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		s := read.GetSettings()
		if s.GetAutopilot().GetMinVoters() != 5 || s.GetStateQuotaBytes() != quota || s.GetClusterId() == "" || !s.GetStartupManifestDone() || s.GetRevision() != revision {
			t.Errorf("settings at %s are %v", r.cfg.Name, s)
		}
	}
	if _, err := operatorsOf(follower).UpdateSettings(requestContext(t), &argosyv1.UpdateSettingsRequest{
		ExpectedRevision: revision + 1, Autopilot: &argosyv1.AutopilotSettings{}}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
		t.Errorf("change of other settings than expected: %v", err)
	}
	kept, err := operatorsOf(follower).UpdateSettings(requestContext(t), &argosyv1.UpdateSettingsRequest{
		ExpectedRevision: revision, Autopilot: &argosyv1.AutopilotSettings{KeepDeadServers: true}})
	if err != nil {
		t.Fatal(err)
	}
	if s := kept.GetSettings(); !s.GetAutopilot().GetKeepDeadServers() || s.GetAutopilot().GetMinVoters() != 0 || s.GetStateQuotaBytes() != quota {
		t.Errorf("settings are %v", s)
	}
	if _, err := operatorsOf(follower).UpdateSettings(requestContext(t), &argosyv1.UpdateSettingsRequest{
		Autopilot: &argosyv1.AutopilotSettings{DeadAfterMs: 1}}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("settings that make no sense: %v", err)
	}
}

func TestServersAreRemovedOnlyWhileAQuorumStays(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLookedOver(t, all...)
	lost, other := others(all, leader)[0], others(all, leader)[1]
	if _, err := operatorsOf(other).RemoveServer(requestContext(t), &argosyv1.RemoveServerRequest{Server: "nobody"}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
		t.Errorf("remove nobody: %v", err)
	}
	lost.crash(t)
	// The leader does not know yet, and must not rest on what it knew.
	_, err := operatorsOf(other).RemoveServer(requestContext(t), &argosyv1.RemoveServerRequest{Server: other.cfg.Name})
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_CONFLICT || !strings.Contains(err.Error(), "1 of the remaining 2 voters") {
		t.Errorf("remove a server that is needed: %v", err)
	}
	removed, err := operatorsOf(other).RemoveServer(requestContext(t), &argosyv1.RemoveServerRequest{Server: lost.cfg.Name})
	if err != nil || removed.GetServerId() != lost.ID() {
		t.Fatalf("remove the dead one: %v, %v", removed, err)
	}
	mustApply(t, other, applyOf(workload("w", "one")))
	status, err := other.ClusterServiceClient.Status(requestContext(t), &argosyv1.StatusRequest{})
	if err != nil || status.GetVoters() != 2 {
		t.Errorf("status is %v, %v", status, err)
	}
}

func TestALeaderThatIsRemovedHandsOverFirst(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLookedOver(t, all...)
	response, err := operatorsOf(leader).RemoveServer(requestContext(t), &argosyv1.RemoveServerRequest{Server: leader.ID()})
	for i := 0; i < 3 && retryable(err); i++ {
		next := mustLookedOver(t, all...)
		response, err = operatorsOf(next).RemoveServer(requestContext(t), &argosyv1.RemoveServerRequest{Server: leader.ID()})
	}
	if err != nil || response.GetServerId() != leader.ID() {
		t.Fatalf("remove the leader: %v, %v", response, err)
	}
	rest := others(all, leader)
	next := mustLeader(t, rest...)
	mustApply(t, next, applyOf(workload("w", "one")))
	if servers, _ := next.node.Configuration(); len(servers) != 2 {
		t.Errorf("configuration is %v", servers)
	}
}

func TestTheOnlyServerIsNotRemoved(t *testing.T) {
	r := mustCluster(t, 1, nil)[0]
	eventually(t, "a table", func() bool { return r.autopilot.Table() != nil })
	_, err := operatorsOf(r).RemoveServer(requestContext(t), &argosyv1.RemoveServerRequest{Server: r.ID(), Force: true})
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
		t.Errorf("remove the only server: %v", err)
	}
	mustApply(t, r, applyOf(workload("w", "one")))
}

func TestAServerIsPromotedByHand(t *testing.T) {
	all := mustCluster(t, 1, nil)
	leader := mustLookedOver(t, all...)
	if _, err := operatorsOf(leader).UpdateSettings(requestContext(t), &argosyv1.UpdateSettingsRequest{
		Autopilot: &argosyv1.AutopilotSettings{StableAfterMs: 3_600_000}}); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t)
	cfg.Cluster, cfg.Name, cfg.Join = leader.cfg.Cluster, "s2", []string{leader.Addresses().Gossip}
	second := mustStart(t, cfg)
	eventually(t, "the second server's health", func() bool { h, _ := leader.autopilot.Table().Find(second.ID()); return h.Healthy })
	if leader.isVoter(second.ID()) {
		t.Fatal("it votes before its time")
	}
	if _, err := operatorsOf(second).PromoteServer(requestContext(t), &argosyv1.PromoteServerRequest{Server: "s2"}); err != nil {
		t.Fatal(err)
	}
	if !leader.isVoter(second.ID()) {
		t.Error("it has no vote")
	}
}

func TestADeadServerIsRemovedOnceAnotherTookItsPlace(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLookedOver(t, all...)
	if _, err := operatorsOf(leader).UpdateSettings(requestContext(t), &argosyv1.UpdateSettingsRequest{
		Autopilot: &argosyv1.AutopilotSettings{DeadAfterMs: 1000, StableAfterMs: 1}}); err != nil {
		t.Fatal(err)
	}
	lost := others(all, leader)[0]
	lost.crash(t)
	eventually(t, "a dead server", func() bool { h, _ := leader.autopilot.Table().Find(lost.ID()); return !h.DeadSince.IsZero() })
	cfg := testConfig(t)
	cfg.Cluster, cfg.Name, cfg.Join = leader.cfg.Cluster, "s4", []string{leader.Addresses().Gossip}
	mustStart(t, cfg)
	eventually(t, "three voters without the dead one", func() bool {
		servers, err := leader.node.Configuration()
		voters := 0
		for _, s := range servers {
			if s.ID == lost.ID() {
				return false
			}
			if s.Voter {
				voters++
			}
		}
		return err == nil && voters == 3
	})
}

func TestAServerThatWasRemovedStopsAndIsNotLetInAgain(t *testing.T) {
	all := mustCluster(t, 4, nil)
	leader := mustLookedOver(t, all...)
	running, away := others(all, leader)[0], others(all, leader)[1]
	remove := func(r *replica) {
		t.Helper()
		if _, err := operatorsOf(leader).RemoveServer(requestContext(t), &argosyv1.RemoveServerRequest{Server: r.ID()}); err != nil {
			t.Fatal(err)
		}
	}
	remove(running)
	<-running.ended
	if !errors.Is(running.err, consensus.ErrRemoved) || !strings.Contains(running.err.Error(), running.cfg.DataDir) {
		t.Errorf("a running server that was removed ended with %v", running.err)
	}
	if s, err := Open(running.cfg); !errors.Is(err, consensus.ErrRemoved) {
		t.Errorf("started again: %v", err)
		_ = s.Close()
	}

	// One that was away has never heard of it: by its own log it votes.
	away.crash(t)
	remove(away)
	away.cfg.Join = []string{leader.Addresses().Gossip} // nobody looks for one that said farewell
	back := mustStart(t, away.cfg)
	<-back.ended
	if !errors.Is(back.err, consensus.ErrRemoved) {
		t.Errorf("a server that was removed while it was away ended with %v", back.err)
	}
	if servers, _ := leader.node.Configuration(); len(servers) != 2 {
		t.Errorf("configuration is %v", servers)
	}
	mustApply(t, leader, applyOf(workload("w", "one")))
}

func TestOneGossipAddressOfAnyServerIsEnoughToJoin(t *testing.T) {
	all := mustCluster(t, 3, nil)
	for i, r := range all {
		cfg := testConfig(t)
		cfg.Cluster, cfg.Name, cfg.Join = r.cfg.Cluster, fmt.Sprintf("new-%d", i), []string{r.Addresses().Gossip}
		joiner := mustStart(t, cfg)
		eventually(t, "a vote of "+cfg.Name, func() bool { return joiner.isVoter(joiner.ID()) })
	}
}

func TestAServerThatOnlyGossipKnowsIsNotTakenForOneOfTheCluster(t *testing.T) {
	r := mustCluster(t, 1, nil)[0]
	cfg := membership.DefaultConfig()
	cfg.Cluster, cfg.BindAddress, cfg.Join = r.cfg.Cluster, "127.0.0.1:0", []string{r.Addresses().Gossip}
	cfg.Timing = membership.TimingLAN()
	cfg.Logger = logger(t)
	cfg.Self = membership.Member{ID: uuid.NewString(), Name: "stray", Role: membership.RoleServer, APIAddress: "127.0.0.1:1", RaftAddress: "127.0.0.1:1"}
	stray, err := membership.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	eventually(t, "the stray in the status", func() bool {
		status, err := r.ClusterServiceClient.Status(requestContext(t), &argosyv1.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range status.GetServers() {
			if s.GetName() == "stray" {
				if !strings.Contains(s.GetProblem(), "not in the cluster") || s.GetVoter() || status.GetVoters() != 1 {
					t.Errorf("it is described as %v", s)
				}
				return true
			}
		}
		return false
	})
}
