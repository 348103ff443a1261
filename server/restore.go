package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/backup"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/metrics"
	"github.com/argosy-cluster/argosy/server/operator"
)

const (
	// quiesceTimeout bounds how long the writes in flight may take before a
	// restore.
	quiesceTimeout = 10 * time.Second
	// restoreTimeout bounds how long the answer to a restore is waited for: most
	// of it is the others' copying of the state.
	restoreTimeout = 10 * time.Minute
)

// intermission is a time in which a leader does nothing but lead: its services
// are gone, and come back as new ones.
type intermission struct {
	begun, over chan struct{}
}

func (*intermission) Error() string { return "the state is being restored" }

// awaitIntermission ends the leader's services for the sake of one.
func (r *reign) awaitIntermission(ctx context.Context) error {
	select {
	case i := <-r.intermissions:
		return i
	case <-ctx.Done():
		return nil
	}
}

// takeIntermission lets an intermission pass, and reports whether there was one.
func takeIntermission(ctx context.Context, err error) bool {
	var i *intermission
	if !errors.As(err, &i) {
		return false
	}
	close(i.begun)
	select {
	case <-i.over:
	case <-ctx.Done():
	}
	return true
}

// quiesce ends everything that this leader does: the writes in flight are
// answered, those that come wait, and no agent is told anything. The caller
// calls resume in the end.
func (s *Server) quiesce(ctx context.Context, r *reign) (resume func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, quiesceTimeout)
	defer cancel()
	r.mu.Lock()
	if r.aside != nil {
		r.mu.Unlock()
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED, "restore snapshot: leadership is being given away, or another restore is under way; try again")
	}
	failed := make(chan struct{})
	r.aside = failed
	w := r.writer
	r.mu.Unlock()
	s.kick()
	w.Drain()
	select {
	case <-w.Stopped():
	case <-ctx.Done():
		close(failed)
		return nil, fmt.Errorf("wait for writes in flight: %w", context.Cause(ctx))
	}
	i := &intermission{begun: make(chan struct{}), over: make(chan struct{})}
	select {
	case r.intermissions <- i:
	case <-r.done:
		close(failed)
		return nil, errDeposed
	case <-ctx.Done():
		close(failed)
		return nil, fmt.Errorf("wait for the leader's services to end: %w", context.Cause(ctx))
	}
	select {
	case <-i.begun:
		return func() { close(i.over) }, nil
	case <-r.done:
		close(i.over)
		return nil, errDeposed
	}
}

// restorer puts a state in the place of the present one.
type restorer struct{ *Server }

var _ backup.Restorer = restorer{}

// Replace makes a state that of the cluster, and returns its revision when a
// majority has it. Nothing acts on the new state before that, and everything
// that does begins afresh: agents connect and are registered again.
func (s restorer) Replace(ctx context.Context, source consensus.RestoreSource) (uint64, error) {
	r := s.reign.Load()
	if r == nil {
		return 0, restoreError(fmt.Errorf("restore state: %w", consensus.ErrNotLeader))
	}
	resume, err := s.quiesce(ctx, r)
	if err != nil {
		return 0, restoreError(err)
	}
	defer resume()
	// From here on it does not matter whether the one who asked still waits.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTimeout)
	defer cancel()
	index, err := s.node.Restore(ctx, source)
	if err != nil {
		return 0, restoreError(err)
	}
	return index, nil
}

func restoreError(err error) error {
	if _, ok := argosyv1.AsError(err); ok {
		return err
	}
	code := argosyv1.ErrorCode_ERROR_CODE_INTERNAL
	switch {
	case errors.Is(err, consensus.ErrFateUnknown):
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN,
			"%v: the state may have been restored; look at it before you restore again", err)
	case errors.Is(err, consensus.ErrNotLeader), errors.Is(err, errDeposed):
		code = argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER
	case errors.Is(err, consensus.ErrRestoring), errors.Is(err, context.DeadlineExceeded):
		code = argosyv1.ErrorCode_ERROR_CODE_OVERLOADED
	}
	return argosyv1.Errorf(code, "%v; nothing was changed", err)
}

// openBackups makes the service for backups, and what takes them by itself.
func (s *Server) openBackups() (operator.Backups, error) {
	logger := s.log.With("part", "backup")
	var err error
	if s.backups, err = backup.NewScheduler(backup.SchedulerDeps{State: s.machine, Meta: s.backupMeta, Logger: logger}, s.cfg.Backup); err != nil {
		return nil, err
	}
	return backup.New(backup.Deps{
		Replica:  self{s},
		Reads:    s.reader,
		State:    s.machine,
		Restorer: restorer{s},
		Meta:     s.backupMeta,
		SpoolDir: s.cfg.DataDir,
		Logger:   logger,
	})
}

// measureBackups tells how the scheduled backups do; nil when there are none.
func (s *Server) measureBackups() *metrics.Backups {
	health := s.backups.Health()
	if !health.Enabled {
		return nil
	}
	return &metrics.Backups{Last: health.Current, Failed: health.Problem != ""}
}

// backupMeta is what this server says of every backup.
func (s *Server) backupMeta() backup.Meta {
	return backup.Meta{ClusterID: s.node.ClusterID(), ClusterName: s.cfg.Cluster, Incarnation: s.node.Incarnation(), Version: s.cfg.Version}
}
