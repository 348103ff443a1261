//go:build !race

// hashicorp/raft v1.7.3 reads the id of a follower without its lock while the
// follower's address changes (updateLastAppended). The id stays what it is, so
// nothing comes of it, but the race detector would fail these tests. They are
// run without it (make test), by the beginning of their names.

package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

func TestMovedServerIsStillTheSame(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	moved := others(all, leader)[0]
	id := moved.ID()
	moved.stop(t)
	written := mustApply(t, leader, applyOf(workload("w", "one")))

	cfg := elsewhere(moved.cfg)
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

func TestMovedClusterComesBack(t *testing.T) {
	all := mustCluster(t, 3, nil)
	written := mustApply(t, all[0], applyOf(workload("w", "one")))
	for _, r := range all {
		r.stop(t)
	}
	var back []*replica
	for _, r := range all {
		cfg := elsewhere(r.cfg)
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

func TestMovedOneByOneAndAllAtOnce(t *testing.T) {
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	mustApply(t, leader, applyOf(workload("w", "one")))
	move := func(r *replica, seeds ...*replica) *replica {
		cfg := elsewhere(r.cfg)
		cfg.Join = nil
		for _, seed := range seeds {
			cfg.Join = append(cfg.Join, seed.Addresses().Gossip)
		}
		return mustStart(t, cfg)
	}
	// One by one: the next one when the last one's address is known to all.
	for i := range all {
		all[i].stop(t)
		all[i] = move(all[i], all[(i+1)%3])
		eventually(t, "the new address in the configuration", func() bool {
			for _, r := range all {
				servers, err := r.node.Configuration()
				if err != nil || !slices.Contains(servers, consensus.Server{ID: all[i].ID(), RaftAddress: all[i].node.Address(), Voter: true}) {
					return false
				}
			}
			return true
		})
		mustApply(t, all[i], applyOf(workload(fmt.Sprint("moved-", i), "one")))
	}
	// All at once: nobody is where anybody knew it.
	for _, r := range all {
		r.stop(t)
	}
	moved := []*replica{move(all[0])}
	moved = append(moved, move(all[1], moved[0]), move(all[2], moved[0]))
	leader = mustLeader(t, moved...)
	mustApply(t, leader, applyOf(workload("after", "one")))
	eventually(t, "all addresses in the configuration", func() bool {
		servers, _ := leader.node.Configuration()
		known := 0
		for _, r := range moved {
			if slices.Contains(servers, consensus.Server{ID: r.ID(), RaftAddress: r.node.Address(), Voter: true}) {
				known++
			}
		}
		return known == 3
	})
	for _, r := range moved {
		if state := mustState(t, r, &argosyv1.GetStateRequest{}); len(state.workloads) != 5 {
			t.Errorf("%s has %d workloads", r.cfg.Name, len(state.workloads))
		}
	}
}

func TestMovedOriginalIsKnownToItsCopy(t *testing.T) {
	original, _ := mustOriginal(t)
	original.stop(t)
	twin := copyOf(t, original)
	moved := mustStart(t, elsewhere(original.cfg))
	eventually(t, "the cluster to know the new address, and the server to know that", func() bool {
		servers, err := moved.node.Configuration()
		if err != nil {
			return false
		}
		for _, s := range servers {
			if s.ID == moved.ID() {
				return s.RaftAddress == moved.Addresses().Raft
			}
		}
		return false
	})
	s, err := Open(twin)
	if err == nil {
		err = s.Run(t.Context())
	}
	if !errors.Is(err, consensus.ErrTwin) || !strings.Contains(err.Error(), moved.Addresses().API) {
		t.Fatalf("the copy ran: %v", err)
	}
	mustApply(t, moved, applyOf(workload("w", "x")))
}
