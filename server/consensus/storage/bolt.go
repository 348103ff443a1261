package storage

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/argosy-cluster/argosy/planted"
)

func openBolt(path string) (backend, error) {
	if err := walkBolt(path); err != nil {
		return nil, err
	}
	opened, err := raftboltdb.New(raftboltdb.Options{
		Path:   path,
		NoSync: planted.On(planted.NoFlush),
		// The free list is found by a scan when the file is opened; to write it
		// with every batch costs more the larger it is.
		BoltOptions: &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
	})
	if err != nil {
		// It was read to the end before: what the system refuses now is a write.
		// Each opening makes one, so that what is read of the log is on the disk.
		if errors.As(err, new(syscall.Errno)) {
			err = unwritten(err)
		}
		return nil, Damaged(err)
	}
	return pieces{opened}, nil
}

// pieces deletes the entries that a snapshot has made needless a few at a time:
// a write that comes meanwhile waits for one piece and not for all.
type pieces struct{ *raftboltdb.BoltStore }

// pieceEntries is how many entries are deleted at once. Each piece costs as
// much as a commit.
const pieceEntries = 256

func (p pieces) DeleteRange(low, high uint64) error {
	last, err := p.LastIndex()
	if err != nil {
		return err
	}
	for {
		first, err := p.FirstIndex()
		if err != nil {
			return err
		}
		// What is cut off the end goes at once: a part of it must not stay.
		if low > first || high >= last || high < first+pieceEntries {
			return p.BoltStore.DeleteRange(low, high)
		}
		if err := p.BoltStore.DeleteRange(first, first+pieceEntries-1); err != nil {
			return err
		}
	}
}

// walkBolt looks at every page of the tree, for reading only. The scan for free
// pages, which does the same, runs in goroutines of bbolt's own, and a damaged page
// would panic there, where nobody can catch it.
func walkBolt(path string) (err error) {
	if info, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil // bbolt makes it
	}
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: 1})
	if err != nil {
		return Damaged(err)
	}
	defer func() {
		if closeErr := db.Close(); err == nil {
			err = closeErr
		}
	}()
	// A mapped file that ends too early faults where it is read.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w (%v)", ErrCorrupt, cause)
		}
	}()
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("look at pages: %w", err)
	}
	defer func() { _ = file.Close() }()
	return db.View(func(tx *bbolt.Tx) error {
		size := uint64(db.Info().PageSize)
		pages := &boltPages{file: file, size: size, end: uint64(tx.Size()) / size, seen: make(map[uint64]struct{})}
		if _, err := pages.check(uint64(tx.Cursor().Bucket().Root()), true, nil, nil); err != nil {
			return err
		}
		return tx.ForEach(func(_ []byte, bucket *bbolt.Bucket) error {
			cursor := bucket.Cursor()
			for key, _ := cursor.First(); key != nil; {
				key, _ = cursor.Next()
			}
			return nil
		})
	})
}
