package consensus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/planted"
)

// readers lets all who ask for a read index at about the same time share one
// question to the quorum: those who come while one is on its way share the
// next.
type readers struct {
	mu      sync.Mutex
	next    *round
	running bool
}

type round struct {
	done  chan struct{}
	index uint64
	term  uint64
	err   error
}

// ReadIndex returns an index, and the term of this leadership, such that a
// replica that has applied this index may answer reads that began before the
// call: it has everything that was committed by then. The index is one that
// the machine can be waited for.
//
// Only the leader can answer, and only when a quorum has confirmed after the
// call that it still is; its own clock proves nothing, since it may have been
// paused. A new leader answers once it has applied everything from before.
func (n *Node) ReadIndex(ctx context.Context) (index, term uint64, err error) {
	r, err := n.established(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read index: %w", err)
	}
	round := n.joinRound()
	select {
	case <-round.done:
	case <-ctx.Done():
		return 0, 0, fmt.Errorf("read index: %w: %w", ErrUnconfirmed, context.Cause(ctx))
	}
	if round.err != nil {
		return 0, 0, fmt.Errorf("read index: %w", round.err)
	}
	// A state that is being restored is here before a majority has it.
	if err := n.restores.wait(ctx); err != nil {
		return 0, 0, fmt.Errorf("read index: %w: %w: %w", ErrUnconfirmed, ErrRestoring, err)
	}
	if round.term != r.term {
		return 0, 0, fmt.Errorf("read index: %w: leadership changed meanwhile", ErrNotLeader)
	}
	return round.index, round.term, nil
}

// VerifyLeader asks a quorum whether this server still leads.
func (n *Node) VerifyLeader(ctx context.Context) error {
	_, _, err := n.ReadIndex(ctx)
	return err
}

// Barrier waits until this leadership has committed an entry of its own and
// everything before it is applied to the machine. It returns at once when that
// is so already.
func (n *Node) Barrier(ctx context.Context) error {
	if _, err := n.established(ctx); err != nil {
		return fmt.Errorf("wait at barrier: %w", err)
	}
	return nil
}

func (n *Node) established(ctx context.Context) (*reign, error) {
	r := n.leadership.reigning()
	if r == nil {
		return nil, ErrNotLeader
	}
	select {
	case <-r.ready:
		return r, nil
	case <-r.ctx.Done():
		return nil, ErrNotLeader
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnconfirmed, context.Cause(ctx))
	}
}

// establish brings a new leadership to where it may answer. Raft appends an
// entry of the new term by itself; when the log is committed up to an entry of
// this term, everything before it is. That is the barrier, without an entry of
// its own and the four flushes that it would cost in the middle of a
// fail-over.
func (n *Node) establish(r *reign) {
	// Raft tells nobody what it has committed: look, for the few milliseconds
	// that this takes.
	ticker := time.NewTicker(500 * time.Microsecond)
	defer ticker.Stop()
	for {
		committed := n.raft.CommitIndex()
		var entry raft.Log
		if err := n.store.GetLog(committed, &entry); err == nil && entry.Term == r.term {
			if err := n.deps.Machine.WaitApplied(r.ctx, n.visible(committed)); err == nil {
				// What is in the log before an entry of this term is committed.
				n.settle()
				close(r.ready)
				n.log.Info("leads", "term", r.term, "committed", committed)
				n.leadership.signal()
				n.announce(r)
			}
			return
		}
		select {
		case <-ticker.C:
		case <-r.ctx.Done():
			return
		}
	}
}

// visible returns the last index up to a committed one that reaches the
// machine. Raft's own entries do not, and are few in a row.
func (n *Node) visible(committed uint64) uint64 {
	applied := n.deps.Machine.Applied()
	for index := committed; index > applied; index-- {
		var entry raft.Log
		if err := n.store.GetLog(index, &entry); err == nil && n.applier.reaches(&entry) {
			return index
		}
	}
	return applied
}

func (n *Node) joinRound() *round {
	q := &n.readers
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == nil {
		q.next = &round{done: make(chan struct{})}
	}
	if q.running {
		return q.next
	}
	if !n.verifying.enter() {
		stopped := q.next
		q.next = nil
		stopped.err = ErrStopped
		close(stopped.done)
		return stopped
	}
	q.running = true
	go n.runRounds()
	return q.next
}

func (n *Node) runRounds() {
	defer n.verifying.leave()
	q := &n.readers
	for {
		q.mu.Lock()
		current := q.next
		q.next = nil
		q.running = current != nil
		q.mu.Unlock()
		if current == nil {
			return
		}
		current.index, current.term, current.err = n.askQuorum()
		close(current.done)
	}
}

// askQuorum is one round: first the index, then the confirmation.
func (n *Node) askQuorum() (index, term uint64, err error) {
	r := n.leadership.reigning()
	if r == nil {
		return 0, 0, ErrNotLeader
	}
	ctx, cancel := context.WithTimeout(r.ctx, n.cfg.Timing.Election+n.cfg.Timing.Heartbeat)
	defer cancel()
	committed := n.raft.CommitIndex()
	if err := n.confirm(ctx, r.term); err != nil {
		if r.ctx.Err() != nil {
			return 0, 0, ErrNotLeader
		}
		return 0, 0, err
	}
	return n.visible(committed), r.term, nil
}

// confirm returns nil when a quorum has answered to this term's leader
// messages that were sent after the call.
//
// Raft's VerifyLeader starts the round, but is not enough: it counts any
// answer that is read after the call, also one to a message from before. A
// leader that was paused finds such answers in its sockets, however long it
// was away, and would serve what was true before. The transport knows when
// each message was sent.
func (n *Node) confirm(ctx context.Context, term uint64) error {
	if planted.On(planted.LeaseRead) && n.raft.State() == raft.Leader {
		return nil
	}
	if !n.verifying.enter() {
		return ErrStopped
	}
	began := time.Now()
	verified := make(chan error, 1)
	future := n.raft.VerifyLeader()
	go func() {
		defer n.verifying.leave()
		verified <- future.Error()
	}()
	pending := verified
	for {
		changed := n.transport.progress.wait()
		if pending == nil && n.transport.progress.confirmed(n.id(), n.voters(), term, began) {
			return nil
		}
		select {
		case err := <-pending:
			if err != nil {
				return fmt.Errorf("%w: %w", ErrNotLeader, err)
			}
			pending = nil
		case <-changed:
		case <-ctx.Done():
			return ErrUnconfirmed
		}
	}
}
