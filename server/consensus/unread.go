package consensus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// unreadSnapshots is Raft's snapshot store, which remembers why a snapshot could not
// be read: Raft logs that and goes on. At the start it goes on to the snapshot
// before, which is well as long as the log reaches back to it. A leader would go
// on for ever with a follower that needs the snapshot.
type unreadSnapshots struct {
	raft.SnapshotStore
	guard *guard

	mu     sync.Mutex
	failed error
}

func (s *unreadSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, content, err := s.SnapshotStore.Open(id)
	if err == nil {
		if strings.HasPrefix(id, fmt.Sprintf("%d-%d-", meta.Term, meta.Index)) {
			return meta, content, nil
		}
		_ = content.Close()
		err = fmt.Errorf("%w: it says of itself that it is of entry %d of term %d", storage.ErrCorrupt, meta.Index, meta.Term)
	}
	if errors.Is(err, os.ErrNotExist) && !s.guard.running.Load() {
		// Nothing is removed at the start, and Raft has the name from the snapshot
		// itself: from what is in its directory.
		err = fmt.Errorf("%w: it says of itself that this is its name: %w", storage.ErrCorrupt, err)
	}
	err = fmt.Errorf("read snapshot %s: %w", id, storage.Damaged(err))
	s.note(err)
	if s.guard.running.Load() && errors.Is(err, storage.ErrCorrupt) {
		s.guard.broken(err)
	}
	return nil, nil, err
}

func (s *unreadSnapshots) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = errors.Join(s.failed, err)
}

// why returns what went wrong with snapshots so far.
func (s *unreadSnapshots) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}
