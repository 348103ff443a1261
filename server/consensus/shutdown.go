package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// drainLimit bounds how long a stop waits for what is under way to be
// answered.
const drainLimit = 500 * time.Millisecond

// A stop takes a snapshot when at least one in stopSnapshotShare of the entries
// has come since the last one that would cause a snapshot anyway, and waits for
// it no longer than stopSnapshotLimit. Raft reads every entry after the snapshot
// twice when it starts: at a moment at which, in a rolling restart, the others
// carry the load with a server less.
const (
	stopSnapshotShare = 8
	stopSnapshotLimit = 2 * time.Second
)

// Shutdown stops the node. A leader hands over first, so that the cluster does
// not notice. It may be called twice. When the context ends before Raft has
// stopped (its disk hangs, most likely), the files stay open and the data
// directory locked until it has, or the process ends.
func (n *Node) Shutdown(ctx context.Context) error {
	n.stopOnce.Do(func() { n.stopErr = n.stop(ctx, true) })
	return n.stopErr
}

func (n *Node) stop(ctx context.Context, graceful bool) error {
	if graceful && n.Err() == nil {
		// First, since a successor's first flushes would wait for the snapshot's
		// where both are on one disk, and everybody waits for these.
		n.snapshotAtStop(ctx)
		n.handOver(ctx)
	}
	n.halted.Store(true)
	// Raft panics when it is shut down while it takes a state over.
	if err := n.awaitTakeover(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	// Raft answers nobody whom it finds waiting when it stops.
	n.gate.close()
	n.verifying.close()
	draining, cancel := context.WithTimeout(ctx, drainLimit)
	if n.gate.drained(draining) != nil || n.verifying.drained(draining) != nil {
		n.log.Warn("stopped with proposals under way")
	}
	cancel()

	n.cancel()
	future := n.raft.Shutdown()
	// Raft waits for its messages, the other side of which may be frozen.
	err := n.transport.Close()
	stopped := make(chan error, 1)
	go func() {
		stopped <- future.Error()
		n.work.Wait()
		close(stopped)
	}()
	for {
		select {
		case raftErr, ok := <-stopped:
			if ok {
				err = errors.Join(err, raftErr)
				continue
			}
			err = errors.Join(err, n.release())
			n.log.Info("stopped")
			return err
		case <-ctx.Done():
			go n.releaseLate(stopped)
			return errors.Join(err, fmt.Errorf("stop Raft: %w", context.Cause(ctx)))
		}
	}
}

// releaseLate gives everything back when Raft has stopped after all. Whoever gave
// up waiting ends the process, most often, or goes on without this node.
func (n *Node) releaseLate(stopped <-chan error) {
	var errs []error
	for err := range stopped {
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, n.release())...); err != nil {
		n.log.Warn("stopped late", "error", err)
	}
}

// handOver transfers leadership, if this server leads and there is somebody.
func (n *Node) handOver(ctx context.Context) {
	var failed error
	defer func() {
		if failed != nil {
			n.log.Warn("failed to hand over before stopping", "error", failed)
		}
	}()
	for range 3 {
		if n.leadership.reigning() == nil || len(n.voters()) < 2 || ctx.Err() != nil {
			return
		}
		changes, cancel := n.WatchLeadership()
		err := n.TransferLeadership(ctx, "")
		if err == nil {
			failed = nil
			n.awaitSuccessor(ctx, changes)
			cancel()
			return
		}
		cancel()
		failed = err
	}
}

// snapshotAtStop spares the next start the entries since the last snapshot. What
// goes wrong costs nothing but that.
func (n *Node) snapshotAtStop(ctx context.Context) {
	since := n.deps.Machine.Applied()
	if newest := n.snapshots.newest.Load(); newest != nil {
		since -= min(since, newest.index)
	}
	if since < max(n.cfg.SnapshotThreshold/stopSnapshotShare, 1) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stopSnapshotLimit)
	defer cancel()
	n.guard.leaving.Store(true)
	done := make(chan error, 1)
	future := n.raft.Snapshot()
	go func() { done <- future.Error() }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		n.log.Warn("no snapshot was taken before stopping; the next start reads the log instead", "entries", since, "error", err)
	}
}

// awaitSuccessor waits until the new leader is heard: it may need this server
// for its first entry when a third one is down. Then it stays for a moment
// more, since the others may not have heard it yet: to them, the end of this
// server's connections would be the death of their leader.
func (n *Node) awaitSuccessor(ctx context.Context, changes <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Election)
	defer cancel()
	for {
		if at := n.Leadership(); at.LeaderID != "" && !at.Leader {
			break
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return
		}
	}
	select {
	case <-time.After(n.cfg.Timing.Stagger):
	case <-ctx.Done():
	}
}

// release gives back what Open took, in the opposite order. It may be called
// when only a part of it is there.
func (n *Node) release() error {
	n.cancel()
	var errs []error
	if n.transport != nil {
		errs = append(errs, n.transport.Close())
	}
	if n.layer != nil {
		errs = append(errs, n.layer.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	if n.dir != nil {
		errs = append(errs, n.dir.close())
	}
	return errors.Join(errs...)
}
