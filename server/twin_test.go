package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/server/consensus"
)

// copyOf copies the data directory of a server that does not run.
func copyOf(t *testing.T, r *replica) Config {
	t.Helper()
	cfg := r.cfg
	cfg.DataDir = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(cfg.DataDir, os.DirFS(r.cfg.DataDir)); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// elsewhere gives a server other addresses.
func elsewhere(cfg Config) Config {
	cfg.APIAddress, cfg.RaftAddress, cfg.GossipAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return cfg
}

// mustOriginal returns a follower, running, and the configuration of a copy that
// was made of it.
func mustOriginal(t *testing.T) (original *replica, twin Config) {
	t.Helper()
	all := mustCluster(t, 3, nil)
	leader := mustLeader(t, all...)
	original = others(all, leader)[0]
	for _, r := range all {
		original.cfg.Join = append(original.cfg.Join, r.Addresses().Gossip)
	}
	original.stop(t)
	twin = copyOf(t, original)
	return mustStart(t, original.cfg), twin
}

func TestACopiedDataDirectoryIsNotUsedBesideTheOriginal(t *testing.T) {
	original, twin := mustOriginal(t)
	s, err := Open(elsewhere(twin))
	if err == nil {
		// The original was busy; the founder looks again.
		err = s.Run(t.Context())
	}
	if !errors.Is(err, consensus.ErrTwin) || !strings.Contains(err.Error(), original.Addresses().Raft) || !strings.Contains(err.Error(), "a data directory was copied") {
		t.Fatalf("the copy ran: %v", err)
	}
}
