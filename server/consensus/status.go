package consensus

import (
	"time"

	"github.com/hashicorp/raft"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Status returns what the node knows of its own server: the fields of
// ServerStatus that are Raft's. The caller fills in the others.
func (n *Node) Status() *argosyv1.ServerStatus {
	at := n.standing()
	status := &argosyv1.ServerStatus{
		Id:           n.ID(),
		RaftAddress:  n.Address(),
		Voter:        at.electable(n.ID()),
		Term:         at.term,
		AppliedIndex: n.deps.Machine.Applied(),
		LastIndex:    n.raft.LastIndex(),
		Problem:      n.problem(),
		LogStore:     string(n.cfg.LogStore),
	}
	if newest := n.snapshots.newest.Load(); newest != nil {
		status.SnapshotIndex, status.SnapshotUnixNanos = newest.index, newest.taken.UnixNano()
	}
	switch at.state {
	case raft.Leader:
		status.Role = argosyv1.ServerRole_SERVER_ROLE_LEADER
	case raft.Candidate:
		status.Role = argosyv1.ServerRole_SERVER_ROLE_CANDIDATE
	default:
		status.Role = argosyv1.ServerRole_SERVER_ROLE_FOLLOWER
	}
	if at.state != raft.Leader && !at.heard.IsZero() {
		status.LastContactMs = uint64(time.Since(at.heard) / time.Millisecond)
	}
	return status
}

// problem says in words why the node cannot do its part, empty when it can.
func (n *Node) problem() string {
	switch {
	case n.Err() != nil:
		return n.Err().Error()
	case n.stalled():
		return "disk does not answer"
	case !n.Initialized():
		return "in no cluster yet: waits to be founded or to join"
	case n.removed():
		return "not in the cluster's configuration: it was removed, or has not been added yet"
	}
	return ""
}

// Stalled reports whether a write to the log does not come back.
func (n *Node) Stalled() bool { return n.stalled() }

func (n *Node) removed() bool {
	for _, s := range n.configuration().Servers {
		if s.ID == n.id() {
			return false
		}
	}
	return true
}
