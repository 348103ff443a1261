package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/argosy-cluster/argosy/membership/identity/identitytest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestAFourthServerJoinsAndVotes(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	written := mustApply(t, leader, applyOf(workload("w", "one")))

	cfg := testConfig(t)
	cfg.Cluster, cfg.Name = all[0].cfg.Cluster, "s4"
	cfg.Join = []string{others(all, leader)[0].Addresses().Gossip}
	fourth := mustStart(t, cfg)
	eventually(t, "the fourth server's vote", func() bool { return leader.isVoter(fourth.ID()) })
	if read := mustGet(t, fourth, "w"); read.GetWorkload().GetRevision() != written.GetHeader().GetRevision() {
		t.Errorf("workload is at revision %d on the new server", read.GetWorkload().GetRevision())
	}
	mustApply(t, fourth, applyOf(workload("v", "one")))

	var status *argosyv1.StatusResponse
	eventually(t, "four voters in the new server's own view", func() bool {
		var err error
		status, err = fourth.ClusterServiceClient.Status(requestContext(t), &argosyv1.StatusRequest{})
		return err == nil && status.GetVoters() == 4 && status.GetWorkloads() == 2
	})
	if status.GetQuorum() != 3 || len(status.GetServers()) != 4 || status.GetNoLeaderReason() != "" {
		t.Errorf("status is %v", status)
	}
	for _, server := range status.GetServers() {
		if !server.GetAlive() || !server.GetVoter() || server.GetProblem() != "" || server.GetName() == "" || server.GetApiAddress() == "" {
			t.Errorf("server is described as %v", server)
		}
	}
}

func TestAServerOfAnotherClusterIsRefused(t *testing.T) {
	first := mustCluster(t, 1, nil)[0]
	second := mustCluster(t, 1, nil)[0]
	foreign := second.cfg
	second.stop(t)
	// A data directory of one cluster with the seeds of another.
	foreign.Cluster = first.cfg.Cluster
	foreign.Join = []string{first.Addresses().Gossip}
	stray := mustStart(t, foreign)
	mustApply(t, stray, applyOf(workload("its-own", "one")))
	mustApply(t, first, applyOf(workload("ours", "one")))

	for _, r := range []*replica{first, stray} {
		status, err := r.ClusterServiceClient.Status(requestContext(t), &argosyv1.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if len(status.GetServers()) != 1 || status.GetWorkloads() != 1 {
			t.Errorf("%v", status)
		}
	}
	peer := argosyv1.NewPeerServiceClient(first.conn)
	hello := &argosyv1.PeerHandshake{ClusterId: uuid.NewString(), ServerId: uuid.NewString(), Protocol: argosyv1.SupportedProtocol()}
	for name, call := range map[string]func() error{
		"join": func() error {
			_, err := peer.Join(requestContext(t), &argosyv1.JoinRequest{Handshake: hello, RaftAddress: "127.0.0.1:1"})
			return err
		},
		"read index": func() error {
			_, err := peer.ReadIndex(requestContext(t), &argosyv1.ReadIndexRequest{Handshake: hello})
			return err
		},
		"contact": func() error {
			_, err := peer.Contact(requestContext(t), &argosyv1.ContactRequest{Handshake: hello})
			return err
		},
		"forward": func() error {
			stream, err := peer.Forward(requestContext(t))
			if err != nil {
				return err
			}
			if err := stream.Send(&argosyv1.ForwardRequest{Handshake: hello}); err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
		"mirror": func() error {
			stream, err := peer.Mirror(requestContext(t), &argosyv1.MirrorRequest{Handshake: hello})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
	} {
		if err := call(); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE {
			t.Errorf("%s from another cluster: %v", name, err)
		}
	}
	response, err := peer.PrepareBootstrap(requestContext(t), &argosyv1.PrepareBootstrapRequest{
		Handshake: hello, ClusterId: hello.GetClusterId(), ServerIds: []string{first.ID()}, Founded: true})
	if err != nil || response.GetPromised() {
		t.Errorf("a server of a cluster was founded again: %v, %v", response, err)
	}
	future := &argosyv1.PeerHandshake{ClusterId: first.node.ClusterID(), ServerId: uuid.NewString(), Protocol: &argosyv1.VersionRange{Min: 900, Max: 901}}
	if _, err := peer.ReadIndex(requestContext(t), &argosyv1.ReadIndexRequest{Handshake: future}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE {
		t.Errorf("a server that speaks another protocol: %v", err)
	}
}

const startupManifest = `apiVersion: v1
workloads:
  first:
    runtime: process
    agent: a1
    runtimeConfig: |
      command: /bin/true
`

func TestTheStartupManifestIsAppliedOnceInTheLifeOfACluster(t *testing.T) {
	path := filepath.Join(t.TempDir(), "startup.yaml")
	if err := os.WriteFile(path, []byte(startupManifest), 0o600); err != nil {
		t.Fatal(err)
	}
	all := mustCluster(t, 3, func(_ int, cfg *Config) { cfg.StartupManifest = path })
	leader := mustLeader(t, all...)
	for _, r := range all {
		if read := mustGet(t, r, "first"); read.GetWorkload().GetAgent() != "a1" {
			t.Errorf("workload is %v", read.GetWorkload())
		}
	}
	if _, err := leader.Delete(requestContext(t), &argosyv1.DeleteRequest{RequestId: newID(), Names: []string{"first"}}); err != nil {
		t.Fatal(err)
	}
	leader.stop(t)
	next := mustLeader(t, others(all, leader)...)
	mustApply(t, next, applyOf(workload("w", "one")))
	if state := mustState(t, next, &argosyv1.GetStateRequest{}); state.workloads["first"] != nil || len(state.workloads) != 1 {
		t.Errorf("the next leader applied the manifest again: %v", state.workloads)
	}
}

const startupTemplates = `apiVersion: v1
workloads:
  second:
    runtime: process
    agent: "{{node}}"
    configs: {node: node}
    dependencies: {third: ADD_COND_RUNNING}
    runtimeConfig: |
      command: /bin/true
  third:
    runtime: process
    runtimeConfig: |
      command: /bin/true
configs:
  node: a1
`

// It waits until all servers are known to know what it needs.
func TestAStartupManifestMayHaveAllThatAManifestMayHave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "startup.yaml")
	if err := os.WriteFile(path, []byte(startupTemplates), 0o600); err != nil {
		t.Fatal(err)
	}
	server := mustCluster(t, 1, func(_ int, cfg *Config) { cfg.StartupManifest = path })[0]
	mustLeader(t, server)
	eventually(t, "the startup manifest", func() bool {
		row, ok := server.machine.View().Workload("second")
		return ok && row.Group == "a1"
	})
	if _, ok := server.machine.View().Config("node"); !ok {
		t.Error("the config is not there")
	}
	if settings, _ := server.machine.View().Cluster(); !settings.GetStartupManifestDone() {
		t.Error("it would be applied again")
	}
}

func TestWhatKeepsAServerFromStartingIsSaid(t *testing.T) {
	running := mustCluster(t, 1, nil)[0]
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("workloads:\n  w: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	circular := filepath.Join(t.TempDir(), "circular.yaml")
	if err := os.WriteFile(circular, []byte(strings.Replace(startupTemplates, "third: ADD", "second: ADD", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"a manifest in a circle":  {func(c *Config) { c.StartupManifest = circular }, "workload dependency 'second' is part of a cycle"},
		"a data directory in use": {func(c *Config) { c.DataDir = running.cfg.DataDir }, "in use"},
		"an API port in use":      {func(c *Config) { c.APIAddress = running.Addresses().API }, "--api-address"},
		"a Raft port in use":      {func(c *Config) { c.RaftAddress = running.Addresses().Raft }, "address already in use"},
		"a gossip port in use":    {func(c *Config) { c.GossipAddress = running.Addresses().Gossip }, "address already in use"},
		"an HTTP port in use":     {func(c *Config) { c.HTTPAddress = running.Addresses().API }, "--http-address"},
		"a manifest not there":    {func(c *Config) { c.StartupManifest = "/nowhere/at/all" }, "startup manifest"},
		"a broken manifest":       {func(c *Config) { c.StartupManifest = broken }, "broken.yaml"},
		"a certificate not there": {func(c *Config) { c.TLS.CA, c.TLS.Cert, c.TLS.Key = "/x/ca", "/x/crt", "/x/key" }, "/x/ca"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			c.change(&cfg)
			s, err := Open(cfg)
			if err == nil {
				_ = s.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
	mustApply(t, running, applyOf(workload("w", "one")))
}

func TestEverythingRunsOverMutualTLS(t *testing.T) {
	ca := identitytest.NewCA(t)
	all := mustCluster(t, 3, func(i int, cfg *Config) {
		cfg.TLS = ca.Issue(t, t.TempDir(), "argosy-server", cfg.Name)
	})
	for i, r := range all {
		name := []string{"a", "b", "c"}[i]
		written := mustApply(t, r, applyOf(workload(name, "one")))
		for _, at := range all {
			if read := mustGet(t, at, name); read.GetWorkload().GetRevision() != written.GetHeader().GetRevision() {
				t.Errorf("%s at %s is at revision %d", name, at.cfg.Name, read.GetWorkload().GetRevision())
			}
		}
	}
	leader := mustLeader(t, all...)
	leader.stop(t)
	for _, r := range others(all, leader) {
		mustApply(t, r, applyOf(workload("d", r.cfg.Name)))
	}
	t.Run("an agent is not a server", func(t *testing.T) {
		at := others(all, leader)[0]
		conn := mustDial(t, at.Addresses().API, ca.Identity(t, "agent-1").ClientTLS("argosy-server"))
		peer := argosyv1.NewPeerServiceClient(conn)
		hello := at.handshake()
		if _, err := peer.Describe(requestContext(t), &argosyv1.DescribeRequest{Handshake: hello}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN {
			t.Errorf("describe as an agent: %v", err)
		}
		stream, err := peer.Forward(requestContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN {
			t.Errorf("forward as an agent: %v", err)
		}
		if _, err := argosyv1.NewClusterServiceClient(conn).GetWorkload(requestContext(t), &argosyv1.GetWorkloadRequest{Name: "a"}); err != nil {
			t.Errorf("read as a user with that certificate: %v", err)
		}
	})
	t.Run("a repeat by another user is refused", func(t *testing.T) {
		at := others(all, leader)[0]
		req := applyOf(workload("mine", "one"))
		mustApply(t, at, req)
		other := argosyv1.NewClusterServiceClient(mustDial(t, at.Addresses().API, ca.Identity(t, "somebody").ClientTLS("argosy-server")))
		if _, err := other.Apply(requestContext(t), req); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN {
			t.Errorf("repeat by another user: %v", err)
		}
	})
	t.Run("a certificate that is no server's", func(t *testing.T) {
		cfg := testConfig(t)
		cfg.TLS = ca.Issue(t, t.TempDir(), "agent-1")
		s, err := Open(cfg)
		if err == nil {
			_ = s.Close()
			t.Fatal("it started")
		}
		if !strings.Contains(err.Error(), "argosy-server") {
			t.Errorf("error is %v", err)
		}
	})
}
