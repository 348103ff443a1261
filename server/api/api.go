// Package api answers users: the gRPC ClusterService of one replica. It protects
// one invariant: whatever is said of the state is said with the revision it was
// read from, and everything in one answer is from that one revision.
//
// It decides nothing: writes go to whoever leads, reads wait until this replica
// may answer them, and what the cluster itself does is asked of the server that
// holds the parts.
package api

import (
	"cmp"
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/membership/identity"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/forward"
	"github.com/argosy-cluster/argosy/server/observed"
	"github.com/argosy-cluster/argosy/server/writer"
)

// Writes carries out writes; forward.Router does.
type Writes interface {
	Do(context.Context, forward.Write) (writer.Outcome, error)
	// Serve carries out the writes of a stream.
	Serve(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses], principal string, check forward.Check, header func() *argosyv1.ResponseHeader) error
}

// Reads lets linearizable reads wait until this replica may answer; reader.Reader
// does.
type Reads interface {
	Await(context.Context) error
}

// Replica is what this server knows of itself and its cluster.
type Replica interface {
	// Header returns a new header without a revision.
	Header() *argosyv1.ResponseHeader
	// StalenessMillis returns how old what this server has may be.
	StalenessMillis() uint64
	// Status describes the cluster; it is answered without a leader too.
	Status(context.Context) (*argosyv1.StatusResponse, error)
	// TransferLeadership makes another server lead.
	TransferLeadership(ctx context.Context, serverID string) error
	// Logs sends what workloads print.
	Logs(*argosyv1.LogsRequest, grpc.ServerStreamingServer[argosyv1.LogsResponse]) error
}

// Deps are what the service works with.
type Deps struct {
	Writes   Writes
	Reads    Reads
	State    *fsm.Machine
	Observed *observed.Store
	Replica  Replica
	// LevelPatience is how long a write waits for the feature level that it needs
	// before it is refused. Default: DefaultLevelPatience.
	LevelPatience time.Duration
}

// DefaultLevelPatience is longer than it takes a leader to look whether the level can
// be raised.
const DefaultLevelPatience = 3 * time.Second

// Service is the ClusterService of one replica.
type Service struct {
	argosyv1.UnimplementedClusterServiceServer
	Deps
}

var _ argosyv1.ClusterServiceServer = (*Service)(nil)

// New makes the service.
func New(deps Deps) (*Service, error) {
	if deps.Writes == nil || deps.Reads == nil || deps.State == nil || deps.Observed == nil || deps.Replica == nil {
		return nil, errors.New("make API: all dependencies are needed")
	}
	deps.LevelPatience = cmp.Or(deps.LevelPatience, DefaultLevelPatience)
	return &Service{Deps: deps}, nil
}

func (s *Service) header(revision uint64) *argosyv1.ResponseHeader {
	h := s.Replica.Header()
	h.Revision = revision
	return h
}

// Apply changes desired state.
func (s *Service) Apply(ctx context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
	return s.write(ctx, forward.Write{Principal: identity.PrincipalOf(ctx), Apply: req})
}

// Delete removes workloads and configs.
func (s *Service) Delete(ctx context.Context, req *argosyv1.DeleteRequest) (*argosyv1.WriteResponse, error) {
	return s.write(ctx, forward.Write{Principal: identity.PrincipalOf(ctx), Delete: req})
}

// RemoveAgent forgets an agent that is gone for good.
func (s *Service) RemoveAgent(ctx context.Context, req *argosyv1.RemoveAgentRequest) (*argosyv1.RemoveAgentResponse, error) {
	done, err := s.write(ctx, forward.Write{Principal: identity.PrincipalOf(ctx), Remove: req})
	if err != nil {
		return nil, err
	}
	return &argosyv1.RemoveAgentResponse{Header: done.GetHeader(), Forgotten: done.GetResult().GetForgotten(), Replayed: done.GetReplayed()}, nil
}

func (s *Service) write(ctx context.Context, w forward.Write) (*argosyv1.WriteResponse, error) {
	wait, err := s.check(ctx, w)
	if err == nil && wait != nil {
		err = wait(ctx)
	}
	if err != nil {
		return nil, err
	}
	o, err := s.Writes.Do(ctx, w)
	if err != nil {
		return nil, err
	}
	return &argosyv1.WriteResponse{Header: s.header(o.Revision), Result: o.Result, Replayed: o.Replayed}, nil
}

// Write carries out the writes of one client on one stream.
func (s *Service) Write(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error {
	ctx := stream.Context()
	return s.Writes.Serve(stream, identity.PrincipalOf(ctx), func(w forward.Write) (func(context.Context) error, error) { return s.check(ctx, w) }, s.Replica.Header)
}

// Status tells of the cluster itself.
func (s *Service) Status(ctx context.Context, _ *argosyv1.StatusRequest) (*argosyv1.StatusResponse, error) {
	return s.Replica.Status(ctx)
}

// TransferLeadership makes another server lead.
func (s *Service) TransferLeadership(ctx context.Context, req *argosyv1.TransferLeadershipRequest) (*argosyv1.TransferLeadershipResponse, error) {
	if err := s.Replica.TransferLeadership(ctx, req.GetServerId()); err != nil {
		return nil, err
	}
	return &argosyv1.TransferLeadershipResponse{Header: s.header(s.State.Applied())}, nil
}

// Logs sends what workloads print.
func (s *Service) Logs(req *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
	if len(req.GetNames()) == 0 {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "read logs: the request names no workload")
	}
	return s.Replica.Logs(req, stream)
}
