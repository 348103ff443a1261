package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/forward"
	"github.com/argosy-cluster/argosy/server/observed"
	"github.com/argosy-cluster/argosy/server/observed/mirror"
	"github.com/argosy-cluster/argosy/server/peers"
)

// peerService is what servers ask of each other.
type peerService struct {
	argosyv1.UnimplementedPeerServiceServer
	*Server
	receiver *forward.Receiver
}

var _ argosyv1.PeerServiceServer = (*peerService)(nil)

func newPeerService(s *Server) *peerService {
	return &peerService{Server: s, receiver: &forward.Receiver{
		Local: func() (forward.Target, bool) {
			r := s.reign.Load()
			if r == nil {
				return nil, false
			}
			return r.writes()
		},
		Hello:    s.handshake,
		Check:    s.checkPeer,
		Stopping: s.serving.Done(),
	}}
}

// checkPeer refuses a server of another cluster, or one that no language is
// shared with.
func (s *Server) checkPeer(h *argosyv1.PeerHandshake) error {
	if own := s.node.ClusterID(); own == "" || h.GetClusterId() != own {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"answer server %s: it belongs to cluster %q, server %s to cluster %q", h.GetServerId(), h.GetClusterId(), s.node.ID(), own)
	}
	if err := consensus.CheckIncarnation(s.node.ID(), s.node.Incarnation(), h.GetIncarnation()); err != nil {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, "answer server %s: %v", h.GetServerId(), err)
	}
	return s.checkProtocol(h)
}

// checkStranger is checkPeer for calls that a server makes that has no cluster
// yet.
func (s *Server) checkStranger(h *argosyv1.PeerHandshake) error {
	if s.node.ClusterID() != "" && h.GetClusterId() != "" {
		return s.checkPeer(h)
	}
	return s.checkProtocol(h)
}

func (s *Server) checkProtocol(h *argosyv1.PeerHandshake) error {
	own := argosyv1.SupportedProtocol()
	if _, ok := argosyv1.NegotiateProtocol(own, h.GetProtocol()); !ok {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"answer server %s: it speaks protocol versions %d to %d, server %s speaks %d to %d; upgrade the older one",
			h.GetServerId(), h.GetProtocol().GetMin(), h.GetProtocol().GetMax(), s.node.ID(), own.GetMin(), own.GetMax())
	}
	return nil
}

// Forward carries out writes of a follower.
func (p *peerService) Forward(stream grpc.BidiStreamingServer[argosyv1.ForwardRequest, argosyv1.ForwardResponse]) error {
	return p.receiver.Serve(stream)
}

// ReadIndex answers what a linearizable read of a follower must have seen.
func (p *peerService) ReadIndex(ctx context.Context, req *argosyv1.ReadIndexRequest) (*argosyv1.ReadIndexResponse, error) {
	if err := p.checkPeer(req.GetHandshake()); err != nil {
		return nil, err
	}
	index, term, err := p.node.ReadIndex(ctx)
	if err != nil {
		return nil, p.notLeader("give a read index", err)
	}
	p.awaitObservations(ctx, term)
	position := p.store.Position()
	if position.Term != term {
		return nil, p.notLeader("give a read index", errors.New("it does not lead the observations"))
	}
	return &argosyv1.ReadIndexResponse{Revision: index, Term: term, Observation: position.Sequence}, nil
}

// awaitObservations waits for the moment that a new leader needs before it also
// leads the observed state; the other servers ask as soon as it is elected.
func (p *peerService) awaitObservations(ctx context.Context, term uint64) {
	if p.store.Position().Term >= term {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, observationsWait)
	defer cancel()
	// When it fails, what follows finds it out.
	_ = p.store.WaitPosition(ctx, observed.Position{Term: term})
}

// observationsWait bounds awaitObservations.
const observationsWait = time.Second

func (p *peerService) notLeader(what string, err error) error {
	refusal := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "%s: server %s: %v", what, p.node.ID(), err)
	refusal.Detail.LeaderAddress = p.outlook().leaderAddress
	return refusal
}

// Mirror sends the observed state to a follower.
func (p *peerService) Mirror(req *argosyv1.MirrorRequest, stream grpc.ServerStreamingServer[argosyv1.MirrorResponse]) error {
	if r := p.reign.Load(); r != nil {
		p.awaitObservations(stream.Context(), r.term)
	}
	return mirror.Serve(p.store, p.handshake(), req, stream)
}

// Contact answers whether this server, too, has not heard from a leader.
func (p *peerService) Contact(_ context.Context, req *argosyv1.ContactRequest) (*argosyv1.ContactResponse, error) {
	if err := p.checkPeer(req.GetHandshake()); err != nil {
		return nil, err
	}
	return p.node.HandleContact(req), nil
}

// PrepareBootstrap promises this server to a new cluster, or takes its id when
// it exists.
func (p *peerService) PrepareBootstrap(_ context.Context, req *argosyv1.PrepareBootstrapRequest) (*argosyv1.PrepareBootstrapResponse, error) {
	if err := p.checkProtocol(req.GetHandshake()); err != nil {
		return nil, err
	}
	err := p.promise(req.GetClusterId(), req.GetServerIds())
	if err == nil && req.GetFounded() {
		err = p.adopt(req.GetClusterId(), req.GetHandshake().GetIncarnation())
	}
	if err != nil {
		return &argosyv1.PrepareBootstrapResponse{Reason: err.Error()}, nil
	}
	return &argosyv1.PrepareBootstrapResponse{Promised: true}, nil
}

// Join adds a server to the cluster, or gives one its new address.
func (p *peerService) Join(ctx context.Context, req *argosyv1.JoinRequest) (*argosyv1.JoinResponse, error) {
	return p.addServer(ctx, req)
}

// addServer adds a server to the cluster, or gives one its new address. A server
// that does not lead passes the request on, once.
func (s *Server) addServer(ctx context.Context, req *argosyv1.JoinRequest) (*argosyv1.JoinResponse, error) {
	if err := s.checkStranger(req.GetHandshake()); err != nil {
		return nil, err
	}
	id := req.GetHandshake().GetServerId()
	if id == "" || req.GetRaftAddress() == "" {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "add server: its id and its Raft address are needed")
	}
	if !s.node.Leadership().Leader {
		peer, err := s.leaderPeer(ctx, "add server "+id)
		if err != nil {
			return nil, err
		}
		return peer.Join(passOn(ctx), req)
	}
	if err := s.node.Barrier(ctx); err != nil {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "add server %s: %v", id, err)
	}
	if err := s.admission.take(ctx); err != nil {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED, "add server %s: %v", id, err)
	}
	defer s.admission.give()
	if err := s.checkJoiner(req.GetHandshake()); err != nil {
		return nil, err
	}
	if req.GetLastIndex() > 0 {
		// It has been in the cluster. If it is not any more, it is not let in again
		// by the back door.
		removed, err := s.node.Removed(ctx, id)
		if err != nil {
			return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "add server %s: %v", id, err)
		}
		if removed {
			s.log.Warn("a server that was removed asked to be let in, and was told so", "id", id, "name", req.GetName(), "raft", req.GetRaftAddress())
			return &argosyv1.JoinResponse{ClusterId: s.node.ClusterID(), Incarnation: s.node.Incarnation(), Removed: true}, nil
		}
	}
	known := s.isAt(id, req.GetRaftAddress())
	err := s.node.CheckMove(ctx, id, req.GetRaftAddress(), req.GetProcessId())
	if err == nil {
		err = s.node.ReplaceServer(ctx, req.GetReplacesServerId(), id, req.GetRaftAddress())
	}
	switch {
	case errors.Is(err, consensus.ErrInUse), errors.Is(err, consensus.ErrNoQuorumLeft):
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "add server %s: %v", id, err)
	case errors.Is(err, consensus.ErrAddressTaken), errors.Is(err, consensus.ErrTwin):
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "%v", err)
	case errors.Is(err, consensus.ErrNotLeader):
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "%v", err)
	case errors.Is(err, consensus.ErrFateUnknown):
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN, "%v", err)
	case err != nil:
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INTERNAL, "%v", err)
	}
	s.autopilot.Wake()
	level := slog.LevelInfo
	if known {
		// It asks until it hears the answer by Raft: that is no news.
		level = slog.LevelDebug
	}
	s.log.Log(ctx, level, "server joined", "joined", id, "name", req.GetName(), "raft", req.GetRaftAddress(), "api", req.GetApiAddress(), "replaces", req.GetReplacesServerId())
	return &argosyv1.JoinResponse{ClusterId: s.node.ClusterID(), Incarnation: s.node.Incarnation(), Voter: s.isVoter(id)}, nil
}

// isAt tells whether a server is in the configuration at an address.
func (s *Server) isAt(id, address string) bool {
	servers, err := s.node.Configuration()
	return err == nil && slices.ContainsFunc(servers, func(server consensus.Server) bool { return server.ID == id && server.RaftAddress == address })
}

func (s *Server) isVoter(id string) bool {
	servers, err := s.node.Configuration()
	if err != nil {
		return false
	}
	for _, server := range servers {
		if server.ID == id {
			return server.Voter
		}
	}
	return false
}

// leaderPeer returns the connection to the leader, for a call that is passed on.
func (s *Server) leaderPeer(ctx context.Context, what string) (*peers.Peer, error) {
	l := s.node.Leadership()
	if passedOn(ctx) {
		refusal := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "%s: server %s does not lead", what, s.node.ID())
		refusal.Detail.LeaderAddress = s.outlook().leaderAddress
		return nil, refusal
	}
	if peer, ok := s.peers.Get(l.LeaderID); ok && l.LeaderID != "" {
		return peer, nil
	}
	reason, _ := s.absence()
	if reason == "" {
		reason = "the leader is not known"
	}
	return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "%s: %s; try again", what, reason)
}

// Describe tells this server's own status.
func (p *peerService) Describe(_ context.Context, req *argosyv1.DescribeRequest) (*argosyv1.DescribeResponse, error) {
	if err := p.checkStranger(req.GetHandshake()); err != nil {
		return nil, err
	}
	return &argosyv1.DescribeResponse{Server: p.describe(), ProcessId: p.node.ProcessID(), StartedUnixNanos: p.started.UnixNano()}, nil
}
