package fsm

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// Config configures a Machine. It has no influence on the state.
type Config struct {
	// FeedBytes bounds, in bytes, what the feed of changes keeps in memory
	// beside the state: mostly rows that were replaced. More lets watchers be
	// absent or slow for longer without starting again from the whole state.
	// Default: 32 MiB.
	FeedBytes int
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config { return Config{FeedBytes: 32 << 20} }

// Validate checks the configuration.
func (c Config) Validate() error {
	if c.FeedBytes <= 0 {
		return fmt.Errorf("configure state machine: FeedBytes is %d, must be positive", c.FeedBytes)
	}
	return nil
}

// Machine is the replicated state machine. Raft drives it through Apply,
// StoreConfiguration, Snapshot and Restore; everything else is for any number
// of goroutines beside.
type Machine struct {
	// mu is held by whoever changes the state.
	mu      sync.Mutex
	store   *store
	index   *indexes
	scratch scratch
	view    atomic.Pointer[View]
	feed    feed
	waiters waiters
	beacons beacons

	failOnce sync.Once
	failedC  chan struct{}
	failure  error // written before failedC is closed, read after
	failedAt uint64
}

var (
	_ raft.FSM                = (*Machine)(nil)
	_ raft.ConfigurationStore = (*Machine)(nil)
)

// Applied is what Apply returns for an entry that is in the state.
type Applied struct {
	// Revision of the entry.
	Revision uint64
}

// New makes a machine with an empty state at revision 0.
func New(cfg Config) (*Machine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	store, err := newStore()
	if err != nil {
		return nil, err
	}
	m := &Machine{store: store, index: newIndexes(), failedC: make(chan struct{})}
	m.feed.limit = cfg.FeedBytes
	m.view.Store(&View{reader: store.read(), index: m.index})
	m.beacons.restart(m.View())
	return m, nil
}

// View returns the state as it is now.
func (m *Machine) View() *View { return m.view.Load() }

// Applied returns the revision of the state: the index of the last entry that
// is in it.
func (m *Machine) Applied() uint64 { return m.view.Load().revision }

// Apply carries out an entry of the log. It returns *Applied, or an error when
// the machine failed, at this entry or earlier. It does not keep l.Data.
func (m *Machine) Apply(l *raft.Log) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.Failed(); err != nil {
		return err
	}
	view, batch, err := m.apply(l.Index, l.Data)
	if err != nil {
		m.failedAt = l.Index
		return m.fail(fmt.Errorf("apply entry %d of term %d: %w", l.Index, l.Term, err))
	}
	m.publish(view, batch)
	return &Applied{Revision: l.Index}
}

// StoreConfiguration notes that an entry with Raft's configuration came by. It
// changes nothing but the revision.
func (m *Machine) StoreConfiguration(index uint64, _ raft.Configuration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Failed() != nil || index <= m.Applied() {
		return
	}
	view := *m.view.Load()
	view.revision = index
	m.publish(&view, Batch{Revision: index})
}

// publish makes a new state visible. Readers first, then the feed: who learns
// of a change must find it in the views.
func (m *Machine) publish(view *View, batch Batch) {
	m.view.Store(view)
	m.beacons.reached(view)
	m.feed.append(batch)
	m.waiters.release(view.revision)
}

// Failed returns why the machine failed, nil while it has not.
func (m *Machine) Failed() error {
	select {
	case <-m.failedC:
		return m.failure
	default:
		return nil
	}
}

// FailedC returns a channel that is closed when the machine fails.
func (m *Machine) FailedC() <-chan struct{} { return m.failedC }

// FailedAt returns the index of the entry at which the machine failed; 0 when it
// has not, or for another reason.
func (m *Machine) FailedAt() uint64 {
	if m.Failed() == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failedAt
}

// fail makes the machine fail, if it has not yet, and returns why it did.
func (m *Machine) fail(cause error) error {
	m.failOnce.Do(func() {
		m.failure = fmt.Errorf("%w: %w", ErrFailed, cause)
		close(m.failedC)
	})
	return m.failure
}

// Snapshot returns the state for writing it out, which happens while entries
// go on being applied.
func (m *Machine) Snapshot() (raft.FSMSnapshot, error) {
	if err := m.Failed(); err != nil {
		return nil, fmt.Errorf("take snapshot: %w", err)
	}
	return &snapshot{view: m.View(), machine: m}, nil
}

// Restore replaces the state by that of a snapshot. The new state is built
// aside and put in place only when it is complete and its hash is right; after
// an error the machine is as it was. Subscriptions end with ErrCompacted.
func (m *Machine) Restore(from io.ReadCloser) error {
	defer from.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.Failed(); err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	restored, err := readSnapshot(from)
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	m.store, m.index = restored.store, restored.view.index
	m.view.Store(restored.view)
	m.beacons.restart(restored.view)
	m.feed.reset(restored.view.revision)
	m.waiters.release(restored.view.revision)
	return nil
}
