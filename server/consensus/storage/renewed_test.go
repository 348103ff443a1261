package storage

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"
)

var errFails = errors.New("disk is not what it was")

// failing is a log of which changes fail, which may have happened all the same.
type failing struct {
	backend
	left    int  // how many changes fail
	happens bool // whether those that fail happen
}

func (f *failing) StoreLogs(entries []*raft.Log) error {
	return f.change(func() error { return f.backend.StoreLogs(entries) })
}

func (f *failing) DeleteRange(low, high uint64) error {
	return f.change(func() error { return f.backend.DeleteRange(low, high) })
}

func (f *failing) change(change func() error) error {
	if f.left == 0 {
		return change()
	}
	f.left--
	if f.happens {
		if err := change(); err != nil {
			return err
		}
	}
	return errFails
}

// mustFail opens a log of which the next changes fail.
func mustFail(t *testing.T, cfg Config) (*marked, *failing) {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	below := &failing{}
	log, err := openRenewed(func() (_ backend, err error) {
		below.backend, err = openBackend(cfg)
		return below, err
	}, cfg.Logger)
	if err != nil {
		t.Fatal(err)
	}
	marks, err := newMarked(log, markPath(cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = marks.close(), log.Close() })
	return marks, below
}

// Entries of an old leader that could not be removed must not stay behind those
// of the new one: a server that began with them would take them for newer.
func TestNothingStaysBehindEntriesThatAreStoredAfterAFailure(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		for _, happens := range []bool{false, true} {
			cfg.Dir = t.TempDir()
			log, disk := mustFail(t, cfg)
			mustStore(t, log, 1, 5)
			disk.left, disk.happens = 1, true
			doubtful := []*raft.Log{{Index: 6, Term: 1, Data: []byte("of an old leader")}, {Index: 7, Term: 1}, {Index: 8, Term: 1}}
			if err := log.StoreLogs(doubtful); !errors.Is(err, errFails) {
				t.Fatal(err)
			}
			disk.left, disk.happens = 1, happens
			if err := log.StoreLogs(entries(6, 6)); !happens && !errors.Is(err, errFails) || happens && err != nil {
				t.Fatal(err)
			}
			mustStore(t, log, 6, 6)
			mustHold(t, log, 1, 6)
		}
	})
}

func TestEntriesThatWereRemovedAreNotSaidToBeThere(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		log, disk := mustFail(t, cfg)
		mustStore(t, log, 1, 9)
		disk.left, disk.happens = 3, true
		for _, cut := range []struct{ low, high, first, last uint64 }{{8, 9, 1, 7}, {1, 3, 4, 7}, {1, 7, 0, 0}} {
			if err := log.DeleteRange(cut.low, cut.high); err != nil {
				t.Fatal(err)
			}
			mustHold(t, log, cut.first, cut.last)
		}
	})
}

// A log that cannot be opened again serves nothing any more, and says why.
func TestALogThatCannotBeOpenedAgainIsUsedNoMore(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		cfg.Dir, cfg.Logger = t.TempDir(), slog.New(slog.DiscardHandler)
		gone := errors.New("no disk any more")
		opened := false
		log, err := openRenewed(func() (backend, error) {
			if opened {
				return nil, gone
			}
			opened = true
			below, err := openBackend(cfg)
			return &failing{backend: below, left: 1}, err
		}, cfg.Logger)
		if err != nil {
			t.Fatal(err)
		}
		_, first := log.FirstIndex()
		if first != nil {
			t.Fatal(first)
		}
		store := log.StoreLogs(entries(1, 1))
		_, last := log.LastIndex()
		for what, err := range map[string]error{"store": store, "store again": log.StoreLogs(entries(1, 1)), "last": last, "read": log.GetLog(1, new(raft.Log)), "delete": log.DeleteRange(1, 1)} {
			if !errors.Is(err, ErrUnusable) || !errors.Is(err, gone) || !errors.Is(err, errFails) || errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The file of bbolt, of which every write fails from now on.
func mustBreakBolt(t *testing.T, cfg Config) {
	t.Helper()
	reading, err := os.Open(boltPath(cfg))
	if err != nil {
		t.Fatal(err)
	}
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range open {
		var number int
		for _, digit := range filepath.Base(link) {
			number = 10*number + int(digit-'0')
		}
		if path, err := os.Readlink(link); err == nil && path == boltPath(cfg) && number != int(reading.Fd()) {
			if err := unix.Dup3(int(reading.Fd()), number, syscall.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := reading.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBoltThatCouldNotWriteIsOpenedAnewAndIsNotDamaged(t *testing.T) {
	cfg := DefaultConfig(t.TempDir())
	cfg.CacheEntries = 1
	store := mustOpen(t, cfg)
	mustStore(t, store, 1, 5)
	mustRefuse := func(err error) {
		t.Helper()
		if err == nil || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnusable) {
			t.Fatalf("a file that cannot be written: %v", err)
		}
	}
	mustBreakBolt(t, cfg)
	mustRefuse(store.StoreLogs(entries(6, 9)))
	mustHold(t, store, 1, 5)
	mustStore(t, store, 6, 9)
	mustBreakBolt(t, cfg)
	mustRefuse(store.DeleteRange(8, 9))
	mustHold(t, store, 1, 9)
	if err := store.DeleteRange(8, 9); err != nil {
		t.Fatal(err)
	}
	mustBreakBolt(t, cfg)
	mustRefuse(store.DeleteRange(1, 3))
	mustHold(t, store, 1, 7)
	mustStore(t, store, 8, 12)
	mustClose(t, store)
	mustHold(t, mustOpen(t, cfg), 1, 12)
}
