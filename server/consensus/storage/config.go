package storage

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"
)

// Kind is the kind of a log store.
type Kind string

// The kinds of log stores.
const (
	// BoltDB is raft-boltdb: a B+tree, two flushes a batch.
	BoltDB Kind = "boltdb"
	// WAL is raft-wal: an append-only file, one flush a batch, two to four
	// times the throughput.
	WAL Kind = "wal"
)

// Config says where and how the log is kept.
type Config struct {
	// Dir is the directory for all files of the store. It is made when it is
	// not there.
	Dir string
	// Kind is the kind of the log store. It cannot be changed for a directory
	// that has a log. Default BoltDB.
	Kind Kind
	// SegmentBytes is how large the files are of which a log of kind WAL consists.
	// Room for one is set aside at once. Default 16 MiB: more makes a file less
	// often, less leaves more room to others on a small disk. There is no flag for
	// it: an entry may be larger than a file, a new file costs a few flushes in
	// 16 MiB of entries, and the room for one is little beside the floor of free
	// space. Tests make files small in order to have many.
	SegmentBytes int
	// CacheEntries is how many of the newest entries are kept in memory for
	// replication. Default 512: more spares reads when a follower lags, at the
	// price of memory.
	CacheEntries int
	// CacheBytes bounds the cache by the size of the entries' data. Default
	// 8 MiB.
	CacheBytes int
	// Stall is how long one write may take before the disk counts as stalled,
	// beside a second for each 10 MB of it. Default 500 ms: less finds a hung disk
	// sooner, but takes a slow one for hung.
	Stall time.Duration
	// OnStall is told when the disk stalls (true) and when the write comes
	// back after all (false). It must not block. Default nil.
	OnStall func(stalled bool)
	// OnStore is told of each write to the log that came back, with how many
	// entries it had and how long it took, its flush included. It must not block.
	// Default nil.
	OnStore func(entries int, took time.Duration)
	// Disk is put around the files, so that tests have disks that hang and fail.
	// Default nil: nothing is.
	Disk func(raft.LogStore) raft.LogStore
	// Logger takes the log. Default nil: none.
	Logger *slog.Logger

	// walDisk is put around what raft-wal does to the disk, by tests.
	walDisk func(walDisk) walDisk
}

// Files of a log hold some entries at least; raft-wal counts their bytes in 32
// bits, and one batch may go past the end.
const (
	minSegment = 4 << 10
	maxSegment = 1 << 30
)

// DefaultConfig returns the defaults for a directory.
func DefaultConfig(dir string) Config {
	return Config{
		Dir:          dir,
		Kind:         BoltDB,
		SegmentBytes: 16 << 20,
		CacheEntries: 512,
		CacheBytes:   8 << 20,
		Stall:        500 * time.Millisecond,
	}
}

// Validate checks the configuration.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return fmt.Errorf("configure log store: no directory")
	case c.Kind != BoltDB && c.Kind != WAL:
		return fmt.Errorf("configure log store: kind %q is not known, use %q or %q", c.Kind, BoltDB, WAL)
	case c.SegmentBytes < minSegment || c.SegmentBytes > maxSegment:
		return fmt.Errorf("configure log store: files of %d bytes, use %d to %d", c.SegmentBytes, minSegment, maxSegment)
	case c.CacheEntries < 1:
		return fmt.Errorf("configure log store: cache of %d entries, use 1 or more", c.CacheEntries)
	case c.CacheBytes < 0:
		return fmt.Errorf("configure log store: cache of %d bytes, use 0 or more", c.CacheBytes)
	case c.Stall <= 0:
		return fmt.Errorf("configure log store: stall limit %v, use more than 0", c.Stall)
	}
	return nil
}
