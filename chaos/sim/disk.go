package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// errDead is what a process gets from its disk after it has died.
var errDead = errors.New("this life is over")

// disk is the layer around the log of one server. It outlives the server.
type disk struct {
	mu    sync.Mutex
	rand  *rand.Rand
	usual time.Duration // of a write, on average
	slow  time.Duration // added to each
	// stalled is closed when the disk answers again, nil when it does.
	stalled chan struct{}
	broken  error
}

func newDisk(random *rand.Rand, usual time.Duration) *disk { return &disk{rand: random, usual: usual} }

// attach makes the layer for one life, which ends when dead is closed.
func (d *disk) attach(dead <-chan struct{}) func(raft.LogStore) raft.LogStore {
	return func(below raft.LogStore) raft.LogStore { return &attached{LogStore: below, disk: d, dead: dead} }
}

// stall lets nothing be written until the result is called.
func (d *disk) stall() (again func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	stalled := make(chan struct{})
	d.stalled = stalled
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		close(stalled)
		if d.stalled == stalled {
			d.stalled = nil
		}
	})
}

func (d *disk) setSlow(slow time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = slow
}

func (d *disk) setBroken(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = err
}

// write is what a write meets: how long it waits before and after it happens, how
// much of it happens, and its error.
type write struct {
	before, after time.Duration
	stalled       <-chan struct{}
	err           error
}

func (d *disk) next() write {
	d.mu.Lock()
	defer d.mu.Unlock()
	whole := d.slow
	if d.usual > 0 {
		whole += time.Duration(d.rand.Int64N(2 * int64(d.usual)))
	}
	before := time.Duration(d.rand.Int64N(int64(whole) + 1))
	return write{before: before, after: whole - before, stalled: d.stalled, err: d.broken}
}

// attached is the disk as one life sees it.
type attached struct {
	raft.LogStore
	disk *disk
	dead <-chan struct{}
}

var _ raft.MonotonicLogStore = (*attached)(nil)

// IsMonotonic implements raft.MonotonicLogStore.
func (a *attached) IsMonotonic() bool {
	below, ok := a.LogStore.(raft.MonotonicLogStore)
	return ok && below.IsMonotonic()
}

// StoreLog implements raft.LogStore.
func (a *attached) StoreLog(entry *raft.Log) error { return a.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore. A life that ends meanwhile may have written
// or not.
func (a *attached) StoreLogs(entries []*raft.Log) error {
	w := a.disk.next()
	if err := a.wait(w.before, w.stalled); err != nil {
		return err
	}
	if w.err != nil {
		return fmt.Errorf("write %d entries: %w", len(entries), w.err)
	}
	if err := a.LogStore.StoreLogs(entries); err != nil {
		return err
	}
	return a.wait(w.after, nil)
}

// DeleteRange implements raft.LogStore.
func (a *attached) DeleteRange(low, high uint64) error {
	w := a.disk.next()
	if err := a.wait(w.before, w.stalled); err != nil {
		return err
	}
	if w.err != nil {
		return fmt.Errorf("delete entries %d to %d: %w", low, high, w.err)
	}
	return a.LogStore.DeleteRange(low, high)
}

func (a *attached) wait(d time.Duration, stalled <-chan struct{}) error {
	if stalled != nil {
		select {
		case <-stalled:
		case <-a.dead:
			return errDead
		}
	}
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-a.dead:
		}
	}
	select {
	case <-a.dead:
		return errDead
	default:
		return nil
	}
}

// diskErrors are those that a broken disk answers with.
var diskErrors = []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS}
