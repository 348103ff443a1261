package storage

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

func openBolt(path string) (backend, error) {
	if err := walkBolt(path); err != nil {
		return nil, err
	}
	opened, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		// The free list is found by a scan when the file is opened; to write it
		// with every batch costs more the larger it is.
		BoltOptions: &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
	})
	if err != nil {
		return nil, Damaged(err)
	}
	return opened, nil
}

// walkBolt looks at every page of the tree once, for reading only. The scan for
// free pages, which does the same, runs in goroutines of bbolt's own, and a
// damaged page would panic there, where nobody can catch it.
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
	return db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, bucket *bbolt.Bucket) error {
			cursor := bucket.Cursor()
			for key, _ := cursor.First(); key != nil; {
				key, _ = cursor.Next()
			}
			return nil
		})
	})
}
