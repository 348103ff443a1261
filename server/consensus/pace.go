package consensus

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// pacedSnapshots writes snapshots so that the log beside them is not held up. A
// snapshot that is flushed in one piece at its end keeps the disk busy for as
// long as it is large, and every commit waits behind it; written in one go it
// takes a core away from those who serve.
type pacedSnapshots struct {
	raft.SnapshotStore
	ctx context.Context // ends when the node stops
	// dir is where the store has its files.
	dir string
}

const (
	// paceBytes is how much is written between two flushes: what a commit may
	// have to wait behind. Smaller flushes cost more of them.
	paceBytes = 512 << 10
	// pacePause bounds the pause after a flush. Each is as long as what was
	// written took, so that half of the time is left to others.
	pacePause = 20 * time.Millisecond
)

func (s *pacedSnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, transport raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, configuration, configurationIndex, transport)
	if err != nil {
		return nil, err
	}
	// The sink does not let its file be flushed before its end; whoever opens the
	// same file may.
	file, err := os.Open(filepath.Join(s.dir, storage.SnapshotsDir, sink.ID()+".tmp", storage.StateFile))
	if err != nil {
		return nil, errors.Join(err, sink.Cancel())
	}
	return &pacedSink{SnapshotSink: sink, ctx: s.ctx, file: file, began: time.Now()}, nil
}

type pacedSink struct {
	raft.SnapshotSink
	ctx     context.Context
	file    *os.File
	written int
	began   time.Time
}

func (s *pacedSink) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		piece := p[:min(len(p), paceBytes-s.written)]
		var wrote int
		wrote, err = s.SnapshotSink.Write(piece)
		n += wrote
		p = p[wrote:]
		if s.written += wrote; s.written >= paceBytes && err == nil {
			err = s.rest()
		}
	}
	return n, err
}

// rest flushes what was written and leaves the disk and the core to others for
// a while.
func (s *pacedSink) rest() error {
	if err := unix.Fdatasync(int(s.file.Fd())); err != nil {
		return err
	}
	s.written = 0
	timer := time.NewTimer(min(time.Since(s.began), pacePause))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
		// A stop waits for nothing more than what is left to write.
	}
	s.began = time.Now()
	return nil
}

// Close may be called again, as that of the sink below: whoever writes a
// snapshot ends it, and so does Raft.
func (s *pacedSink) Close() error { return errors.Join(s.closeFile(), s.SnapshotSink.Close()) }

func (s *pacedSink) Cancel() error { return errors.Join(s.closeFile(), s.SnapshotSink.Cancel()) }

func (s *pacedSink) closeFile() error {
	if err := s.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
