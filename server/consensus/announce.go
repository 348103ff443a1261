package consensus

import (
	"time"

	"github.com/hashicorp/raft"
)

// announce tells the followers what is committed soon after it is. Raft tells
// them with the next entries, or when CommitTimeout has passed without any: a
// short one costs messages all day long for the few moments after the last
// write of a burst, in which a follower would wait to answer a read.
func (n *Node) announce(r *reign) {
	const (
		settle = time.Millisecond     // for the commit to happen
		linger = 2 * time.Millisecond // for the next entries to carry it
	)
	timer := time.NewTimer(0)
	<-timer.C
	wait := func(d time.Duration) bool {
		timer.Reset(d)
		select {
		case <-timer.C:
			return true
		case <-r.ctx.Done():
			return false
		}
	}
	for {
		select {
		case <-n.transport.progress.advanced:
		case <-r.ctx.Done():
			return
		}
		if !wait(settle) {
			return
		}
		committed := n.raft.CommitIndex()
		// On a busy machine Raft has yet to notice that a majority has the entry, and
		// nothing will wake us when it does. After as long as Raft itself waits it
		// tells them.
		for waited := settle; n.uncommitted(r.term, committed) && waited < n.cfg.Timing.Commit; waited += linger {
			if !wait(linger) {
				return
			}
			committed = n.raft.CommitIndex()
		}
		if len(n.untold(r.term, committed)) == 0 {
			continue
		}
		if !wait(linger) {
			return
		}
		for _, s := range n.untold(r.term, committed) {
			n.tell(r, s, committed)
		}
	}
}

// untold returns the followers that have the committed entry and have not been
// sent word that it is committed.
func (n *Node) untold(term, committed uint64) (servers []raft.Server) {
	for _, s := range n.configuration().Servers {
		if peer, ok := n.transport.progress.of(s.ID, term); ok && peer.told < committed && peer.match >= committed {
			servers = append(servers, s)
		}
	}
	return servers
}

// uncommitted tells whether a follower has an entry that is not committed yet.
func (n *Node) uncommitted(term, committed uint64) bool {
	for _, s := range n.configuration().Servers {
		if peer, ok := n.transport.progress.of(s.ID, term); ok && peer.match > committed {
			return true
		}
	}
	return false
}

// tell sends a follower what Raft itself would send when CommitTimeout has
// passed. It speaks of nothing beyond the entry that the two logs are known to
// have in common: a follower takes the word for its own log as far as that
// goes, and may have entries there that were never committed.
func (n *Node) tell(r *reign, s raft.Server, committed uint64) {
	var entry raft.Log
	if n.stalled() || n.store.GetLog(committed, &entry) != nil {
		return
	}
	request := &raft.AppendEntriesRequest{
		RPCHeader:         n.header(),
		Term:              r.term,
		PrevLogEntry:      entry.Index,
		PrevLogTerm:       entry.Term,
		LeaderCommitIndex: committed,
	}
	n.transport.progress.tell(s.ID, request)
	n.work.Go(func() {
		// When it fails, Raft's own message follows.
		_ = n.transport.AppendEntries(s.ID, s.Address, request, new(raft.AppendEntriesResponse))
	})
}
