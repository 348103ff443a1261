package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/argosy-cluster/argosy/membership/identity"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/api"
	"github.com/argosy-cluster/argosy/server/limits"
	"github.com/argosy-cluster/argosy/server/peers"
	"github.com/argosy-cluster/argosy/server/sessions"
)

func (s *Server) clientTLS() *tls.Config {
	if s.identity == nil {
		return nil
	}
	return s.identity.ClientTLS(identity.ServerName)
}

func (s *Server) serverTLS() *tls.Config {
	if s.identity == nil {
		return nil
	}
	return s.identity.ServerTLS()
}

// self is the server as its API sees it.
type self struct{ *Server }

var _ api.Replica = self{}

// streamWorkers is the number of goroutines that are kept to handle calls. A new
// goroutine for each call grows its stack from the smallest size every time,
// which took a fifteenth of a busy leader's CPU time. More calls at once than
// this get new goroutines.
const streamWorkers = 256

// openAPI makes the gRPC server with all its services.
func (s *Server) openAPI() error {
	var err error
	s.api, err = api.New(api.Deps{
		Writes:   s.router,
		Reads:    s.reader,
		State:    s.machine,
		Observed: s.store,
		Replica:  self{s},
	})
	if err != nil {
		return err
	}
	operators, err := s.openOperator()
	if err != nil {
		return err
	}
	if s.calls, err = limits.NewCalls(s.cfg.Limits); err != nil {
		return err
	}
	options := append(append(peers.ServerOptions(s.serverTLS()), s.cfg.Limits.ServerOptions()...),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.UnaryInterceptor(s.guardUnary),
		grpc.StreamInterceptor(s.guardStream),
	)
	s.grpc = grpc.NewServer(options...)
	s.health = health.NewServer()
	argosyv1.RegisterClusterServiceServer(s.grpc, s.api)
	argosyv1.RegisterOperatorServiceServer(s.grpc, operators)
	argosyv1.RegisterPeerServiceServer(s.grpc, newPeerService(s))
	sessions.Register(s.grpc, s.sessions, s.relay)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	return nil
}

const peerMethods = "/argosy.v1.PeerService/"

// admit refuses a caller that may not make a call: servers ask each other only
// what servers may ask, and agents command nobody.
func (s *Server) admit(ctx context.Context, method string) error {
	if s.identity == nil {
		return nil
	}
	if !strings.HasPrefix(method, peerMethods) {
		return s.api.CheckAgent(ctx, method)
	}
	names, _ := identity.PeerNames(ctx)
	for _, name := range names {
		if name == identity.ServerName {
			return nil
		}
	}
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN,
		"call %s: only servers may, and the certificate of %s does not name %q", method, identity.PrincipalOf(ctx), identity.ServerName)
}

func (s *Server) guardUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	began := time.Now()
	response, err := s.serveUnary(ctx, req, info, handler)
	s.metrics.Answered(info.FullMethod, time.Since(began), false, err)
	return response, err
}

func (s *Server) serveUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := s.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return s.calls.Unary(ctx, req, info.FullMethod, handler)
}

func (s *Server) guardStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ended := func(error) {}
	if info.FullMethod == argosyv1.ClusterService_Watch_FullMethodName {
		ended = s.metrics.WatchBegan()
	}
	err := s.serveStream(srv, stream, info, handler)
	ended(err)
	s.metrics.Answered(info.FullMethod, 0, true, err)
	return err
}

// serveStream lets streams end when the server stops: a watch would go on for
// ever, and the stop would wait for it.
func (s *Server) serveStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := s.admit(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.serving, func() { cancel(errStopping) })()
	err := s.calls.Stream(srv, &boundStream{ServerStream: stream, ctx: ctx}, info, handler)
	if err != nil && errors.Is(context.Cause(ctx), errStopping) {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_STOPPING, "the server is stopping; go on at another one")
	}
	return err
}

var errStopping = errors.New("the server is stopping")

// boundStream is a stream with a context that also ends when the server stops.
type boundStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (b *boundStream) Context() context.Context { return b.ctx }

// TransferLeadership makes another server lead; a server that does not lead asks
// the one that does.
func (s self) TransferLeadership(ctx context.Context, id string) error {
	l := s.node.Leadership()
	if !l.Leader {
		if id != "" && id == l.LeaderID {
			return nil
		}
		peer, err := s.leaderPeer(ctx, "transfer leadership")
		if err != nil {
			return err
		}
		_, err = argosyv1.NewClusterServiceClient(peer.Conn).TransferLeadership(passOn(ctx), &argosyv1.TransferLeadershipRequest{ServerId: id})
		return err
	}
	if id == s.node.ID() {
		return nil
	}
	if !s.hasSuccessor() {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "transfer leadership: there is no other server that may lead")
	}
	if id != "" && !s.isVoter(id) {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "transfer leadership: no server of id %q may lead; see the ids in the status", id)
	}
	ctx, cancel := context.WithTimeout(ctx, stepAsideTimeout)
	defer cancel()
	err := s.stepAside(ctx, id)
	if err == nil {
		return nil
	}
	if _, ok := argosyv1.AsError(err); ok {
		return err
	}
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "transfer leadership: %v; see the status, and try again", err)
}

// Logs sends what workloads print. The agents send it to the leader; another
// server passes it on.
func (s self) Logs(req *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
	if s.reign.Load() != nil {
		return s.relay.Logs(req, stream)
	}
	ctx := stream.Context()
	peer, err := s.leaderPeer(ctx, "read logs")
	if err != nil {
		return err
	}
	lines, err := argosyv1.NewClusterServiceClient(peer.Conn).Logs(passOn(ctx), req)
	if err != nil {
		return err
	}
	for {
		message, err := lines.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(message); err != nil {
			return err
		}
	}
}
