package consensus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// removedFile says in a data directory that its server was removed from the
// cluster, so that it is not started again in vain.
const removedFile = "removed"

// checkRemoved refuses the directory of a server that was removed.
func (d *dataDir) checkRemoved() error {
	when, err := os.ReadFile(d.file(removedFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read whether this server was removed: %w", err)
	}
	return fmt.Errorf("open data directory %s: %w (it learned of it at %s); empty the directory to let this machine join again, as a new server",
		d.path, ErrRemoved, strings.TrimSpace(string(when)))
}

// NoteRemoved takes the word of the cluster that this server was removed from
// it: the data directory is of no use any more. It returns the error to end with.
func (n *Node) NoteRemoved(now time.Time) error {
	err := fmt.Errorf("%w: server %s, cluster %s; empty the data directory %s to let this machine join again, as a new server",
		ErrRemoved, n.ID(), n.ClusterID(), n.cfg.DataDir)
	if failed := storage.WriteFile(n.dir.file(removedFile), []byte(now.UTC().Format(time.RFC3339)+"\n"), 0o600); failed != nil {
		n.log.Warn("failed to remember that this server was removed", "error", failed)
	}
	return err
}

// Removed tells whether a server is not in the configuration, for certain: a
// quorum confirms that this server leads, and that the configuration which lacks
// the other one is committed. A server that is told so must not go on, so it must
// not be told by a leader that was left behind, or of a change that comes to
// nothing.
func (n *Node) Removed(ctx context.Context, id string) (bool, error) {
	if n.configured(id) {
		return false, nil
	}
	last := n.raft.LastIndex()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for n.raft.CommitIndex() < last {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false, fmt.Errorf("find whether server %s was removed: %w: %w", id, ErrUnconfirmed, context.Cause(ctx))
		}
	}
	if err := n.VerifyLeader(ctx); err != nil {
		return false, fmt.Errorf("find whether server %s was removed: %w", id, err)
	}
	return !n.configured(id), nil
}

func (n *Node) configured(id string) bool {
	return slices.ContainsFunc(n.configuration().Servers, func(s raft.Server) bool { return string(s.ID) == id })
}

// LastIndex returns the last index of the log.
func (n *Node) LastIndex() uint64 { return n.raft.LastIndex() }
