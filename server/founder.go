package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/metadata"

	"github.com/argosy-cluster/argosy/membership"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/peers"
)

// Pauses of the founder after something did not work, and between two looks at
// what gossip does not tell.
const (
	founderMinPause = 20 * time.Millisecond
	founderMaxPause = 2 * time.Second
	founderCall     = 2 * time.Second
	// founderSlow is after how long a step that has not come back is complained
	// about: calls end before, so that it is the disk.
	founderSlow = 5 * time.Second
	// lonelyAfter is for how long a server of a cluster must have had no leader
	// before it asks whether it still belongs there: who was away when it was
	// removed is told by nobody.
	lonelyAfter = 2 * time.Second
)

// found brings this server into a cluster, and keeps what the cluster knows of
// it current.
func (s *Server) found(ctx context.Context) error {
	leadership, stop := s.node.WatchLeadership()
	defer stop()
	proposed := uuid.NewString()
	pause := founderMinPause
	said := ""
	var leaderless time.Time
	for {
		if err := s.checkTwin(ctx); errors.Is(err, consensus.ErrTwin) {
			return err
		}
		now := s.situation()
		switch {
		case s.node.Leadership().LeaderID != "":
			leaderless = time.Time{}
		case leaderless.IsZero():
			leaderless = time.Now()
		}
		now.lonely = !leaderless.IsZero() && time.Since(leaderless) >= lonelyAfter
		next := decide(now)
		s.explainFounding(next, &said)
		var retry <-chan time.Time
		if next.action != nothing {
			err := s.take(ctx, next, proposed)
			if errors.Is(err, consensus.ErrRemoved) {
				return err
			}
			if err != nil && ctx.Err() == nil {
				s.log.Info("not in the cluster yet, trying again", "step", next.reason, "err", err)
				reason := err.Error()
				s.founding.Store(&reason)
				retry = time.After(pause)
				pause = min(2*pause, founderMaxPause)
			} else {
				// What was asked for takes a moment to show.
				retry = time.After(founderMaxPause)
				pause = founderMinPause
			}
		} else if !leaderless.IsZero() {
			// Nobody is waited for without a look now and then.
			retry = time.After(lonelyAfter)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.founded:
		case <-leadership:
		case <-retry:
		}
	}
}

// nudgeFounder makes the founder look again.
func (s *Server) nudgeFounder() {
	select {
	case s.founded <- struct{}{}:
	default:
	}
}

// explainFounding says once why there is nothing to do yet.
func (s *Server) explainFounding(next step, said *string) {
	reason := next.reason
	s.founding.Store(&reason)
	if reason == *said {
		return
	}
	*said = reason
	switch {
	case next.wrong:
		s.log.Warn("waiting for a cluster", "reason", reason)
	case reason != "":
		s.log.Info("waiting for a cluster", "reason", reason)
	}
}

func (s *Server) situation() situation {
	now := situation{
		self:        s.node.ID(),
		clusterID:   s.node.ClusterID(),
		initialized: s.node.Initialized(),
		expect:      s.cfg.BootstrapExpect,
		wanted:      s.cfg.BootstrapExpect > 0 || len(s.cfg.Join) > 0,
		advertised:  s.node.Address(),
		trouble:     s.members.Load().Trouble(),
		replaces:    s.node.Replaces(),
	}
	for _, m := range s.members.Load().Members() {
		if m.Role == membership.RoleServer && m.Alive {
			now.servers = append(now.servers, m)
		}
	}
	servers, err := s.node.Configuration()
	if err != nil {
		return now
	}
	for _, server := range servers {
		now.members = append(now.members, server.ID)
		if server.ID == now.self {
			now.configured = server.RaftAddress
		}
	}
	return now
}

func (s *Server) take(ctx context.Context, next step, proposed string) error {
	ctx, cancel := context.WithTimeout(ctx, founderCall)
	defer cancel()
	slow := time.AfterFunc(founderSlow, func() {
		s.log.Warn("a step into the cluster does not end: does the disk of the data directory answer?", "step", next.reason, "data", s.cfg.DataDir, "since", founderSlow)
	})
	defer slow.Stop()
	switch next.action {
	case bootstrap:
		return s.bootstrap(ctx, proposed, next.servers)
	case join:
		return s.join(ctx)
	case tell:
		return s.tellFounded(ctx, s.node.ClusterID(), next.servers)
	}
	return nil
}

// bootstrapAlone makes a cluster of this server alone.
func (s *Server) bootstrapAlone() error {
	return s.node.Bootstrap(uuid.NewString(), []consensus.Server{{ID: s.node.ID(), RaftAddress: s.node.Address(), Voter: true}})
}

// bootstrap makes a cluster once all others have promised themselves to it.
func (s *Server) bootstrap(ctx context.Context, clusterID string, servers []membership.Member) error {
	ids := make([]string, 0, len(servers))
	voters := make([]consensus.Server, 0, len(servers))
	for _, m := range servers {
		ids = append(ids, m.ID)
		voters = append(voters, consensus.Server{ID: m.ID, RaftAddress: m.RaftAddress, Voter: true})
	}
	slices.Sort(ids)
	if err := s.promise(clusterID, ids); err != nil {
		return err
	}
	request := &argosyv1.PrepareBootstrapRequest{Handshake: s.handshake(), ClusterId: clusterID, ServerIds: ids}
	if err := s.prepareAll(ctx, request, servers); err != nil {
		return fmt.Errorf("found cluster %s: %w", clusterID, err)
	}
	if err := s.node.Bootstrap(clusterID, voters); err != nil {
		return err
	}
	s.adopted(clusterID, "")
	return s.tellFounded(ctx, clusterID, servers)
}

// tellFounded tells servers of this cluster that it exists.
func (s *Server) tellFounded(ctx context.Context, clusterID string, servers []membership.Member) error {
	configured, err := s.node.Configuration()
	if err != nil {
		return err
	}
	var ids []string
	for _, server := range configured {
		ids = append(ids, server.ID)
	}
	slices.Sort(ids)
	request := &argosyv1.PrepareBootstrapRequest{Handshake: s.handshake(), ClusterId: clusterID, ServerIds: ids, Founded: true}
	return s.prepareAll(ctx, request, servers)
}

// prepareAll asks all servers but this one, at once.
func (s *Server) prepareAll(ctx context.Context, request *argosyv1.PrepareBootstrapRequest, servers []membership.Member) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range servers {
		if m.ID == s.node.ID() {
			continue
		}
		group.Go(func() error {
			peer, ok := s.peers.Get(m.ID)
			if !ok {
				return fmt.Errorf("server %s (%s) is not connected yet", m.Name, m.ID)
			}
			response, err := peer.PrepareBootstrap(ctx, request)
			if err != nil {
				return fmt.Errorf("ask server %s at %s: %w", m.Name, peer.Address, err)
			}
			if !response.GetPromised() {
				return fmt.Errorf("server %s refuses: %s", m.Name, response.GetReason())
			}
			return nil
		})
	}
	return group.Wait()
}

// promise promises this server to a new cluster.
func (s *Server) promise(clusterID string, ids []string) error {
	switch {
	case !slices.Contains(ids, s.node.ID()):
		return fmt.Errorf("server %s is not one of those that shall found the cluster", s.node.ID())
	case s.cfg.BootstrapExpect != len(ids):
		return fmt.Errorf("server %s was started with --bootstrap-expect %d, the new cluster shall have %d servers",
			s.cfg.name(), s.cfg.BootstrapExpect, len(ids))
	case s.node.ClusterID() == clusterID:
		return nil
	case s.node.ClusterID() != "" || s.node.Initialized():
		return fmt.Errorf("server %s belongs to cluster %s already", s.cfg.name(), s.node.ClusterID())
	}
	s.promiseMu.Lock()
	defer s.promiseMu.Unlock()
	return s.promises.give(clusterID, time.Now())
}

// adopt takes the id of a cluster and its incarnation for good.
func (s *Server) adopt(clusterID, incarnation string) error {
	known := s.node.ClusterID() == clusterID
	if err := s.node.JoinCluster(clusterID, incarnation); err != nil || known {
		return err
	}
	s.adopted(clusterID, incarnation)
	return nil
}

func (s *Server) adopted(clusterID, incarnation string) {
	s.members.Load().SetCluster(clusterID, incarnation)
	s.log.Info("belonging to a cluster now", "cluster_id", clusterID, "incarnation", incarnation)
	s.kick()
	s.nudgeFounder()
}

// join asks the cluster to add this server, or to take note of its address.
func (s *Server) join(ctx context.Context) error {
	request := &argosyv1.JoinRequest{
		Handshake:   s.handshake(),
		Name:        s.cfg.name(),
		RaftAddress: s.node.Address(),
		ApiAddress:  s.apiAddress(),
		LastIndex:   s.node.LastIndex(),
		ProcessId:   s.node.ProcessID(),
	}
	if s.node.Leadership().Leader {
		_, err := s.addServer(ctx, request)
		return err
	}
	var last error
	for _, m := range s.joinOrder() {
		peer, ok := s.peers.Get(m.ID)
		if !ok {
			continue
		}
		response, err := s.joinThrough(ctx, peer, request)
		if err != nil {
			last = fmt.Errorf("ask server %s at %s: %w", m.Name, peer.Address, err)
			continue
		}
		if response.GetRemoved() {
			return s.node.NoteRemoved(time.Now())
		}
		return s.adopt(response.GetClusterId(), response.GetIncarnation())
	}
	if last == nil {
		last = fmt.Errorf("no server of a cluster is connected yet")
	}
	return fmt.Errorf("join cluster: %w", last)
}

// joinThrough asks a server to have this one added, in the place of those that
// it was before its data was found damaged.
func (s *Server) joinThrough(ctx context.Context, peer *peers.Peer, request *argosyv1.JoinRequest) (*argosyv1.JoinResponse, error) {
	former := s.node.Replaces()
	if len(former) == 0 {
		return peer.Join(ctx, request)
	}
	var response *argosyv1.JoinResponse
	var err error
	for _, id := range former {
		// One after the other: that it is added may fail until the last of them,
		// which had its address, is gone.
		request.ReplacesServerId = id
		response, err = peer.Join(ctx, request)
	}
	return response, err
}

// joinOrder returns the servers to ask, the leader first.
func (s *Server) joinOrder() []membership.Member {
	members := s.members.Load()
	leader, _, known := members.Leader()
	var order []membership.Member
	for _, m := range members.Members() {
		switch {
		case m.Role != membership.RoleServer || !m.Alive || m.ID == s.node.ID() || m.ClusterID == "":
		case known && m.ID == leader.ID:
			order = slices.Insert(order, 0, m)
		default:
			order = append(order, m)
		}
	}
	return order
}

// hopKey marks a call that a server passed on: it goes no further.
const hopKey = "argosy-hop"

func passedOn(ctx context.Context) bool {
	given, ok := metadata.FromIncomingContext(ctx)
	return ok && len(given.Get(hopKey)) > 0
}

func passOn(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, hopKey, "1")
}
