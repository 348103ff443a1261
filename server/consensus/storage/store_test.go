package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var kinds = []Kind{BoltDB, WAL}

func forEachKind(t *testing.T, test func(t *testing.T, cfg Config)) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			cfg := DefaultConfig(filepath.Join(t.TempDir(), "raft"))
			cfg.Kind = kind
			test(t, cfg)
		})
	}
}

func mustOpen(t *testing.T, cfg Config) *Store {
	t.Helper()
	store, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func mustClose(t *testing.T, store *Store) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func entry(index uint64) *raft.Log {
	return &raft.Log{
		Index:      index,
		Term:       index/10 + 1,
		Type:       raft.LogCommand,
		Data:       fmt.Appendf(nil, "data of entry %06d", index),
		Extensions: fmt.Appendf(nil, "ext %d", index),
		AppendedAt: time.Unix(1700000000, int64(index)).UTC(),
	}
}

func entries(from, to uint64) (list []*raft.Log) {
	for index := from; index <= to; index++ {
		list = append(list, entry(index))
	}
	return list
}

func mustStore(t *testing.T, store raft.LogStore, from, to uint64) {
	t.Helper()
	if err := store.StoreLogs(entries(from, to)); err != nil {
		t.Fatal(err)
	}
}

// mustHold checks that the log is exactly the entries from first to last.
func mustHold(t *testing.T, store raft.LogStore, first, last uint64) {
	t.Helper()
	gotFirst, err := store.FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	gotLast, err := store.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	if gotFirst != first || gotLast != last {
		t.Fatalf("log reaches from %d to %d, want %d to %d", gotFirst, gotLast, first, last)
	}
	if err := store.GetLog(last+1, new(raft.Log)); err != raft.ErrLogNotFound { // Raft compares
		t.Fatalf("entry %d after the end of the log: %v", last+1, err)
	}
	for index := max(first, 1); index <= last; index++ {
		var got raft.Log
		if err := store.GetLog(index, &got); err != nil {
			t.Fatal(err)
		}
		got.AppendedAt = got.AppendedAt.UTC()
		if want := entry(index); !reflect.DeepEqual(&got, want) {
			t.Fatalf("entry %d is %+v, want %+v", index, got, *want)
		}
	}
}

func TestEntriesComeBackAsTheyWereStored(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		store := mustOpen(t, cfg)
		mustHold(t, store, 0, 0)
		mustStore(t, store, 1, 40)
		if err := store.StoreLog(entry(41)); err != nil {
			t.Fatal(err)
		}
		mustHold(t, store, 1, 41)
		mustClose(t, store)
		mustHold(t, mustOpen(t, cfg), 1, 41)
	})
}

// The leader sends the entries that it stores.
func TestWhatIsStoredIsNotChangedForWhoSendsIt(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		store := mustOpen(t, cfg)
		given := entry(1)
		if err := store.StoreLog(given); err != nil {
			t.Fatal(err)
		}
		if want := entry(1); !reflect.DeepEqual(given, want) {
			t.Errorf("it became %+v, and was %+v", given, want)
		}
	})
}

// What a snapshot has made needless goes in pieces, and all of it goes.
func TestManyEntriesAreCutOffTheBeginning(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		store := mustOpen(t, cfg)
		const many = 5*pieceEntries + 7
		mustStore(t, store, 1, many)
		if err := store.DeleteRange(1, many-3); err != nil {
			t.Fatal(err)
		}
		mustHold(t, store, many-2, many)
		mustClose(t, store)
		mustHold(t, mustOpen(t, cfg), many-2, many)
	})
}

func TestLogIsCutAtBothEnds(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		store := mustOpen(t, cfg)
		mustStore(t, store, 1, 40)
		if err := store.DeleteRange(1, 10); err != nil {
			t.Fatal(err)
		}
		mustHold(t, store, 11, 40)
		if err := store.DeleteRange(31, 40); err != nil {
			t.Fatal(err)
		}
		mustHold(t, store, 11, 30)
		mustStore(t, store, 31, 35)
		mustClose(t, store)

		store = mustOpen(t, cfg)
		mustHold(t, store, 11, 35)
		if err := store.DeleteRange(20, 35); err != nil {
			t.Fatal(err)
		}
		mustClose(t, store)

		// Cut on purpose is not forgotten.
		store = mustOpen(t, cfg)
		mustHold(t, store, 11, 19)
		if err := store.DeleteRange(11, 19); err != nil {
			t.Fatal(err)
		}
		mustHold(t, store, 0, 0)
		mustStore(t, store, 100, 110) // after a snapshot was installed
		mustClose(t, store)
		mustHold(t, mustOpen(t, cfg), 100, 110)
	})
}

func TestMonotonicityIsThatOfTheKind(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		var store raft.LogStore = mustOpen(t, cfg)
		monotonic, ok := store.(raft.MonotonicLogStore)
		if !ok || monotonic.IsMonotonic() != (cfg.Kind == WAL) {
			t.Fatalf("%T hides whether its log may have gaps", store)
		}
	})
}

func TestFlippedBitIsNoticedOnRead(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		store := mustOpen(t, cfg)
		mustStore(t, store, 1, 20)
		mustClose(t, store)
		store = mustOpen(t, cfg) // with an empty cache
		mustFlip(t, cfg.Dir, "data of entry 000007")
		for index := uint64(1); index <= 20; index++ {
			err := store.GetLog(index, new(raft.Log))
			if (index == 7) != errors.Is(err, ErrCorrupt) {
				t.Fatalf("read entry %d: %v", index, err)
			}
		}
	})
}

// Also one that nobody asks for, and one that is in the cache.
func TestFlippedBitIsNoticedByWhoReadsTheLog(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		store := mustOpen(t, cfg)
		mustStore(t, store, 1, 200)
		rests := 0
		rest := func() error { rests++; return nil }
		if err := store.Reread(noState, rest); err != nil || rests == 0 {
			t.Fatalf("read the log with %d rests: %v", rests, err)
		}
		mustFlip(t, cfg.Dir, "data of entry 000190")
		if err := store.Reread(noState, rest); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("read the log: %v", err)
		}
		if err := store.Reread(noState, func() error { return os.ErrDeadlineExceeded }); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("end reading the log: %v", err)
		}
	})
}

// noState says that there is no snapshot.
func noState() uint64 { return 0 }

// mustDrop removes an entry from a closed log of boltdb as no library would.
func mustDrop(t *testing.T, cfg Config, index uint64) {
	t.Helper()
	db, err := bbolt.Open(boltPath(cfg), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("logs")).Delete(binary.BigEndian.AppendUint64(nil, index))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// What a snapshot stands for may be missing: a state that was taken over leaves a
// gap before it. What comes after it is read at the next start.
func TestAHoleIsNoticedByWhoReadsTheLog(t *testing.T) {
	rest := func() error { return nil }
	for name, dropped := range map[string][]uint64{"in the middle": {50}, "at the beginning": {1, 2, 3}} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig(t.TempDir())
			store := mustOpen(t, cfg)
			mustStore(t, store, 1, 99)
			mustClose(t, store)
			for _, index := range dropped {
				mustDrop(t, cfg, index)
			}
			store = mustOpen(t, cfg)
			last := dropped[len(dropped)-1]
			if err := store.Reread(func() uint64 { return last }, rest); err != nil {
				t.Errorf("the snapshot has them: %v", err)
			}
			if err := store.Reread(func() uint64 { return last - 1 }, rest); !errors.Is(err, ErrForgotten) || !strings.Contains(err.Error(), fmt.Sprintf("entry %d ", last)) {
				t.Errorf("an entry after the snapshot is not there: %v", err)
			}
		})
	}
}

func TestALogThatChangesWhileItIsReadHasNoHole(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		store := mustOpen(t, cfg)
		mustStore(t, store, 1, 200)
		var taken atomic.Uint64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for index := uint64(201); index < 260; index += 3 {
				err := store.StoreLogs(entries(index, index+5))
				taken.Store(index - 150)
				err = errors.Join(err, store.DeleteRange(index+3, index+5), store.DeleteRange(1, taken.Load()))
				if err != nil {
					t.Error(err)
				}
			}
		}()
		for reading := true; reading; {
			select {
			case <-done:
				reading = false
			default:
			}
			if err := store.Reread(taken.Load, func() error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// mustFlip changes one bit in every place where a text stands in the files
// below a directory.
func mustFlip(t *testing.T, dir, text string) {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, file os.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for at := 0; ; at++ {
			next := bytes.Index(content[at:], []byte(text))
			if next < 0 {
				return nil
			}
			at += next
			found = true
			handle, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = handle.WriteAt([]byte{content[at] ^ 0x10}, int64(at))
			if err := errors.Join(err, handle.Close()); err != nil {
				return err
			}
		}
	})
	if err != nil || !found {
		t.Fatalf("flip a bit of %q: found %v, error %v", text, found, err)
	}
}

func TestDamagedFileIsAnErrorAndNoPanic(t *testing.T) {
	for name, damage := range map[string]func(content []byte) []byte{
		"cut to half": func(content []byte) []byte { return content[:len(content)/2] },
		"no metadata": func(content []byte) []byte { clear(content[:8192]); return content },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig(t.TempDir())
			store := mustOpen(t, cfg)
			for index := uint64(1); index < 2000; index += 100 {
				mustStore(t, store, index, index+99)
			}
			mustClose(t, store)
			path := boltPath(cfg)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if store, err := Open(cfg); err == nil {
				mustClose(t, store)
				t.Fatal("a damaged log was opened")
			} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrForgotten) {
				t.Fatal(err)
			}
		})
	}
}

func TestLogThatBecameShorterByItselfIsRefused(t *testing.T) {
	t.Run("torn tail of raft-wal", func(t *testing.T) {
		cfg := DefaultConfig(t.TempDir())
		cfg.Kind = WAL
		store := mustOpen(t, cfg)
		mustStore(t, store, 1, 20)
		mustClose(t, store)
		mustFlip(t, walPath(cfg), "data of entry 000015")
		if _, err := Open(cfg); !errors.Is(err, ErrForgotten) {
			t.Fatalf("open: %v", err)
		}
	})
	t.Run("older copy of boltdb", func(t *testing.T) {
		cfg := DefaultConfig(t.TempDir())
		store := mustOpen(t, cfg)
		mustStore(t, store, 1, 20)
		mustClose(t, store)
		older, err := os.ReadFile(boltPath(cfg))
		if err != nil {
			t.Fatal(err)
		}
		store = mustOpen(t, cfg)
		mustStore(t, store, 21, 30)
		mustClose(t, store)
		if err := os.WriteFile(boltPath(cfg), older, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(cfg); !errors.Is(err, ErrForgotten) {
			t.Fatalf("open: %v", err)
		}
	})
}

// A process that was killed has closed nothing. What it had acknowledged is
// known to the last entry all the same.
func TestMarkFollowsALogThatIsNotClosed(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		store := mustOpen(t, cfg)
		mustStore(t, store, 1, 7)
		if mark, err := readMark(store.marks.path); err != nil || mark != 7 {
			t.Fatalf("mark is at %d after 7 entries, error %v", mark, err)
		}
		if store.marks.flushed != 0 {
			t.Error("a batch cost a flush of the mark")
		}
		mustStore(t, store, 8, 8+markEvery)
		if store.marks.flushed != 8+markEvery {
			t.Errorf("mark was flushed at %d", store.marks.flushed)
		}
		if err := store.DeleteRange(5, 8+markEvery); err != nil {
			t.Fatal(err)
		}
		if mark, err := readMark(store.marks.path); err != nil || mark != 4 || store.marks.flushed != 4 {
			t.Fatalf("mark is at %d (flushed %d) after the log was cut back to 4, error %v", mark, store.marks.flushed, err)
		}
	})
}

// The log of a server that was killed, with its last entry lost.
func TestATornTailIsNoticedWithoutAnOrderlyEnd(t *testing.T) {
	cfg := DefaultConfig(t.TempDir())
	cfg.Kind = WAL
	store := mustOpen(t, cfg)
	mustStore(t, store, 1, 20)
	// What the process leaves behind when it dies here.
	dead := DefaultConfig(t.TempDir())
	dead.Kind = WAL
	if err := os.CopyFS(dead.Dir, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	mustFlip(t, walPath(dead), "data of entry 000020")
	if store, err := Open(dead); !errors.Is(err, ErrForgotten) {
		if err == nil {
			mustClose(t, store)
		}
		t.Fatalf("open: %v", err)
	}
}

// Raft is told that an entry was not stored when its mark could not be written,
// though the log has it. The entry, or another one in its place, comes again.
func TestEntriesThatCouldNotBeMarkedAreStoredAgain(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		store := mustOpen(t, cfg)
		mustStore(t, store, 1, 5)
		good := store.marks.file
		bad, err := os.Open(store.marks.path) // for reading only
		if err != nil {
			t.Fatal(err)
		}
		store.marks.file = bad
		doubtful := []*raft.Log{{Index: 6, Term: 7, Data: []byte("of an old leader")}, {Index: 7, Term: 7, Data: []byte("of an old leader, too")}}
		if err := store.StoreLogs(doubtful); err == nil {
			t.Fatal("entries were stored without their mark")
		}
		if err := store.StoreLogs(doubtful); err == nil {
			t.Fatal("entries were stored without their mark")
		}
		store.marks.file = good
		if err := bad.Close(); err != nil {
			t.Fatal(err)
		}
		mustStore(t, store, 6, 6)
		mustStore(t, store, 7, 9)
		mustHold(t, store, 1, 9)
		mustClose(t, store)
		mustHold(t, mustOpen(t, cfg), 1, 9)
	})
}

func TestLogOfAnotherKindIsRefused(t *testing.T) {
	forEachKind(t, func(t *testing.T, cfg Config) {
		mustClose(t, mustOpen(t, cfg))
		cfg.Kind = kinds[(indexOf(cfg.Kind)+1)%len(kinds)]
		if _, err := Open(cfg); !errors.Is(err, ErrKind) {
			t.Fatalf("open as %s: %v", cfg.Kind, err)
		}
	})
}

func indexOf(kind Kind) int {
	for i, k := range kinds {
		if k == kind {
			return i
		}
	}
	return -1
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no directory": func(c *Config) { c.Dir = "" },
		"unknown kind": func(c *Config) { c.Kind = "paper" },
		"no cache":     func(c *Config) { c.CacheEntries = 0 },
		"cache size":   func(c *Config) { c.CacheBytes = -1 },
		"no limit":     func(c *Config) { c.Stall = 0 },
	} {
		cfg := DefaultConfig(t.TempDir())
		change(&cfg)
		if _, err := Open(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A log that a state was restored over has a gap. To cut off what comes after it
// must not make the log look shorter than it was.
func TestLogWithAGapIsCutBackToBeforeIt(t *testing.T) {
	cfg := DefaultConfig(t.TempDir())
	store := mustOpen(t, cfg)
	mustStore(t, store, 1, 5)
	mustStore(t, store, 70, 72)
	if err := store.DeleteRange(70, 72); err != nil {
		t.Fatal(err)
	}
	mustClose(t, store)
	store = mustOpen(t, cfg)
	if last, err := store.LastIndex(); err != nil || last != 5 {
		t.Fatalf("the log ends at %d: %v", last, err)
	}
	mustStore(t, store, 70, 70)
	mustClose(t, store)
	mustClose(t, mustOpen(t, cfg))
}
