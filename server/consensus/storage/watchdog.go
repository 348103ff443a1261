package storage

import (
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// watched knows when a write to the log does not come back. Raft's heartbeats
// go on while its main loop waits for the disk, so that a leader with a hung
// disk would lead for ever and commit nothing; whoever sends the heartbeats
// asks here first.
//
// It makes no error of a slow write: one that was given up may still happen.
type watched struct {
	raft.LogStore
	limit   time.Duration
	tell    func(stalled bool)
	stored  func(entries int, took time.Duration)
	stalled atomic.Bool
}

var _ raft.MonotonicLogStore = (*watched)(nil)

func newWatched(store raft.LogStore, limit time.Duration, tell func(bool), stored func(int, time.Duration)) *watched {
	if tell == nil {
		tell = func(bool) {}
	}
	if stored == nil {
		stored = func(int, time.Duration) {}
	}
	return &watched{LogStore: store, limit: limit, tell: tell, stored: stored}
}

func (w *watched) IsMonotonic() bool { return isMonotonic(w.LogStore) }

func (w *watched) StoreLog(entry *raft.Log) error { return w.StoreLogs([]*raft.Log{entry}) }

// A write that is larger than most may take longer for each further byte: ten
// megabytes a second are slow, but no stall.
const (
	ordinary = 64 << 10
	perByte  = 100 * time.Nanosecond
)

// patience is how long a write may take.
func (w *watched) patience(entries []*raft.Log) time.Duration {
	bytes := 0
	for _, entry := range entries {
		bytes += len(entry.Data)
	}
	return w.limit + time.Duration(max(bytes-ordinary, 0))*perByte
}

func (w *watched) StoreLogs(entries []*raft.Log) error {
	alarmed := make(chan struct{})
	alarm := time.AfterFunc(w.patience(entries), func() {
		defer close(alarmed)
		w.stalled.Store(true)
		w.tell(true)
	})
	began := time.Now()
	err := w.LogStore.StoreLogs(entries)
	w.stored(len(entries), time.Since(began))
	if !alarm.Stop() {
		<-alarmed // so that "stalled" is told before "not any more"
		w.stalled.Store(false)
		w.tell(false)
	}
	return err
}
