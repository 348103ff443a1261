package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// restoreHeadroom is how much the log may grow between the choice of the index
// of a restore and its beginning. Nothing should be appended in that time but
// what Raft appends by itself.
const restoreHeadroom = 64

// RestoreSource returns the state to restore, as the machine's snapshots have
// it, as of an index. It must write the same bytes each time.
type RestoreSource func(index uint64) (io.WriterTo, error)

// Restore puts a state in the place of the machine's on every server, and
// returns its index when a majority has it. Proposals and changes of the
// configuration are refused meanwhile, and reads wait.
//
// An error wraps ErrFateUnknown when the state may have been restored, and
// otherwise says why it certainly was not.
//
// Raft's own user restore has traps, which this closes: it answers whatever is
// in flight as aborted though it may still be committed (so nothing may be in
// flight); it chooses the index of the state by itself and the state must know
// it (so a state of another index is refused before anything has happened); and
// it puts the state in place on the leader before anybody else has it (so
// nothing of it is served to readers until a majority does).
func (n *Node) Restore(ctx context.Context, source RestoreSource) (index uint64, err error) {
	r := n.leadership.reigning()
	if r == nil {
		return 0, fmt.Errorf("restore state: %w", ErrNotLeader)
	}
	if _, err := n.established(ctx); err != nil {
		return 0, fmt.Errorf("restore state: %w", err)
	}
	if !n.restores.begin() {
		return 0, fmt.Errorf("restore state: %w", ErrRestoring)
	}
	n.gate.close()
	finish := func() {
		n.gate.open()
		n.restores.end()
	}
	restore, err := n.prepareRestore(ctx, r, source)
	if err != nil {
		finish()
		return 0, fmt.Errorf("restore state: %w", err)
	}
	done := make(chan error, 1)
	go func() {
		err := restore.run(n)
		finish()
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		// Raft goes on with it.
		err = fmt.Errorf("%w: %w", ErrFateUnknown, context.Cause(ctx))
	}
	if err != nil {
		return 0, fmt.Errorf("restore state: %w", err)
	}
	n.log.Info("restored state", "index", restore.index, "bytes", restore.size, "term", r.term)
	return restore.index, nil
}

// restore is one restore under way.
type restore struct {
	reign *reign
	index uint64
	size  int64
	state io.WriterTo
}

func (n *Node) prepareRestore(ctx context.Context, r *reign, source RestoreSource) (*restore, error) {
	if err := n.gate.drained(ctx); err != nil {
		return nil, fmt.Errorf("wait for proposals: %w", err)
	}
	// Raft takes the index after this one.
	last := n.raft.LastIndex() + restoreHeadroom
	state, err := source(last + 1)
	if err != nil {
		return nil, err
	}
	// Raft wants to know the size before the first byte.
	size, err := state.WriteTo(io.Discard)
	if err != nil {
		return nil, err
	}
	return &restore{reign: r, index: last + 1, size: size, state: state}, nil
}

// run is called in a goroutine of its own, and returns when a majority has the
// state or never will have got it from here.
func (r *restore) run(n *Node) error {
	reader, writer := io.Pipe()
	written := make(chan struct{})
	checked := &checkedReader{from: reader, check: func() error { return r.check(n) }}
	go func() {
		defer close(written)
		_, err := r.state.WriteTo(writer)
		_ = writer.CloseWithError(err)
	}()
	meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: r.index - 1, Term: r.reign.term, Size: r.size}
	// A message of another leader is to be judged before Raft takes the state
	// over, and then carried out before, or after it.
	select {
	case n.transport.passing <- struct{}{}:
	case <-n.ctx.Done():
		return ErrStopped
	}
	n.restores.give(r.index)
	n.work.Go(func() {
		_ = n.awaitTakeover(n.ctx)
		<-n.transport.passing
	})
	before, _ := n.tentative.get()
	err := n.raft.Restore(meta, checked, 0)
	_ = reader.Close()
	<-written
	if err == nil {
		n.settle()
		return nil
	}
	if taken := n.raft.LastIndex() >= r.index && checked.refusal == nil; !taken {
		if err := n.tentative.set(before); err != nil {
			n.log.Warn("a state is still written down as tentative", "error", err)
		}
	}
	switch {
	case checked.refusal != nil:
		return checked.refusal
	case n.raft.LastIndex() >= r.index:
		return fmt.Errorf("%w: %w", ErrFateUnknown, err)
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	default:
		// Raft moves its last index as soon as it has taken the state over.
		return err
	}
}

// check is called by Raft's main loop when it is about to take the state over,
// which it then does for an index that cannot change any more.
func (r *restore) check(n *Node) error {
	if term := n.raft.CurrentTerm(); term != r.reign.term {
		return fmt.Errorf("%w: it led in term %d, which is over", ErrNotLeader, r.reign.term)
	}
	if last := n.raft.LastIndex(); last >= r.index {
		return fmt.Errorf("the log has grown to entry %d meanwhile, and the state is of index %d", last, r.index)
	}
	return n.tentative.set(tentative{index: r.index, term: r.reign.term, under: r.reign.term})
}

// takeoverFailed takes the news that the machine could not take over a state
// that Raft had written to its disk. For a leader's restore Raft panics then; so
// it is told that all is well, and the node goes no further.
func (n *Node) takeoverFailed(err error) error {
	if !n.restoring() {
		return err
	}
	n.fail(fmt.Errorf("take over the restored state: %w", err))
	return nil
}

// checkedReader asks for leave before the first byte is read.
type checkedReader struct {
	from    io.Reader
	check   func() error
	checked bool
	refusal error
}

func (r *checkedReader) Read(p []byte) (int, error) {
	if !r.checked {
		r.checked = true
		r.refusal = r.check()
	}
	if r.refusal != nil {
		return 0, r.refusal
	}
	return r.from.Read(p)
}

// restores lets one restore run at a time, and others wait until none does.
type restores struct {
	mu      sync.Mutex
	running chan struct{} // closed when it is over; nil when none is running
	index   uint64        // of the state that Raft was given; 0 before
}

func (r *restores) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running != nil {
		return false
	}
	r.running = make(chan struct{})
	r.index = 0
	return true
}

func (r *restores) give(index uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index = index
}

func (r *restores) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.running)
	r.running = nil
}

// over returns what is closed when the running restore is over, nil when none
// is running, and the index of what Raft was given.
func (r *restores) over() (<-chan struct{}, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running, r.index
}

// restoring tells whether a restore is under way.
func (n *Node) restoring() bool {
	over, _ := n.restores.over()
	return over != nil
}

// wait waits until no restore is running.
func (r *restores) wait(ctx context.Context) error {
	over, _ := r.over()
	if over == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitTakeover waits until Raft is not taking a state over and has appended the
// entry that it adds behind it. It must not be shut down before: it would panic
// first, and then never answer.
func (n *Node) awaitTakeover(ctx context.Context) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		over, index := n.restores.over()
		if over == nil || index > 0 && n.raft.LastIndex() > index {
			return nil
		}
		select {
		case <-over:
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of a restore: %w", context.Cause(ctx))
		}
	}
}

// clearOldLog removes a log that ends before the snapshot that the server starts
// from: it was stopped after it had taken a state over and before it had removed
// the log. Raft leaves that to be done by the next snapshot, and a log store
// that knows no gaps takes no entry until then.
func (n *Node) clearOldLog() error {
	if !n.guard.IsMonotonic() {
		return nil
	}
	first, err := n.guard.FirstIndex()
	if err != nil {
		return fmt.Errorf("find first log entry: %w", err)
	}
	last, err := n.guard.LastIndex()
	if err != nil {
		return fmt.Errorf("find last log entry: %w", err)
	}
	if last == 0 || last >= n.raft.AppliedIndex() {
		return nil
	}
	if err := n.guard.DeleteRange(first, last); err != nil {
		return fmt.Errorf("remove the log before the snapshot: %w", err)
	}
	n.log.Info("removed a log that ended before the snapshot", "last", last, "snapshot", n.raft.AppliedIndex())
	return nil
}

// lastTaken returns index and term of the state that Raft last took over as a
// whole, or wrote down as a snapshot.
func (n *Node) lastTaken() (index, term uint64) {
	stats := n.raft.Stats()
	index, err := strconv.ParseUint(stats["last_snapshot_index"], 10, 64)
	if err != nil {
		return 0, 0
	}
	if term, err = strconv.ParseUint(stats["last_snapshot_term"], 10, 64); err != nil {
		return 0, 0
	}
	return index, term
}
