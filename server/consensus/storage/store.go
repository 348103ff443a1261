package storage

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
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
		return nil, errors.Join(err, marks.close(), log.Close())
	}
	var disk raft.LogStore = checksummed{marks}
	if cfg.Disk != nil {
		disk = cfg.Disk(disk)
	}
	watchdog := newWatched(disk, cfg.Stall, cfg.OnStall, cfg.OnStore)
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
		s.closed = errors.Join(s.marks.close(), s.backend.Close(), s.Stable.Close())
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

// openBackend opens the log itself. Damaged files make both libraries panic;
// here that is an error.
func openBackend(cfg Config) (log backend, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w (%v)", ErrCorrupt, cause)
		}
		if err != nil {
			err = fmt.Errorf("open log in %s: %w", cfg.Dir, err)
		}
	}()
	if cfg.Kind == WAL {
		return openWAL(walPath(cfg))
	}
	return openBolt(boltPath(cfg))
}

func openWAL(path string) (backend, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	opened, err := wal.Open(path, wal.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		return nil, Damaged(err)
	}
	return opened, nil
}

// Damaged makes ErrCorrupt of an error of reading, unless it is what the system
// refused: a full disk or a missing right is no damage. A sector that cannot be
// read is.
func Damaged(err error) error {
	var refused syscall.Errno
	if errors.Is(err, ErrCorrupt) || errors.As(err, &refused) && refused != syscall.EIO {
		return err
	}
	return fmt.Errorf("%w (%w)", ErrCorrupt, err)
}
