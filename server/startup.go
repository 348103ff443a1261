package server

import (
	"context"
	"errors"
	"fmt"
	"os"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/writer"
)

// loadStartupManifest reads the manifest, so that what is wrong with it is said
// at the start. A server that has state does not need it, whatever it says.
func (s *Server) loadStartupManifest() error {
	if s.cfg.StartupManifest == "" {
		return nil
	}
	loaded, err := readManifest(s.cfg.StartupManifest)
	if err != nil {
		if s.node.Initialized() {
			s.log.Warn("startup manifest was not read; it is not needed, since there is state", "file", s.cfg.StartupManifest, "err", err)
			return nil
		}
		return err
	}
	for _, warning := range loaded.Warnings {
		s.log.Warn("startup manifest", "file", s.cfg.StartupManifest, "warning", warning)
	}
	s.startup = loaded
	return nil
}

func readManifest(path string) (*manifest.Manifest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read startup manifest: %w", err)
	}
	loaded, err := manifest.Parse(text, manifest.Options{})
	if err != nil {
		return nil, fmt.Errorf("read startup manifest %s: %w", path, err)
	}
	return loaded, nil
}

// firstWrites writes what a cluster begins with: its settings and the startup
// manifest, in one entry. The settings tell for ever that it was done.
func (s *Server) firstWrites(ctx context.Context, r *reign) error {
	if _, begun := s.machine.View().Cluster(); begun {
		s.ignoreStartupManifest()
		return nil
	}
	w, ok := r.writes()
	if !ok {
		return nil
	}
	written := false
	err := w.Mutate(ctx, func(c *writer.Working) error {
		if c.Row(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey).Exists {
			return nil
		}
		written = true
		return s.writeFirst(c)
	})
	switch {
	case ctx.Err() != nil || errors.Is(err, writer.ErrNotDone) || errors.Is(err, writer.ErrFateUnknown):
		// The next leader does it if it was not done.
		return nil
	case err != nil:
		return fmt.Errorf("write the first state: %w", err)
	case written && s.startup != nil:
		s.log.Info("startup manifest was applied", "file", s.cfg.StartupManifest, "workloads", len(s.startup.Workloads))
	case !written:
		s.ignoreStartupManifest()
	}
	return nil
}

func (s *Server) writeFirst(c *writer.Working) error {
	settings := &argosyv1.ClusterSettings{ClusterId: s.node.ClusterID(), StartupManifestDone: true}
	if err := c.PutMessage(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", settings); err != nil {
		return err
	}
	if s.startup == nil {
		return nil
	}
	for _, workload := range s.startup.Workloads {
		if c.Row(argosyv1.RowKind_ROW_KIND_WORKLOAD, workload.GetName()).Exists {
			continue
		}
		w := proto.CloneOf(workload)
		w.CreatedRevision, w.Revision = 0, 0
		if err := c.PutMessage(argosyv1.RowKind_ROW_KIND_WORKLOAD, w.GetName(), w.GetAgent(), w); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) ignoreStartupManifest() {
	if s.startup != nil {
		s.log.Info("startup manifest was ignored: the cluster has state already", "file", s.cfg.StartupManifest)
	}
}
