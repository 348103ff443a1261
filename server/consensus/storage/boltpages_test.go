package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// What is spoiled in a tree is found before bbolt looks at it: its own scan leaves
// goroutines behind, of which one may end the program.
func TestBoltDBIsLookedAtBeforeItsOwnScan(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			whole := mustBeTree(t, random)
			for n := range 60 {
				spoiled := append([]byte(nil), whole...)
				for range 1 + random.IntN(2) {
					// Mostly where the pages describe themselves and their elements.
					size := os.Getpagesize()
					page, within := 2+random.IntN(len(whole)/size-2), random.IntN(size)
					if random.IntN(4) > 0 {
						within = random.IntN(256)
					}
					spoiled[page*size+within] ^= 1 << random.IntN(8)
				}
				path := filepath.Join(t.TempDir(), fmt.Sprint(n))
				if err := os.WriteFile(path, spoiled, 0o600); err != nil {
					t.Fatal(err)
				}
				store, err := openOrCatch(path)
				if err == nil {
					err = store.Close()
				} else if !errors.Is(err, ErrCorrupt) {
					err = fmt.Errorf("it is not said to be damaged: %w", err)
				} else {
					err = nil
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// openOrCatch opens as openBackend does.
func openOrCatch(path string) (store backend, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w (%v)", ErrCorrupt, cause)
		}
	}()
	return openBolt(path)
}

// mustBeTree writes a log of several levels, of which parts were deleted and written
// anew, finds nothing wrong with it, and returns the file.
func mustBeTree(t *testing.T, random *rand.Rand) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "whole")
	for range 4 {
		store, err := openBolt(path)
		if err != nil {
			t.Fatal(err)
		}
		last, err := store.LastIndex()
		if err != nil {
			t.Fatal(err)
		}
		if err := store.StoreLogs(entries(last+1, last+1+uint64(random.IntN(400)))); err != nil {
			t.Fatal(err)
		}
		long := entry(last + 500)
		long.Index, long.Data = last+1, make([]byte, random.IntN(20_000))
		if err := store.StoreLog(long); err != nil {
			t.Fatal(err)
		}
		first, _ := store.FirstIndex()
		if err := store.DeleteRange(first, first+uint64(random.IntN(100))); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := walkBolt(path); err != nil {
		t.Fatalf("nothing is wrong with it: %v", err)
	}
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.View(func(tx *bbolt.Tx) error {
		for wrong := range tx.Check() {
			t.Errorf("bbolt finds: %v", wrong)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}
