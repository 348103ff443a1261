package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// renewed opens the log anew from the disk whenever something that changes it
// has failed. What the libraries hold in memory then need not be what is on the
// disk, and raft-wal, for one, goes on with it: it takes a list of entries for
// written that was not, and after a restart reads from wherever that points.
//
// A log that cannot be opened again is used no more (ErrUnusable).
type renewed struct {
	open func() (backend, error)
	log  *slog.Logger

	monotonic bool

	mu  sync.RWMutex
	now backend
	// lost is why there is no log any more.
	lost error
}

var (
	_ backend                = (*renewed)(nil)
	_ raft.MonotonicLogStore = (*renewed)(nil)
)

func openRenewed(open func() (backend, error), log *slog.Logger) (*renewed, error) {
	now, err := open()
	if err != nil {
		return nil, err
	}
	return &renewed{open: open, log: log, now: now, monotonic: isMonotonic(now)}, nil
}

func (r *renewed) IsMonotonic() bool { return r.monotonic }

// with lets something use the log that there is.
func (r *renewed) with(use func(raft.LogStore) error) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.lost != nil {
		return r.lost
	}
	return use(r.now)
}

func (r *renewed) FirstIndex() (first uint64, err error) {
	err = r.with(func(log raft.LogStore) error { first, err = log.FirstIndex(); return err })
	return first, err
}

func (r *renewed) LastIndex() (last uint64, err error) {
	err = r.with(func(log raft.LogStore) error { last, err = log.LastIndex(); return err })
	return last, err
}

func (r *renewed) GetLog(index uint64, entry *raft.Log) error {
	return r.with(func(log raft.LogStore) error { return log.GetLog(index, entry) })
}

func (r *renewed) StoreLog(entry *raft.Log) error { return r.StoreLogs([]*raft.Log{entry}) }

// StoreLogs stores entries. When it fails the log may hold them all the same.
func (r *renewed) StoreLogs(entries []*raft.Log) error {
	store := func(log raft.LogStore) error { return log.StoreLogs(entries) }
	err := r.with(store)
	if err == nil {
		return nil
	}
	if lost := r.renew(err); lost != nil {
		return lost
	}
	if !errors.Is(err, wal.ErrSealed) {
		return err
	}
	// raft-wal could not begin the next file, which it does after it has answered.
	// Nothing was written of these entries.
	if err = r.with(store); err == nil {
		return nil
	}
	if lost := r.renew(err); lost != nil {
		return lost
	}
	return err
}

// DeleteRange removes entries. It has not failed when they are gone.
func (r *renewed) DeleteRange(low, high uint64) error {
	err := r.with(func(log raft.LogStore) error { return log.DeleteRange(low, high) })
	if err == nil {
		return nil
	}
	if lost := r.renew(err); lost != nil {
		return lost
	}
	gone := false
	if lost := r.with(func(log raft.LogStore) error {
		first, err := log.FirstIndex()
		if err != nil {
			return err
		}
		last, err := log.LastIndex()
		gone = last < low || first > high
		return err
	}); lost != nil {
		return errors.Join(err, lost)
	}
	if gone {
		return nil
	}
	return err
}

// renew opens the log again, and returns an error when that fails.
func (r *renewed) renew(cause error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost != nil {
		return r.lost
	}
	r.log.Error("log could not be changed: opening it anew from the disk", "error", cause)
	// What it could not write is not wanted any more.
	closeErr := r.now.Close()
	now, err := r.open()
	if err != nil {
		r.lost = fmt.Errorf("%w: %w, after: %w", ErrUnusable, errors.Join(err, closeErr), cause)
		return r.lost
	}
	r.now = now
	return nil
}

func (r *renewed) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost != nil {
		return nil
	}
	r.lost = fmt.Errorf("%w: it was closed", ErrUnusable)
	return r.now.Close()
}
