// Package operator answers those who run a cluster: the gRPC OperatorService of
// one replica. It protects one invariant: what changes the cluster is decided by
// the leader alone, whichever replica was asked, and is answered only when it is
// committed.
//
// It decides nothing itself: it finds the leader, and asks the parts of the
// server that hold what the call is about.
package operator

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Replica is what this server knows of itself and its cluster.
type Replica interface {
	// Header returns a new header without a revision.
	Header() *argosyv1.ResponseHeader
	// Revision returns the revision that this server's state has reached.
	Revision() uint64
	// Leader returns where a call goes that only the leader can carry out, and
	// the context to pass it on with; nil when this server leads.
	Leader(ctx context.Context, what string) (argosyv1.OperatorServiceClient, context.Context, error)
}

// Servers changes who belongs to the cluster, on its leader.
type Servers interface {
	// RemoveServer takes a server out, by its id or its name, and returns its id.
	RemoveServer(ctx context.Context, server string, force bool) (string, error)
	// PromoteServer gives a server its vote, and returns its id.
	PromoteServer(ctx context.Context, server string) (string, error)
}

// Settings are the settings of the cluster.
type Settings interface {
	// Settings reads them, linearizably, with the revision of the state that they
	// were read from. It works on every replica.
	Settings(context.Context) (*argosyv1.ClusterSettings, uint64, error)
	// UpdateSettings changes them, on the leader.
	UpdateSettings(context.Context, *argosyv1.UpdateSettingsRequest) (*argosyv1.ClusterSettings, error)
}

// History is what this server remembers of leaderships.
type History interface {
	// Leaderships returns the newest ones, the oldest of them first; 0 means all.
	Leaderships(limit int) []*argosyv1.Leadership
}

// Backups saves and restores the whole desired state.
type Backups interface {
	// Save sends a backup.
	Save(*argosyv1.SaveSnapshotRequest, grpc.ServerStreamingServer[argosyv1.SaveSnapshotResponse]) error
	// Restore takes a backup and puts it in the place of the state.
	Restore(grpc.ClientStreamingServer[argosyv1.RestoreSnapshotRequest, argosyv1.RestoreSnapshotResponse]) error
}

// Deps are what the service works with. Calls to a part that is nil are
// answered as ones that this version does not have.
type Deps struct {
	// Replica is needed always.
	Replica  Replica
	Servers  Servers
	Settings Settings
	History  History
	Backups  Backups
}

// Service is the OperatorService of one replica.
type Service struct {
	argosyv1.UnimplementedOperatorServiceServer
	deps Deps
}

var _ argosyv1.OperatorServiceServer = (*Service)(nil)

// New makes the service.
func New(deps Deps) (*Service, error) {
	if deps.Replica == nil {
		return nil, errors.New("make operator service: the replica is needed")
	}
	return &Service{deps: deps}, nil
}

func (s *Service) header(revision uint64) *argosyv1.ResponseHeader {
	h := s.deps.Replica.Header()
	h.Revision = revision
	return h
}

// RemoveServer takes a server out of the cluster for good.
func (s *Service) RemoveServer(ctx context.Context, req *argosyv1.RemoveServerRequest) (*argosyv1.RemoveServerResponse, error) {
	if s.deps.Servers == nil {
		return s.UnimplementedOperatorServiceServer.RemoveServer(ctx, req)
	}
	if req.GetServer() == "" {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "remove server: the request names none; see the ids and names in the status")
	}
	leader, passed, err := s.deps.Replica.Leader(ctx, "remove server "+req.GetServer())
	if err != nil {
		return nil, err
	}
	if leader != nil {
		return leader.RemoveServer(passed, req)
	}
	id, err := s.deps.Servers.RemoveServer(ctx, req.GetServer(), req.GetForce())
	if err != nil {
		return nil, err
	}
	return &argosyv1.RemoveServerResponse{Header: s.header(s.deps.Replica.Revision()), ServerId: id}, nil
}

// PromoteServer gives a server its vote.
func (s *Service) PromoteServer(ctx context.Context, req *argosyv1.PromoteServerRequest) (*argosyv1.PromoteServerResponse, error) {
	if s.deps.Servers == nil {
		return s.UnimplementedOperatorServiceServer.PromoteServer(ctx, req)
	}
	if req.GetServer() == "" {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "promote server: the request names none; see the ids and names in the status")
	}
	leader, passed, err := s.deps.Replica.Leader(ctx, "promote server "+req.GetServer())
	if err != nil {
		return nil, err
	}
	if leader != nil {
		return leader.PromoteServer(passed, req)
	}
	id, err := s.deps.Servers.PromoteServer(ctx, req.GetServer())
	if err != nil {
		return nil, err
	}
	return &argosyv1.PromoteServerResponse{Header: s.header(s.deps.Replica.Revision()), ServerId: id}, nil
}

// GetSettings reads the settings of the cluster.
func (s *Service) GetSettings(ctx context.Context, req *argosyv1.GetSettingsRequest) (*argosyv1.GetSettingsResponse, error) {
	if s.deps.Settings == nil {
		return s.UnimplementedOperatorServiceServer.GetSettings(ctx, req)
	}
	settings, revision, err := s.deps.Settings.Settings(ctx)
	if err != nil {
		return nil, err
	}
	return &argosyv1.GetSettingsResponse{Header: s.header(revision), Settings: settings}, nil
}

// UpdateSettings changes some settings of the cluster.
func (s *Service) UpdateSettings(ctx context.Context, req *argosyv1.UpdateSettingsRequest) (*argosyv1.UpdateSettingsResponse, error) {
	if s.deps.Settings == nil {
		return s.UnimplementedOperatorServiceServer.UpdateSettings(ctx, req)
	}
	leader, passed, err := s.deps.Replica.Leader(ctx, "update settings")
	if err != nil {
		return nil, err
	}
	if leader != nil {
		return leader.UpdateSettings(passed, req)
	}
	settings, err := s.deps.Settings.UpdateSettings(ctx, req)
	if err != nil {
		return nil, err
	}
	return &argosyv1.UpdateSettingsResponse{Header: s.header(settings.GetRevision()), Settings: settings}, nil
}

// ListLeaderships tells who led when, as this server saw it.
func (s *Service) ListLeaderships(ctx context.Context, req *argosyv1.ListLeadershipsRequest) (*argosyv1.ListLeadershipsResponse, error) {
	if s.deps.History == nil {
		return s.UnimplementedOperatorServiceServer.ListLeaderships(ctx, req)
	}
	return &argosyv1.ListLeadershipsResponse{
		Header:      s.header(s.deps.Replica.Revision()),
		Leaderships: s.deps.History.Leaderships(int(req.GetLimit())),
	}, nil
}

// SaveSnapshot sends the whole desired state as a backup file.
func (s *Service) SaveSnapshot(req *argosyv1.SaveSnapshotRequest, stream grpc.ServerStreamingServer[argosyv1.SaveSnapshotResponse]) error {
	if s.deps.Backups == nil {
		return s.UnimplementedOperatorServiceServer.SaveSnapshot(req, stream)
	}
	return s.deps.Backups.Save(req, stream)
}

// RestoreSnapshot replaces the whole desired state by that of a backup file.
func (s *Service) RestoreSnapshot(stream grpc.ClientStreamingServer[argosyv1.RestoreSnapshotRequest, argosyv1.RestoreSnapshotResponse]) error {
	if s.deps.Backups == nil {
		return s.UnimplementedOperatorServiceServer.RestoreSnapshot(stream)
	}
	return s.deps.Backups.Restore(stream)
}
