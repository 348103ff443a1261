package consensus

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hashicorp/raft"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// campaign implements subject. Raft campaigns at once when it is told that the
// leader hands over to it: without pre-vote, and with votes also from servers
// that have a leader. It does not matter who tells it.
func (n *Node) campaign(ctx context.Context, wanted func() bool) error {
	// The main loop takes the command within the stagger or not at all: later
	// the reason may be gone.
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Stagger)
	defer cancel()
	err := n.transport.inject(ctx, func() []raft.WithRPCHeader {
		at := n.standing()
		switch {
		case !wanted():
			return nil
		case at.state == raft.Follower:
			return []raft.WithRPCHeader{n.timeoutNow()}
		case at.state == raft.Candidate:
			// A candidate takes no notice of it: it must be a follower first.
			return []raft.WithRPCHeader{n.resignation(at.term), n.timeoutNow()}
		default:
			return nil
		}
	})
	if err != nil {
		return fmt.Errorf("campaign: %w", err)
	}
	return nil
}

func (n *Node) header() raft.RPCHeader {
	return raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax,
		ID:              []byte(n.id()),
		Addr:            []byte(n.Address()),
	}
}

func (n *Node) timeoutNow() raft.WithRPCHeader {
	return &raft.TimeoutNowRequest{RPCHeader: n.header()}
}

// resignation makes a leader or candidate a follower of the next term without
// a leader: a request for a vote in that term that cannot be granted, since
// its log is empty.
func (n *Node) resignation(term uint64) raft.WithRPCHeader {
	return &raft.RequestVoteRequest{
		RPCHeader:          n.header(),
		Term:               term + 1,
		LeadershipTransfer: true,
	}
}

// watchCommits steps down a leader that commits nothing of what waits, while
// its heartbeats go on: another one may do better, and if not, those who wait
// get to know that there is no quorum.
func (n *Node) watchCommits() {
	ticker := time.NewTicker(max(n.cfg.CommitStall/8, time.Millisecond))
	defer ticker.Stop()
	var committed uint64
	var moved time.Time
	for {
		select {
		case now := <-ticker.C:
			at := n.raft.CommitIndex()
			if n.raft.State() != raft.Leader || at != committed || n.raft.LastIndex() <= at || n.restoring() {
				// A restore is committed when the others have all of the state,
				// however long that takes.
				committed, moved = at, now
				continue
			}
			if now.Sub(moved) < n.cfg.CommitStall {
				continue
			}
			moved = now
			n.own(argosyv1.LeadershipEnd_LEADERSHIP_END_CANNOT_COMMIT, "it committed nothing for %v", n.cfg.CommitStall)
			n.stepDown(fmt.Sprintf("nothing is committed after entry %d of %d for %v", at, n.raft.LastIndex(), n.cfg.CommitStall),
				func() bool { return n.raft.CommitIndex() == at })
		case <-n.ctx.Done():
			return
		}
	}
}

// lastEntry implements subject.
func (n *Node) lastEntry() entryID {
	stats := n.raft.Stats()
	number := func(key string) uint64 {
		value, _ := strconv.ParseUint(stats[key], 10, 64)
		return value
	}
	last := entryID{number("last_log_term"), number("last_log_index")}
	if snapshot := (entryID{number("last_snapshot_term"), number("last_snapshot_index")}); snapshot.index > last.index {
		return snapshot
	}
	return last
}
