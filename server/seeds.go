package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/membership"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// A server that comes back under a new id because its data was damaged is a
// stranger to the others, who have no reason to look for it. If it was one that
// the others are told to join, it is told of none itself: it remembers where
// they were.

func (s *Server) seedsPath() string { return filepath.Join(s.cfg.DataDir, "gossip-seeds") }

// seeds returns the gossip addresses to begin with.
func (s *Server) seeds() ([]string, error) {
	if len(s.node.Replaces()) == 0 {
		return s.cfg.Join, nil
	}
	text, err := os.ReadFile(s.seedsPath())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read where the other servers are: %w", err)
	}
	seeds := slices.Clone(s.cfg.Join)
	for _, address := range strings.Fields(string(text)) {
		if !slices.Contains(seeds, address) {
			seeds = append(seeds, address)
		}
	}
	return seeds, nil
}

// keepSeeds writes down where the other servers are, whenever that has changed,
// until the context ends.
func (s *Server) keepSeeds(ctx context.Context) error {
	members := s.members.Load()
	changed, stop := members.Watch()
	defer stop()
	written := make(map[string]string)
	for {
		// Those that are gone for a while are still worth a try, and those that do not
		// say yet that they belong to a cluster may have founded it with this one.
		var seeds, apis []string
		for _, m := range members.Members() {
			if m.Role != membership.RoleServer || m.ID == s.node.ID() {
				continue
			}
			seeds = append(seeds, m.GossipAddress)
			if m.ClusterID != "" {
				apis = append(apis, m.APIAddress)
			}
		}
		for path, addresses := range map[string][]string{s.seedsPath(): seeds, apisPath(s.cfg.DataDir): apis} {
			slices.Sort(addresses)
			text := strings.Join(slices.Compact(addresses), "\n")
			if text == written[path] || text == "" {
				continue
			}
			if err := storage.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
				s.log.Warn("where the other servers are was not remembered", "err", err)
			} else {
				written[path] = text
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
