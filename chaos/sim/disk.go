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
	// trap waits for the next write; nil when none does.
	trap *trap
}

// trap is where a write is caught in which the power shall be lost.
type trap struct {
	sprung chan struct{}
	// The files before and after the write, valid when sprung is closed.
	before, after files
	err           error
}

// arm catches the next write: it happens, and does not come back before its life
// has ended.
func (d *disk) arm() *trap {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trap = &trap{sprung: make(chan struct{})}
	return d.trap
}

func (d *disk) armed() *trap {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.trap
	d.trap = nil
	return t
}

func newDisk(random *rand.Rand, usual time.Duration) *disk { return &disk{rand: random, usual: usual} }

// attach makes the layer for one life, which ends when dead is closed. Its files are
// below a directory, and looked at when all stands still.
func (d *disk) attach(dead <-chan struct{}, dir string, still func(func() error) error) func(raft.LogStore) raft.LogStore {
	return func(below raft.LogStore) raft.LogStore {
		return &attached{LogStore: below, disk: d, dead: dead, dir: dir, still: still}
	}
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
	disk  *disk
	dead  <-chan struct{}
	dir   string
	still func(func() error) error
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
	if err := a.happen(func() error { return a.LogStore.StoreLogs(entries) }); err != nil {
		return err
	}
	return a.wait(w.after, nil)
}

// happen writes. A write that is caught ends with its life.
func (a *attached) happen(write func() error) error {
	t := a.disk.armed()
	if t == nil {
		return write()
	}
	look := func(at *files) error {
		return a.still(func() (err error) { *at, err = readFiles(a.dir); return err })
	}
	t.err = look(&t.before)
	if err := write(); err != nil {
		return err
	}
	t.err = errors.Join(t.err, look(&t.after))
	close(t.sprung)
	<-a.dead
	return errDead
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
	return a.happen(func() error { return a.LogStore.DeleteRange(low, high) })
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
