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

	"github.com/hashicorp/raft"
)

// Store is an open log with its term and vote.
type Store struct {
	*cached
	*Stable

	watchdog *watched
	marks    *marked
	backend  backend
	// removing is held while entries are removed.
	removing sync.Mutex
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
	log, err := openRenewed(func() (backend, error) { return openBackend(cfg) }, cfg.Logger)
	if err != nil {
		return nil, err
	}
	marks, err := newMarked(log, markPath(cfg))
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

// rereadEntries is how many entries are read without a rest.
const rereadEntries = 64

// Reread reads every entry from the disk. It fails with ErrCorrupt at one that is
// damaged, and with ErrForgotten at one that should be there and is not. It calls
// rest now and then, which ends it by an error.
//
// taken returns the index of the newest state that is on the disk as a whole, 0
// when there is none. What comes after it must be there to the last entry. Up to
// it entries may be missing, and the log does not tell whether they should: a
// state that is taken over leaves a gap before it. Nobody misses them. This
// server goes on from the state, and a leader that cannot read an entry for a
// follower sends it that state.
func (s *Store) Reread(taken func() uint64, rest func() error) error {
	first, err := s.FirstIndex()
	if err != nil {
		return fmt.Errorf("find first log entry: %w", err)
	}
	last, err := s.LastIndex()
	if err != nil {
		return fmt.Errorf("find last log entry: %w", err)
	}
	for index := min(max(first, 1), taken()+1); index <= last; index++ {
		if index%rereadEntries == 0 {
			if err := rest(); err != nil {
				return err
			}
		}
		var entry raft.Log
		switch err := s.watchdog.GetLog(index, &entry); {
		case errors.Is(err, ErrCorrupt):
			return err
		case errors.Is(err, raft.ErrLogNotFound) && s.lacks(index) && index > taken():
			return fmt.Errorf("read log: %w (entry %d is not there, though the log goes on behind it)", ErrForgotten, index)
		}
	}
	return nil
}

// lacks reports whether the log has later entries but not this one. taken must be
// asked after it: a state was taken before there are entries behind its gap.
func (s *Store) lacks(index uint64) bool {
	// Nothing is cut off the end, and stored anew, between the two looks.
	s.removing.Lock()
	defer s.removing.Unlock()
	last, err := s.LastIndex()
	if err != nil || last < index {
		return false
	}
	return errors.Is(s.watchdog.GetLog(index, new(raft.Log)), raft.ErrLogNotFound)
}

// DeleteRange removes entries.
func (s *Store) DeleteRange(low, high uint64) error {
	s.removing.Lock()
	defer s.removing.Unlock()
	return s.cached.DeleteRange(low, high)
}

// Close closes the files. It may be called twice.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.closed = errors.Join(s.marks.close(), s.backend.Close(), s.Stable.Close())
	})
	return s.closed
}

func boltPath(cfg Config) string { return filepath.Join(cfg.Dir, "raft.db") }
func markPath(cfg Config) string { return filepath.Join(cfg.Dir, "high-water") }
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
// here that is an error, and so is a log that ends before its mark.
func openBackend(cfg Config) (log backend, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w (%v)", ErrCorrupt, cause)
		}
		if err != nil {
			err = fmt.Errorf("open log in %s: %w", cfg.Dir, err)
		}
	}()
	mark, err := readMark(markPath(cfg))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if cfg.Kind == WAL {
		log, err = openWAL(cfg, mark)
	} else {
		log, err = openBolt(boltPath(cfg))
	}
	if err != nil {
		return nil, err
	}
	last, err := log.LastIndex()
	if err == nil && last < mark {
		err = fmt.Errorf("%w (it ends at entry %d and had reached %d)", ErrForgotten, last, mark)
	}
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return log, nil
}

// Damaged makes ErrCorrupt of an error of reading, unless it is what the system
// refused: a full disk or a missing right is no damage. A sector that cannot be
// read is; one that cannot be written is not.
func Damaged(err error) error {
	var refused syscall.Errno
	if errors.Is(err, ErrCorrupt) || errors.As(err, new(notWritten)) || errors.As(err, &refused) && refused != syscall.EIO {
		return err
	}
	return fmt.Errorf("%w (%w)", ErrCorrupt, err)
}
