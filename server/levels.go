package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/membership"
	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/writer"
)

// This file keeps servers of two versions in one cluster. What a new version
// puts into the log is proposed only once every server of the cluster is known
// to know it: the leader raises the cluster's feature level then, by an entry,
// and for good. From then on no server that knows less is let in.

// levelsInterval is how often is looked what no event tells: that all servers
// know more than the cluster makes use of, or that it makes use of more.
const levelsInterval = 2 * time.Second

// errOutdated is returned when the cluster is at a feature level that this
// binary does not know.
var errOutdated = errors.New("this binary is too old for its cluster")

// settledOn returns the settings that a cluster should have, nil when they are
// as they should be. levels are the feature levels that its servers are known to
// know, one for each.
func settledOn(now *argosyv1.ClusterSettings, incarnation string, levels []uint32) *argosyv1.ClusterSettings {
	next := proto.CloneOf(now)
	next.CreatedRevision, next.Revision = 0, 0
	next.Incarnation = incarnation
	if common := commonLevel(levels); common > argosyv1.ActiveLevel(now) {
		next.FeatureLevel = common
	}
	if next.GetIncarnation() == now.GetIncarnation() && next.GetFeatureLevel() == now.GetFeatureLevel() {
		return nil
	}
	return next
}

// commonLevel is what all know; a level of 0 stands for one that is not known,
// and then nothing is.
func commonLevel(levels []uint32) uint32 {
	if len(levels) == 0 {
		return 0
	}
	lowest := slices.Max(levels)
	for _, level := range levels {
		if level == 0 && planted.On(planted.HastyLevel) {
			continue
		}
		lowest = min(lowest, level)
	}
	return lowest
}

// knownLevels returns the feature level of each server of the cluster, 0 for
// one that gossip does not hear.
func (s *Server) knownLevels() []uint32 {
	servers, err := s.node.Configuration()
	if err != nil {
		return nil
	}
	heard := map[string]uint32{s.node.ID(): s.cfg.FeatureLevel}
	for _, m := range s.members.Load().Members() {
		if m.Role == membership.RoleServer && m.Alive && m.ID != s.node.ID() {
			heard[m.ID] = argosyv1.KnownLevel(m.FeatureLevel)
		}
	}
	var levels []uint32
	for _, server := range servers {
		levels = append(levels, heard[server.ID])
	}
	return levels
}

// keepSettings keeps the settings of the cluster as settledOn says, as long as
// this server leads.
func (s *Server) keepSettings(ctx context.Context, r *reign) error {
	gossip, stop := s.members.Load().Watch()
	defer stop()
	look := time.NewTicker(levelsInterval)
	defer look.Stop()
	for {
		if err := s.settle(ctx, r); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-gossip:
		case <-look.C:
		}
	}
}

// settle writes the settings when there is need.
func (s *Server) settle(ctx context.Context, r *reign) error {
	now, begun := s.machine.View().Cluster()
	w, ok := r.writes()
	if !begun || !ok || settledOn(now, s.node.Incarnation(), s.knownLevels()) == nil {
		return nil
	}
	// No server joins between the look at who there is and the entry.
	if err := s.admission.take(ctx); err != nil {
		return nil
	}
	defer s.admission.give()
	var written *argosyv1.ClusterSettings
	err := w.Mutate(ctx, func(c *writer.Working) error {
		row := c.Row(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey)
		settings := &argosyv1.ClusterSettings{}
		if err := proto.Unmarshal(row.Value, settings); err != nil {
			return fmt.Errorf("read settings: %w", err)
		}
		if written = settledOn(settings, s.node.Incarnation(), s.knownLevels()); written == nil {
			return nil
		}
		return c.PutMessage(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", written)
	})
	switch {
	case ctx.Err() != nil || errors.Is(err, writer.ErrNotDone) || errors.Is(err, writer.ErrFateUnknown):
		return nil // It is looked at again.
	case err != nil:
		return fmt.Errorf("write settings: %w", err)
	case written != nil:
		s.log.Info("settings of the cluster were brought up to date",
			"feature_level", argosyv1.ActiveLevel(written), "incarnation", written.GetIncarnation())
	}
	return nil
}

// checkLevel refuses to go on with a binary that its cluster has left behind,
// and returns the level that the cluster is at.
func (s *Server) checkLevel() (uint32, error) {
	settings, _ := s.machine.View().Cluster()
	level := argosyv1.ActiveLevel(settings)
	if level > s.cfg.FeatureLevel {
		return 0, fmt.Errorf("%w: the cluster is at feature level %d, this binary (%s) knows up to %d; start a newer one",
			errOutdated, level, s.cfg.Version, s.cfg.FeatureLevel)
	}
	return level, nil
}

// openLevel checks the level of the state that the server starts from.
func (s *Server) openLevel() error {
	s.levelNote = levelNote{write: s.node.NoteFeatureLevel, log: s.log}
	level, err := s.checkLevel()
	if err != nil {
		return err
	}
	s.levelNote.keep(level, time.Now())
	return nil
}

// watchLevel ends the server when it is left behind, and has the data directory
// remember which level its log needs.
func (s *Server) watchLevel(ctx context.Context) error {
	look := time.NewTicker(levelsInterval)
	defer look.Stop()
	for {
		level, err := s.checkLevel()
		if err != nil {
			return err
		}
		s.levelNote.keep(level, time.Now())
		select {
		case <-ctx.Done():
			// What was raised since then, or what there was no room for.
			if level, err := s.checkLevel(); err == nil {
				s.levelNote.try(level, time.Now())
			}
			return nil
		case <-look.C:
		}
	}
}

// checkJoiner refuses a server that cannot take part in this cluster as it is
// now.
func (s *Server) checkJoiner(h *argosyv1.PeerHandshake) error {
	settings, _ := s.machine.View().Cluster()
	active, known := argosyv1.ActiveLevel(settings), argosyv1.KnownLevel(h.GetFeatureLevel())
	if known < active {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"add server %s: its binary knows feature levels up to %d, the cluster is at %d; start it with a newer binary", h.GetServerId(), known, active)
	}
	if s.node.Incarnation() != "" && known < argosyv1.FeatureBeacons {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
			"add server %s: the cluster was recovered, and its binary is from before there were recoveries; start it with a newer binary", h.GetServerId())
	}
	return nil
}

// admission lets one change of who is in the cluster, or of what its servers
// must know, happen at a time.
type admission chan struct{}

func (a admission) take(ctx context.Context) error {
	select {
	case a <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: wait for another change of the cluster: %w", consensus.ErrNotLeader, context.Cause(ctx))
	}
}

func (a admission) give() { <-a }
