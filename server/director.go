package server

import (
	"context"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/membership"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/forward"
	"github.com/argosy-cluster/argosy/server/observed/mirror"
	"github.com/argosy-cluster/argosy/server/peers"
	"github.com/argosy-cluster/argosy/server/reader"
	"github.com/argosy-cluster/argosy/server/writer"
)

// outlook is what this server sees of the cluster at the moment. It is made anew
// at each change and never written to.
type outlook struct {
	clusterID     string
	term          uint64
	leaderID      string
	leaderAddress string
	voters        []consensus.Server
	// absence is why there is no leader, "" when there is one.
	absence string
	// lostAt is since when too few voters are reachable; zero when enough are.
	lostAt time.Time
}

// hopelessAfter is for how long too few servers must be reachable before those
// who wait for a leader are sent away. It bears a restart of everything at once.
const hopelessAfter = 3 * time.Second

// absentInterval is how often the director looks again by itself while there is no
// leader.
const absentInterval = 250 * time.Millisecond

// way is where writes and reads go.
type way struct {
	// writer is set when this server leads.
	writer *writer.Writer
	// peer and term are set when another server leads.
	peer *peers.Peer
	term uint64
}

// director opens the way to whoever leads.
type director struct {
	*Server
	now    way
	stream *forward.Stream
	// broken counts streams to the present leader that were lost in a row.
	broken int
	// stopMirror ends the mirror of the present leader and waits for it.
	stopMirror func()
}

// direct watches who leads until the context ends.
func (s *Server) direct(ctx context.Context) error {
	d := &director{Server: s}
	defer d.close()
	leadership, stopLeadership := s.node.WatchLeadership()
	defer stopLeadership()
	gossip, stopGossip := s.members.Load().Watch()
	defer stopGossip()
	for {
		d.updatePeers()
		d.open(ctx)
		d.look()
		var lost <-chan struct{}
		if d.stream != nil {
			lost = d.stream.Lost()
		}
		var again <-chan time.Time
		if s.outlook().absence != "" {
			again = time.After(absentInterval)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-leadership:
		case <-gossip:
			s.nudgeFounder()
		case <-s.kicked:
		case <-lost:
			if !d.reopen(ctx) {
				return context.Cause(ctx)
			}
		case <-again:
		}
	}
}

// updatePeers keeps a connection to every server that gossip knows.
func (d *director) updatePeers() {
	known := map[string]struct{}{}
	for _, m := range d.members.Load().Members() {
		if m.Role != membership.RoleServer || m.ID == d.node.ID() || m.APIAddress == "" {
			continue
		}
		known[m.ID] = struct{}{}
		if err := d.peers.Set(m.ID, m.APIAddress, m.Alive); err != nil {
			d.log.Warn("server cannot be connected to", "peer", m.ID, "address", m.APIAddress, "err", err)
		}
	}
	d.peers.Keep(func(id string) bool { _, ok := known[id]; return ok })
}

// target returns where writes and reads shall go.
func (d *director) target() way {
	if r := d.reign.Load(); r != nil {
		if w, ok := r.writes(); ok {
			return way{writer: w}
		}
		// Leadership is being given away: wait for the next leader.
		return way{}
	}
	l := d.node.Leadership()
	if l.LeaderID == "" || l.LeaderID == d.node.ID() {
		return way{}
	}
	peer, ok := d.peers.Get(l.LeaderID)
	if !ok {
		return way{}
	}
	return way{peer: peer, term: l.Term}
}

// open opens the way when it has changed.
func (d *director) open(ctx context.Context) {
	to := d.target()
	if to == d.now {
		return
	}
	before := d.stream
	d.now, d.stream, d.broken = to, nil, 0
	switch {
	case to.writer != nil:
		d.router.Open(to.writer)
		d.reader.Open(localIndex{d.node})
	case to.peer != nil:
		d.stream = d.newStream(ctx, to.peer)
		d.router.Open(d.stream)
		d.reader.Open(remoteIndex{d.Server, to.peer})
	default:
		d.router.Close()
		d.reader.Close()
	}
	if before != nil {
		// What it has goes to the new way at once.
		before.Close()
	}
	d.follow(ctx, to)
}

func (d *director) newStream(ctx context.Context, peer *peers.Peer) *forward.Stream {
	return forward.NewStream(ctx, peer, d.handshake(), d.checkPeer)
}

// reopen makes a new stream to a leader after the last one was lost. Most often
// that leader is dead and Raft will say so in a moment.
func (d *director) reopen(ctx context.Context) bool {
	lost := d.stream
	d.stream = nil
	d.router.Close()
	lost.Close()
	pause := min(time.Millisecond<<min(d.broken, 8), 200*time.Millisecond)
	d.broken++
	leadership, stop := d.node.WatchLeadership()
	defer stop()
	select {
	case <-ctx.Done():
		return false
	case <-leadership:
	case <-d.kicked:
	case <-time.After(pause):
	}
	if to := d.target(); to == d.now && to.peer != nil {
		d.stream = d.newStream(ctx, to.peer)
		d.router.Open(d.stream)
	}
	return true
}

// follow mirrors the observed state of the leader.
func (d *director) follow(ctx context.Context, to way) {
	if d.stopMirror != nil {
		d.stopMirror()
		d.stopMirror = nil
	}
	if to.peer == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	d.stopMirror = func() {
		cancel()
		<-done
	}
	go func() {
		defer close(done)
		err := mirror.Follow(ctx, mirror.Follower{
			Store: d.store, Leader: to.peer, Term: to.term, Self: d.handshake(), Logger: d.log.With("part", "mirror"),
		})
		if ctx.Err() == nil {
			d.log.Warn("observed state is not mirrored", "leader", to.peer.ID, "term", to.term, "err", err)
		}
	}()
}

func (d *director) close() {
	d.router.Close()
	d.reader.Close()
	if d.stopMirror != nil {
		d.stopMirror()
	}
	if d.stream != nil {
		d.stream.Close()
	}
}

// look makes a new outlook.
func (d *director) look() {
	l := d.node.Leadership()
	next := &outlook{clusterID: d.node.ClusterID(), term: l.Term, leaderID: l.LeaderID}
	servers, err := d.node.Configuration()
	if err != nil {
		return
	}
	for _, server := range servers {
		if server.Voter {
			next.voters = append(next.voters, server)
		}
	}
	switch {
	case l.LeaderID == d.node.ID():
		next.leaderAddress = d.apiAddress()
	case l.LeaderID != "":
		if peer, ok := d.peers.Get(l.LeaderID); ok {
			next.leaderAddress = peer.Address
		}
	}
	if d.now.writer == nil && d.stream == nil {
		next.absence, next.lostAt = d.explain(next)
	}
	if before := d.outlook(); next.leaderID != "" && (next.leaderID != before.leaderID || next.term != before.term) {
		d.metrics.LeaderChanged()
	}
	d.view.Store(next)
}

// explain says why there is no way to a leader.
func (d *director) explain(o *outlook) (reason string, lostAt time.Time) {
	if len(o.voters) == 0 {
		reason = "this server is in no cluster yet"
		if why := d.founding.Load(); why != nil && *why != "" {
			reason += ": " + *why
		}
		return reason, time.Time{}
	}
	alive := map[string]bool{d.node.ID(): true}
	for _, m := range d.members.Load().Members() {
		if m.Role == membership.RoleServer && m.Alive {
			if peer, ok := d.peers.Get(m.ID); ok && peer.Connected() {
				alive[m.ID] = true
			}
		}
	}
	reachable := 0
	for _, voter := range o.voters {
		if alive[voter.ID] {
			reachable++
		}
	}
	quorum := len(o.voters)/2 + 1
	if reachable < quorum {
		lostAt = time.Now()
		if before := d.view.Load(); before != nil && !before.lostAt.IsZero() {
			lostAt = before.lostAt
		}
		return fmt.Sprintf("no leader: %d of %d servers reachable, %d needed", reachable, len(o.voters), quorum), lostAt
	}
	switch o.leaderID {
	case "":
		return fmt.Sprintf("no leader: %d of %d servers reachable, an election is under way", reachable, len(o.voters)), time.Time{}
	case d.node.ID():
		return "this server leads, but is handing leadership over or does not serve yet", time.Time{}
	}
	if o.leaderAddress == "" {
		return fmt.Sprintf("server %s leads, but the address of its API is not known by gossip yet", o.leaderID), time.Time{}
	}
	return fmt.Sprintf("server %s leads, but its API at %s cannot be reached", o.leaderID, o.leaderAddress), time.Time{}
}

// outlook returns what this server sees, never nil.
func (s *Server) outlook() *outlook {
	if o := s.view.Load(); o != nil {
		return o
	}
	return &outlook{absence: "this server has just started"}
}

// absence tells those who wait why there is no leader.
func (s *Server) absence() (reason string, hopeless bool) {
	o := s.outlook()
	return o.absence, !o.lostAt.IsZero() && time.Since(o.lostAt) > hopelessAfter
}

// Header returns a new header of a response without a revision.
func (s self) Header() *argosyv1.ResponseHeader {
	o := s.outlook()
	return &argosyv1.ResponseHeader{
		ClusterId:     o.clusterID,
		ServerId:      s.node.ID(),
		LeaderId:      o.leaderID,
		LeaderAddress: o.leaderAddress,
		Term:          o.term,
		Incarnation:   s.node.Incarnation(),
	}
}

// localIndex is the local node as a source of read indexes.
type localIndex struct{ node *consensus.Node }

func (l localIndex) ReadIndex(ctx context.Context) (reader.Index, error) {
	index, _, err := l.node.ReadIndex(ctx)
	// Nothing is ahead of the leader's own observations: there is none to wait for.
	return reader.Index{Revision: index}, err
}

// remoteIndex is the leader as a source of read indexes.
type remoteIndex struct {
	*Server
	peer *peers.Peer
}

func (r remoteIndex) ReadIndex(ctx context.Context) (reader.Index, error) {
	response, err := r.peer.ReadIndex(ctx, &argosyv1.ReadIndexRequest{Handshake: r.handshake()})
	if err != nil {
		return reader.Index{}, err
	}
	return reader.Index{Revision: response.GetRevision(), Term: response.GetTerm(), Observation: response.GetObservation()}, nil
}

// directory is the servers as the sessions of agents see them.
type directory struct{ *Server }

func (d directory) Leader() (address string, term uint64, self bool) {
	l := d.node.Leadership()
	if l.LeaderID == d.node.ID() {
		return d.apiAddress(), l.Term, true
	}
	if peer, ok := d.peers.Get(l.LeaderID); ok && l.LeaderID != "" {
		return peer.Address, l.Term, false
	}
	return "", l.Term, false
}

func (d directory) Watch() (<-chan struct{}, func()) { return d.node.WatchLeadership() }

func (d directory) Servers() []string {
	addresses := []string{d.apiAddress()}
	for _, peer := range d.peers.All() {
		addresses = append(addresses, peer.Address)
	}
	return addresses
}
