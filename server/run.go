package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/argosy-cluster/argosy/server/rebuild"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// Run serves until the context ends or the server cannot go on. A leader that is
// asked to end gives its leadership away first; then calls that are under way
// are given time to finish.
func (s *Server) Run(ctx context.Context) error {
	if s.ran.Swap(true) {
		return errors.New("run server: it ran already")
	}
	// The parts go on while the server stops: a write that waits for the next
	// leader is answered by it.
	parts, stopParts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopParts()
	group, parts := errgroup.WithContext(parts)
	group.Go(func() error { return s.serveAPI() })
	group.Go(func() error { return s.serveHTTP() })
	group.Go(func() error { return ended(parts, s.reader.Run(parts)) })
	group.Go(func() error { return ended(parts, s.direct(parts)) })
	group.Go(func() error { return ended(parts, s.lead(parts)) })
	group.Go(func() error { return ended(parts, s.found(parts)) })
	group.Go(func() error { return ended(parts, s.space.Run(parts)) })
	group.Go(func() error { return ended(parts, s.backups.Run(parts)) })
	group.Go(func() error { return ended(parts, s.autopilot.Listen(parts)) })
	group.Go(func() error { return ended(parts, s.history.Run(parts)) })
	group.Go(func() error { return ended(parts, s.auditor.Run(parts)) })
	group.Go(func() error { return ended(parts, s.keepSeeds(parts)) })
	group.Go(func() error { return s.watchFailure(parts) })
	group.Go(func() error { return s.watchLevel(parts) })

	addresses := s.Addresses()
	s.log.Info("server started", "id", s.ID(), "version", s.cfg.Version, "cluster_id", s.node.ClusterID(),
		"api", addresses.API, "raft", addresses.Raft, "gossip", addresses.Gossip, "http", addresses.HTTP, "tls", s.identity != nil)
	select {
	case <-ctx.Done():
		s.log.Info("server is stopping")
	case <-parts.Done():
		s.log.Error("server cannot go on", "err", context.Cause(parts))
		if rebuild.Judge(context.Cause(parts)) != rebuild.Sound {
			// Nobody shall be answered from what is wrong.
			s.grpc.Stop()
		}
	}
	// ctx has ended, so the time to stop is counted by itself.
	s.stop(context.WithoutCancel(ctx))
	stopParts()
	err := errors.Join(group.Wait(), s.Close())
	s.log.Info("server stopped")
	return err
}

// ended drops the error of a part that ended because it was told to.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// watchFailure ends the server when what it stands on has failed.
func (s *Server) watchFailure(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.machine.FailedC():
		return fmt.Errorf("state machine: %w", s.blame(ctx, s.machine.Failed()))
	case <-s.node.FailedC():
		return fmt.Errorf("raft: %w", s.blame(ctx, s.node.Err()))
	}
}

// stop gives leadership away and stops serving.
func (s *Server) stop(ctx context.Context) {
	s.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	aside, cancel := context.WithTimeout(ctx, stepAsideTimeout)
	defer cancel()
	if err := s.stepAside(aside, ""); err != nil {
		s.log.Warn("leadership was not given away", "err", err)
	}
	s.stopServing()
	drained := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(drainTimeout):
		s.log.Warn("calls that were under way were cut off", "after", drainTimeout)
		s.grpc.Stop()
		<-drained
	}
	if s.http != nil {
		_ = s.http.Close()
	}
}

// Close gives everything back. Run does so by itself; twice is fine.
func (s *Server) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Server) close() error {
	var problems []error
	s.stopServing()
	if s.grpc != nil {
		s.grpc.Stop()
	}
	if s.http != nil {
		_ = s.http.Close()
	}
	// The servers have closed their listeners if they ran.
	if s.listeners.api != nil {
		_ = s.listeners.api.Close()
	}
	if s.listeners.http != nil {
		_ = s.listeners.http.Close()
	}
	if members := s.members.Load(); members != nil {
		problems = append(problems, members.Close())
	}
	if s.node != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		problems = append(problems, s.node.Shutdown(ctx))
	}
	if s.peers != nil {
		s.peers.Close()
	}
	return errors.Join(problems...)
}

func (s *Server) serveAPI() error {
	err := s.grpc.Serve(s.cfg.Limits.Listener(s.listeners.api, s.log))
	// Who is told to stop as soon as it starts has stopped all the same.
	if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve API: %w", err)
	}
	return nil
}

func (s *Server) serveHTTP() error {
	if s.http == nil {
		return nil
	}
	if err := s.http.Serve(s.listeners.http); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}
