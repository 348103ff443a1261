//go:build !race

// hashicorp/raft v1.7.3 reads the id of a follower without its lock while the
// follower's address changes (updateLastAppended). The id stays what it is, so
// nothing comes of it, but the race detector would fail these tests.

package server

import "testing"

func TestAServerThatComesBackElsewhereIsStillTheSame(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	moved := others(all, leader)[0]
	id := moved.ID()
	moved.stop(t)
	written := mustApply(t, leader, applyOf(workload("w", "one")))

	cfg := moved.cfg
	cfg.APIAddress, cfg.RaftAddress, cfg.GossipAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Join = []string{leader.Addresses().Gossip}
	back := mustStart(t, cfg)
	if back.ID() != id {
		t.Fatalf("it is server %s now, was %s", back.ID(), id)
	}
	eventually(t, "the new address", func() bool {
		servers, err := leader.node.Configuration()
		if err != nil {
			return false
		}
		for _, server := range servers {
			if server.ID == id {
				return server.RaftAddress == back.Addresses().Raft && server.Voter
			}
		}
		return false
	})
	if read := mustGet(t, back, "w"); read.GetWorkload().GetRevision() != written.GetHeader().GetRevision() {
		t.Errorf("workload is at revision %d after the move", read.GetWorkload().GetRevision())
	}
	// It counts: with it and one more there is a quorum.
	for _, r := range others(all, leader) {
		if r != moved {
			r.stop(t)
		}
	}
	mustApply(t, back, applyOf(workload("w", "two")))
}

func TestAWholeClusterComesBackElsewhere(t *testing.T) {
	all := mustCluster(t, 3, nil)
	written := mustApply(t, all[0], applyOf(workload("w", "one")))
	for _, r := range all {
		r.stop(t)
	}
	var back []*replica
	for _, r := range all {
		cfg := r.cfg
		cfg.APIAddress, cfg.RaftAddress, cfg.GossipAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
		cfg.Join = nil
		for _, b := range back {
			cfg.Join = append(cfg.Join, b.Addresses().Gossip)
		}
		back = append(back, mustStart(t, cfg))
	}
	for _, r := range back {
		if read := mustGet(t, r, "w"); read.GetWorkload().GetRevision() != written.GetHeader().GetRevision() {
			t.Errorf("workload is at revision %d", read.GetWorkload().GetRevision())
		}
	}
}
