package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// TestAStoreSurvivesAWriteThatIsTorn: whatever the disk leaves of the last write,
// the store opens, has all that it had before, and of the last write its beginning
// at most.
func TestAStoreSurvivesAWriteThatIsTorn(t *testing.T) {
	for _, kind := range []storage.Kind{storage.BoltDB, storage.WAL} {
		t.Run(string(kind), func(t *testing.T) {
			dir := t.TempDir()
			cfg := storage.DefaultConfig(dir)
			cfg.Kind, cfg.SegmentBytes = kind, segmentBytes
			store := mustOpenStore(t, cfg)
			const had, more = 100, 5
			mustStore(t, store, 1, had)
			before := mustReadFiles(t, dir)
			mustStore(t, store, had+1, more)
			after := mustReadFiles(t, dir)
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			parts := 0
			for seed := range uint64(60) {
				left, what := torn(rand.New(rand.NewPCG(seed, 0)), before, after)
				if err := left.write(dir); err != nil {
					t.Fatal(err)
				}
				store := mustOpenStore(t, cfg)
				last, err := store.LastIndex()
				if err != nil {
					t.Fatalf("seed %d, %s: %v", seed, what, err)
				}
				if last < had || last > had+more {
					t.Errorf("seed %d, %s: it ends at %d", seed, what, last)
				}
				for i := uint64(1); i <= last; i++ {
					var entry raft.Log
					if err := store.GetLog(i, &entry); err != nil || string(entry.Data) != entryText(i) {
						t.Fatalf("seed %d, %s: entry %d is %q: %v", seed, what, i, entry.Data, err)
					}
				}
				if err := store.Close(); err != nil {
					t.Fatal(err)
				}
				if what != "nothing of a write survived" && what != "all of a write survived" {
					parts++
				}
			}
			if parts < 15 {
				t.Errorf("%d of 60 writes were torn", parts)
			}
		})
	}
}

func mustOpenStore(t *testing.T, cfg storage.Config) *storage.Store {
	t.Helper()
	store, err := storage.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func entryText(i uint64) string { return fmt.Sprintf("entry %0300d", i) }

func mustStore(t *testing.T, store *storage.Store, from, count uint64) {
	t.Helper()
	var entries []*raft.Log
	for i := from; i < from+count; i++ {
		entries = append(entries, &raft.Log{Index: i, Term: 1, Data: []byte(entryText(i))})
	}
	if err := store.StoreLogs(entries); err != nil {
		t.Fatal(err)
	}
}

func mustReadFiles(t *testing.T, dir string) files {
	t.Helper()
	all, err := readFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAWriteThatIsCaughtEndsWithItsLife: it has happened, and nobody is told.
func TestAWriteThatIsCaughtEndsWithItsLife(t *testing.T) {
	d := newDisk(rand.New(rand.NewPCG(1, 2)), 0)
	dead := make(chan struct{})
	dir := t.TempDir()
	layer := d.attach(dead, dir, func(do func() error) error { return do() })(raft.NewInmemStore())
	caught := d.arm()
	done := make(chan error, 1)
	go func() { done <- layer.StoreLog(&raft.Log{Index: 1}) }()
	select {
	case <-caught.sprung:
	case <-time.After(time.Minute):
		t.Fatal("the write was not caught")
	}
	select {
	case err := <-done:
		t.Fatalf("it came back: %v", err)
	default:
	}
	if last, err := layer.LastIndex(); last != 1 || err != nil {
		t.Errorf("the log ends at %d: %v", last, err)
	}
	close(dead)
	if err := <-done; !errors.Is(err, errDead) {
		t.Errorf("write: %v", err)
	}
}
