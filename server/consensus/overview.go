package consensus

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Overview is what the leader knows of its servers at a moment.
type Overview struct {
	// Term is that of the leadership.
	Term uint64
	// Last is the last index of the leader's log, Committed the last one that a
	// majority has.
	Last, Committed uint64
	// Configuration is the fingerprint of the configuration: what a change that
	// was decided on this overview is bound to. It is never 0.
	Configuration uint64
	// Servers are those of the configuration, the leader among them.
	Servers []Follower
}

// Follower is a server as the leader knows it.
type Follower struct {
	Server
	// Match is the last entry that it has in common with the leader; 0 when
	// nothing is known in this term.
	Match uint64
	// Heard is when the newest message was sent that it has answered in this
	// term; zero when there is none.
	Heard time.Time
	// Installing tells that it is being sent a snapshot.
	Installing bool
}

// Overview returns what the leader knows of its servers. It is ErrNotLeader
// before everything of earlier terms is applied.
func (n *Node) Overview() (Overview, error) {
	r := n.leadership.reigning()
	if r == nil {
		return Overview{}, fmt.Errorf("look over the servers: %w", ErrNotLeader)
	}
	select {
	case <-r.ready:
	default:
		return Overview{}, fmt.Errorf("look over the servers: %w: it has not applied everything yet", ErrNotLeader)
	}
	configuration := n.configuration()
	o := Overview{Term: r.term, Configuration: fingerprint(configuration)}
	now := time.Now()
	for _, s := range configuration.Servers {
		f := Follower{Server: Server{ID: string(s.ID), RaftAddress: string(s.Address), Voter: s.Suffrage == raft.Voter}}
		if s.ID == n.id() {
			f.Match, f.Heard = n.raft.LastIndex(), now
		} else if peer, ok := n.transport.progress.of(s.ID, r.term); ok {
			f.Match, f.Heard, f.Installing = peer.match, peer.confirmed, peer.installing > 0
		}
		o.Servers = append(o.Servers, f)
	}
	// Read last, so that nobody is ahead of it.
	o.Committed, o.Last = n.raft.CommitIndex(), n.raft.LastIndex()
	return o, nil
}

// PromoteServer gives a server its vote. It is refused with ErrChanged when the
// configuration is not any more the one of a fingerprint; 0 means whichever it
// is.
func (n *Node) PromoteServer(ctx context.Context, id string, configuration uint64) error {
	servers := n.configuration().Servers
	i := slices.IndexFunc(servers, func(s raft.Server) bool { return string(s.ID) == id })
	if i < 0 {
		return fmt.Errorf("give server %s its vote: %w", id, ErrUnknownServer)
	}
	if servers[i].Suffrage == raft.Voter {
		return nil
	}
	err := n.change(ctx, configuration, func(limit time.Duration) raft.IndexFuture {
		return n.raft.AddVoter(servers[i].ID, servers[i].Address, 0, limit)
	})
	if err != nil {
		return fmt.Errorf("give server %s its vote: %w", id, err)
	}
	n.log.Info("gave a server its vote", "server", id)
	return nil
}

// RemoveServerAt is RemoveServer for a caller that has decided on a
// configuration: it is refused with ErrChanged when that is not the newest any
// more.
func (n *Node) RemoveServerAt(ctx context.Context, id string, configuration uint64) error {
	servers := n.configuration()
	if !slices.ContainsFunc(servers.Servers, func(s raft.Server) bool { return string(s.ID) == id }) {
		return fmt.Errorf("remove server %s: %w", id, ErrUnknownServer)
	}
	if id == n.ID() {
		n.own(argosyv1.LeadershipEnd_LEADERSHIP_END_REMOVED, "it was removed from the cluster")
	}
	err := n.change(ctx, configuration, func(limit time.Duration) raft.IndexFuture {
		return n.raft.RemoveServer(raft.ServerID(id), 0, limit)
	})
	if err != nil {
		return fmt.Errorf("remove server %s: %w", id, err)
	}
	n.log.Info("removed server", "server", id)
	return nil
}

// fingerprint tells one configuration from another. Raft would bind a change to
// the index of the one that it was decided on, but its GetConfiguration tells
// every index as 0, which Raft takes for "whichever it is".
func fingerprint(configuration raft.Configuration) uint64 {
	hash := fnv.New64a()
	for _, s := range configuration.Servers {
		fmt.Fprintf(hash, "%d %q %q;", s.Suffrage, s.ID, s.Address)
	}
	return hash.Sum64() | 1
}
