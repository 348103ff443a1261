package recovery

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/server/consensus"
)

// Quorum is what is left of the voters of a cluster.
type Quorum struct {
	// Voters is how many there are, Needed how many of them make a quorum.
	Voters, Needed int
	// Answering are voters at whose Raft address something listens.
	Answering []consensus.Server
	// AtHand are voters whose data directories were found whole, so that they
	// could simply be started.
	AtHand []*Survey
}

// Left tells whether enough voters are left for the cluster to go on as it is.
// Then nothing may be recovered.
func (q Quorum) Left() bool {
	return q.Voters > 0 && len(q.Answering)+len(q.AtHand) >= q.Needed
}

// Dial looks whether something listens at an address.
type Dial func(ctx context.Context, address string) error

// dialTimeout is how long a server may take to answer.
const dialTimeout = 2 * time.Second

// SystemDial dials by TCP.
func SystemDial(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// LookForQuorum tells which voters of the newest configuration are left: those
// of the other directories, and those that still answer. The servers of the
// directories must not run.
func LookForQuorum(ctx context.Context, newest *Survey, all []*Survey, dial Dial) Quorum {
	var q Quorum
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, server := range newest.Servers {
		if !server.Voter {
			continue
		}
		q.Voters++
		at := slices.IndexFunc(all, func(s *Survey) bool { return s.ServerID == server.ID && s.Incarnation == newest.Incarnation })
		if at >= 0 {
			q.AtHand = append(q.AtHand, all[at])
			continue
		}
		asked.Go(func() {
			if dial(ctx, server.RaftAddress) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			q.Answering = append(q.Answering, server)
		})
	}
	asked.Wait()
	q.Needed = q.Voters/2 + 1
	return q
}
