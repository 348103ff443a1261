package storage

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	"go.etcd.io/bbolt"
)

// Store is an open log with its term and vote.
type Store struct {
	*cached
	*Stable

	watchdog *watched
	marks    *marked
	backend  backend
	once     sync.Once
	closed   error
}

var (
	_ raft.LogStore          = (*Store)(nil)
	_ raft.MonotonicLogStore = (*Store)(nil)
	_ raft.StableStore       = (*Store)(nil)
)

type backend interface {
	raft.LogStore
	io.Closer
}

// Open opens the store, or makes it. A log that is damaged, shorter than it
// was or of the other kind is refused.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make log directory: %w", err)
	}
	if err := checkKind(cfg); err != nil {
		return nil, err
	}
	log, err := openBackend(cfg)
	if err != nil {
		return nil, err
	}
	marks, err := newMarked(log, filepath.Join(cfg.Dir, "high-water"))
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	stable, err := OpenStable(filepath.Join(cfg.Dir, "stable"))
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	watchdog := newWatched(checksummed{marks}, cfg.Stall, cfg.OnStall)
	return &Store{
		cached:   newCached(watchdog, cfg.CacheEntries, cfg.CacheBytes),
		Stable:   stable,
		watchdog: watchdog,
		marks:    marks,
		backend:  log,
	}, nil
}

// Stalled reports whether a write has been waiting for the disk for longer
// than the limit.
func (s *Store) Stalled() bool { return s.watchdog.stalled.Load() }

// Close closes the files. It may be called twice.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.closed = errors.Join(s.marks.save(), s.backend.Close(), s.Stable.Close())
	})
	return s.closed
}

func boltPath(cfg Config) string { return filepath.Join(cfg.Dir, "raft.db") }
func walPath(cfg Config) string  { return filepath.Join(cfg.Dir, "wal") }

// checkKind refuses to begin an empty log beside one of the other kind: the
// server would have forgotten everything.
func checkKind(cfg Config) error {
	other, kind := walPath(cfg), WAL
	if cfg.Kind == WAL {
		other, kind = boltPath(cfg), BoltDB
	}
	if _, err := os.Stat(other); err == nil {
		return fmt.Errorf("open log: %w: %s is a log of kind %q, start with --log-store %s", ErrKind, other, kind, kind)
	}
	return nil
}

// openBackend opens the log itself. Damaged files make both libraries panic,
// or fault where a mapped file ends too early; here that is an error.
func openBackend(cfg Config) (log backend, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("open log in %s: %w (%v)", cfg.Dir, ErrCorrupt, cause)
		}
	}()
	if cfg.Kind == WAL {
		if err := os.MkdirAll(walPath(cfg), 0o700); err != nil {
			return nil, fmt.Errorf("make log directory: %w", err)
		}
		opened, err := wal.Open(walPath(cfg), wal.WithLogger(hclog.NewNullLogger()))
		if err != nil {
			return nil, fmt.Errorf("open log in %s: %w", cfg.Dir, openError(err))
		}
		return opened, nil
	}
	opened, err := raftboltdb.New(raftboltdb.Options{
		Path: boltPath(cfg),
		// The free list is found by a scan when the file is opened; to write it
		// with every batch costs more the larger it is.
		BoltOptions: &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
	})
	if err != nil {
		return nil, fmt.Errorf("open log in %s: %w", cfg.Dir, openError(err))
	}
	return opened, nil
}

// openError tells damage from what the system refused.
func openError(err error) error {
	var refused syscall.Errno
	if errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("%w (%w)", ErrCorrupt, err)
}
