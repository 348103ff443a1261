package storage

import (
	"sync"

	"github.com/hashicorp/raft"
)

// cached keeps the newest entries in memory, from where they are replicated
// and applied. raft.LogCache bounds their number only; here a few huge entries
// do not hold hundreds of megabytes.
type cached struct {
	raft.LogStore
	limit int

	mu    sync.RWMutex
	ring  []*raft.Log // by index modulo length
	next  uint64      // index after the newest cached entry
	floor uint64      // index of the oldest entry that may be cached
	bytes int         // size of the data of the cached entries
}

var _ raft.MonotonicLogStore = (*cached)(nil)

func newCached(store raft.LogStore, entries, bytes int) *cached {
	return &cached{LogStore: store, limit: bytes, ring: make([]*raft.Log, entries)}
}

func (c *cached) IsMonotonic() bool { return isMonotonic(c.LogStore) }

func (c *cached) GetLog(index uint64, entry *raft.Log) error {
	c.mu.RLock()
	hit := *c.slot(index)
	c.mu.RUnlock()
	if hit != nil && hit.Index == index {
		*entry = *hit
		return nil
	}
	return c.LogStore.GetLog(index, entry)
}

func (c *cached) StoreLog(entry *raft.Log) error { return c.StoreLogs([]*raft.Log{entry}) }

func (c *cached) StoreLogs(entries []*raft.Log) error {
	if err := c.LogStore.StoreLogs(entries); err != nil {
		// What the disk holds now is not known: forget what we thought.
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reset()
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, entry := range entries {
		if entry.Index != c.next {
			c.reset()
			c.floor = entry.Index
		}
		slot := c.slot(entry.Index)
		if *slot != nil {
			c.bytes -= len((*slot).Data)
			c.floor = (*slot).Index + 1
		}
		*slot = entry
		c.bytes += len(entry.Data)
		c.next = entry.Index + 1
	}
	// The newest stays, whatever its size: an idle leader asks for it with every
	// message to every follower.
	for c.bytes > c.limit && c.floor+1 < c.next {
		if slot := c.slot(c.floor); *slot != nil && (*slot).Index == c.floor {
			c.bytes -= len((*slot).Data)
			*slot = nil
		}
		c.floor++
	}
	return nil
}

func (c *cached) DeleteRange(low, high uint64) error {
	c.mu.Lock()
	if high >= c.floor {
		c.reset()
	}
	c.mu.Unlock()
	return c.LogStore.DeleteRange(low, high)
}

func (c *cached) slot(index uint64) **raft.Log { return &c.ring[index%uint64(len(c.ring))] }

func (c *cached) reset() {
	clear(c.ring)
	c.bytes, c.next, c.floor = 0, 0, 0
}
