package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/membership/identity"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

// Replica is what this server knows of itself and its cluster.
type Replica interface {
	// Header returns a new header without a revision.
	Header() *argosyv1.ResponseHeader
	// StalenessMillis returns how old what this server has may be.
	StalenessMillis() uint64
	// Leader returns where a call goes that only the leader can carry out, and
	// the context to pass it on with; nil when this server leads.
	Leader(ctx context.Context, what string) (argosyv1.OperatorServiceClient, context.Context, error)
}

// Reads lets linearizable reads wait until this replica may answer.
type Reads interface {
	Await(context.Context) error
}

// State is the state machine.
type State interface {
	View() *fsm.View
}

// Restorer puts a state in the place of the present one, on the leader.
type Restorer interface {
	// Replace returns the revision of the restored state when a majority has it.
	// When it calls source, nothing is written any more. Its error is an API
	// error.
	Replace(ctx context.Context, source consensus.RestoreSource) (uint64, error)
}

// Deps are what the service works with.
type Deps struct {
	Replica  Replica
	Reads    Reads
	State    State
	Restorer Restorer
	// Meta returns what this server says of every backup.
	Meta func() Meta
	// SpoolDir is where a backup is put together before it is restored.
	SpoolDir string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger may be nil.
	Logger *slog.Logger
}

const (
	// maxFile bounds a backup that is taken in.
	maxFile = 4 << 30
	// maxSaves bounds how many backups are sent at once: each holds on to a whole
	// state for as long as its receiver is slow.
	maxSaves = 4

	spoolPrefix = ".restore-"
)

// Service saves and restores the state of one replica's cluster.
type Service struct {
	deps      Deps
	saves     chan struct{}
	restoring sync.Mutex
}

// New makes the service. It removes what a restore left behind that did not get
// to its end.
func New(deps Deps) (*Service, error) {
	if deps.Replica == nil || deps.Reads == nil || deps.State == nil || deps.Restorer == nil || deps.Meta == nil || deps.SpoolDir == "" {
		return nil, errors.New("make backup service: all dependencies are needed")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	left, err := filepath.Glob(filepath.Join(deps.SpoolDir, spoolPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("make backup service: %w", err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("make backup service: remove what a restore left behind: %w", err)
		}
	}
	return &Service{deps: deps, saves: make(chan struct{}, maxSaves)}, nil
}

// Save sends a backup.
func (s *Service) Save(req *argosyv1.SaveSnapshotRequest, stream grpc.ServerStreamingServer[argosyv1.SaveSnapshotResponse]) error {
	ctx := stream.Context()
	select {
	case s.saves <- struct{}{}:
		defer func() { <-s.saves }()
	default:
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED, "save snapshot: %d others are under way on this server; try again later, or at another server", maxSaves)
	}
	header := s.deps.Replica.Header()
	switch req.GetConsistency() {
	case argosyv1.Consistency_CONSISTENCY_LINEARIZABLE:
		if err := s.deps.Reads.Await(ctx); err != nil {
			return err
		}
	case argosyv1.Consistency_CONSISTENCY_STALE:
		header.StalenessMs = s.deps.Replica.StalenessMillis()
	default:
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "save snapshot: consistency %d is not known to this server", req.GetConsistency())
	}
	view := s.deps.State.View()
	if view.Revision() == 0 {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "save snapshot: this server has no state yet")
	}
	header.Revision = view.Revision()
	meta := s.deps.Meta()
	meta.SavedAt = s.deps.Now()
	err := Write(ctx, &sender{stream: stream, header: header}, Describe(view, meta), view)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INTERNAL, "save snapshot: %v", err)
	}
	return nil
}

// sender sends what is written to it.
type sender struct {
	stream grpc.ServerStreamingServer[argosyv1.SaveSnapshotResponse]
	header *argosyv1.ResponseHeader // nil once it was sent
}

func (s *sender) Write(p []byte) (int, error) {
	err := s.stream.Send(&argosyv1.SaveSnapshotResponse{Header: s.header, Data: bytes.Clone(p)})
	s.header = nil
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

type restoreStream = grpc.ClientStreamingServer[argosyv1.RestoreSnapshotRequest, argosyv1.RestoreSnapshotResponse]

// Restore takes a backup and puts it in the place of the state. A server that
// does not lead passes it on.
func (s *Service) Restore(stream restoreStream) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "restore snapshot: the request has no backup")
	}
	if err != nil {
		return err
	}
	leader, passed, err := s.deps.Replica.Leader(ctx, "restore snapshot")
	if err != nil {
		return err
	}
	var response *argosyv1.RestoreSnapshotResponse
	if leader != nil {
		response, err = passOn(passed, leader, first, stream)
	} else {
		response, err = s.restore(ctx, first, stream)
	}
	if err != nil {
		return err
	}
	return stream.SendAndClose(response)
}

// passOn brings a backup to the leader.
func passOn(ctx context.Context, leader argosyv1.OperatorServiceClient, first *argosyv1.RestoreSnapshotRequest, stream restoreStream) (*argosyv1.RestoreSnapshotResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	onward, err := leader.RestoreSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	for message := first; ; {
		err := onward.Send(message)
		if errors.Is(err, io.EOF) {
			// It has answered before the end.
			return onward.CloseAndRecv()
		}
		if err != nil {
			return nil, err
		}
		message, err = stream.Recv()
		if errors.Is(err, io.EOF) {
			return onward.CloseAndRecv()
		}
		if err != nil {
			return nil, err
		}
	}
}

func (s *Service) restore(ctx context.Context, first *argosyv1.RestoreSnapshotRequest, stream restoreStream) (*argosyv1.RestoreSnapshotResponse, error) {
	if !s.restoring.TryLock() {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED, "restore snapshot: another restore is under way; try again when it is over")
	}
	defer s.restoring.Unlock()
	// The view comes from a file and not from the stream: a backup that is cut
	// short because its sender broke off shall cost no memory.
	summary, view, err := s.takeIn(first, stream)
	if err != nil {
		return nil, refusal(err)
	}
	if err := s.deps.Reads.Await(ctx); err != nil {
		return nil, err
	}
	options := first.GetOptions()
	present := s.deps.State.View()
	if err := s.accept(summary, view, present, options); err != nil {
		return nil, err
	}
	response := &argosyv1.RestoreSnapshotResponse{Restored: summary.Proto(), Replaced: s.describe(present)}
	principal := identity.PrincipalOf(ctx)
	if options.GetDryRun() {
		response.Header = s.deps.Replica.Header()
		response.Header.Revision = present.Revision()
		s.deps.Logger.Info("restore was rehearsed", "by", principal, "cluster", summary.ClusterID, "revision", summary.Revision)
		return response, nil
	}
	revision, err := s.deps.Restorer.Replace(ctx, func(index uint64) (io.WriterTo, error) {
		present := s.deps.State.View()
		response.Replaced = s.describe(present)
		own, err := ownAgents(view, present)
		if err != nil {
			return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INTERNAL, "restore snapshot: %v; nothing was changed", err)
		}
		settings := s.settings(view, present)
		settings.CreatedRevision, settings.Revision = 0, 0
		own = append(own, fsm.Own{Kind: argosyv1.RowKind_ROW_KIND_CLUSTER, Key: fsm.ClusterKey, Message: settings})
		return fsm.Rebase(view, present, index, own)
	})
	if err != nil {
		s.deps.Logger.Error("state was not restored", "by", principal, "cluster", summary.ClusterID, "revision", summary.Revision, "err", err)
		return nil, err
	}
	s.deps.Logger.Warn("state was restored from a backup", "by", principal, "revision", revision,
		"cluster", summary.ClusterID, "saved_at", summary.SavedAt, "saved_revision", summary.Revision,
		"workloads", summary.Workloads, "agents", summary.Agents, "replaced_revision", response.GetReplaced().GetRevision())
	response.Header = s.deps.Replica.Header()
	response.Header.Revision = revision
	return response, nil
}

// takeIn puts a backup into a file and reads it from there.
func (s *Service) takeIn(first *argosyv1.RestoreSnapshotRequest, stream restoreStream) (_ Summary, _ *fsm.View, err error) {
	file, err := os.CreateTemp(s.deps.SpoolDir, spoolPrefix+"*")
	if err != nil {
		return Summary{}, nil, fmt.Errorf("put backup together: %w", err)
	}
	defer func() {
		// Its content is of no use to anybody any more.
		_ = file.Close()
		_ = os.Remove(file.Name())
	}()
	size := 0
	for message := first; ; {
		if size += len(message.GetData()); size > maxFile {
			return Summary{}, nil, fmt.Errorf("put backup together: it is larger than %d bytes, the most that is taken: %w", maxFile, errTooLarge)
		}
		if _, err := file.Write(message.GetData()); err != nil {
			return Summary{}, nil, fmt.Errorf("put backup together: %w", err)
		}
		message, err = stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Summary{}, nil, err
		}
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return Summary{}, nil, fmt.Errorf("put backup together: %w", err)
	}
	return Read(file)
}

var errTooLarge = errors.New("too large")

// refusal says in the API's words why a backup was not taken in.
func refusal(err error) error {
	code := argosyv1.ErrorCode_ERROR_CODE_INTERNAL
	switch {
	case errors.Is(err, ErrNewer):
		code = argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE
	case errors.Is(err, ErrNotBackup), errors.Is(err, ErrCutShort), errors.Is(err, ErrDamaged), errors.Is(err, errTooLarge):
		code = argosyv1.ErrorCode_ERROR_CODE_INVALID
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		code = argosyv1.ErrorCode_ERROR_CODE_NO_SPACE
	default:
		if errors.Is(err, context.Canceled) {
			return err
		}
	}
	return argosyv1.Errorf(code, "restore snapshot: %v; nothing was changed", err)
}

// accept says why a backup may not be restored into this cluster.
func (s *Service) accept(summary Summary, view, present *fsm.View, options *argosyv1.RestoreOptions) error {
	settings, _ := present.Cluster()
	own := s.deps.Meta().ClusterID
	switch active := argosyv1.ActiveLevel(settings); {
	case summary.ClusterID != own && !options.GetOtherCluster():
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT,
			"restore snapshot: the backup is of cluster %s (%q), and this is cluster %s: say that another cluster's state is wanted (--other-cluster) if it is; nothing was changed", summary.ClusterID, summary.ClusterName, own)
	case summary.FeatureLevel > argosyv1.FeatureLevel:
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"restore snapshot: the backup is of a cluster at feature level %d, and this server knows %d: upgrade the servers first; nothing was changed", summary.FeatureLevel, argosyv1.FeatureLevel)
	case summary.FeatureLevel > active:
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"restore snapshot: the backup is of a cluster at feature level %d, and this one is at %d: it rises by itself once all of its servers are of the newer version; try again then; nothing was changed", summary.FeatureLevel, active)
	}
	if quota := argosyv1.StateQuota(s.settings(view, present)); uint64(summary.StateBytes) > quota {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_SPACE,
			"restore snapshot: the backup's state has %d bytes, and the quota that it brings along is %d; nothing was changed", summary.StateBytes, quota)
	}
	return nil
}

// settings returns the settings after a restore: how the cluster shall be run
// comes from the backup, what it is from its own life.
func (s *Service) settings(backup, present *fsm.View) *argosyv1.ClusterSettings {
	restored, _ := backup.Cluster()
	settings, ok := present.Cluster()
	if !ok {
		settings = &argosyv1.ClusterSettings{}
	}
	settings.ClusterId, settings.StartupManifestDone = s.deps.Meta().ClusterID, true
	settings.Autopilot, settings.StateQuotaBytes = restored.GetAutopilot(), restored.GetStateQuotaBytes()
	return settings
}

func (s *Service) describe(view *fsm.View) *argosyv1.SnapshotSummary {
	return &argosyv1.SnapshotSummary{
		ClusterId: s.deps.Meta().ClusterID,
		Revision:  view.Revision(),
		Workloads: uint64(view.Count(argosyv1.RowKind_ROW_KIND_WORKLOAD)),
		Agents:    uint64(view.Count(argosyv1.RowKind_ROW_KIND_AGENT)),
	}
}
