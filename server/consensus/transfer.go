package consensus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/raft"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// TransferLeadership hands leadership to a server, or to the one that is
// furthest when id is empty. Proposals are refused meanwhile. When it fails it
// returns once proposals are taken again, or after it has made this server step
// down.
//
// Raft refuses proposals until its message to the successor has returned, however
// long that takes, and also in a leadership that begins meanwhile. So the message
// is given no more time than an election (transport), the gate stays shut until
// Raft takes proposals again, and a leader of which Raft does not do so steps
// down.
func (n *Node) TransferLeadership(ctx context.Context, id string) error {
	r := n.leadership.reigning()
	if r == nil {
		return fmt.Errorf("transfer leadership: %w", ErrNotLeader)
	}
	if id == n.ID() {
		return nil
	}
	if n.restoring() {
		return fmt.Errorf("transfer leadership: %w", ErrRestoring)
	}
	to, err := n.awaitHeir(ctx, r.term, id)
	if err != nil {
		return fmt.Errorf("transfer leadership: %w", err)
	}
	n.gate.close()
	defer n.gate.open()
	if err := n.gate.drained(ctx); err != nil {
		return fmt.Errorf("transfer leadership to server %s: wait for proposals: %w", to.ID, err)
	}
	if err := n.awaitMatch(ctx, r.term, to.ID); err != nil {
		return fmt.Errorf("transfer leadership: %w", err)
	}
	n.handing.Store(&handing{r.term, to.ID})
	defer n.handing.Store(nil)
	done := make(chan error, 1)
	future := n.raft.LeadershipTransferToServer(to.ID, to.Address)
	go func() { done <- future.Error() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	n.settleTransfer(r, err == nil)
	if err != nil {
		return fmt.Errorf("transfer leadership to server %s: %w", to.ID, err)
	}
	n.endings.note(r.term, argosyv1.LeadershipEnd_LEADERSHIP_END_TRANSFERRED, "it handed over to server %s", to.ID)
	n.log.Info("transferred leadership", "to", to.ID, "term", r.term)
	return nil
}

// awaitHeir gives a successor the time of an election to be heard: one that was
// only slow for a moment would be passed over.
func (n *Node) awaitHeir(ctx context.Context, term uint64, id string) (raft.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Election)
	defer cancel()
	for {
		heard := n.transport.progress.wait()
		to, err := n.successor(term, id)
		if err == nil {
			return to, nil
		}
		select {
		case <-heard:
		case <-ctx.Done():
			return to, err
		}
	}
}

// awaitMatch gives a successor the time of an election to have the whole log.
// Raft would wait for that itself, in a way that does not end when two transfers
// come while one message to the successor hangs: it refuses everything ever after
// (hashicorp/raft #696).
func (n *Node) awaitMatch(ctx context.Context, term uint64, id raft.ServerID) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Election)
	defer cancel()
	for {
		heard := n.transport.progress.wait()
		peer, ok := n.transport.progress.of(id, term)
		last := n.raft.LastIndex()
		if ok && peer.match >= last {
			return nil
		}
		select {
		case <-heard:
		case <-ctx.Done():
			return fmt.Errorf("%w: server %s has the log up to entry %d of %d: try again when it has caught up", ErrBehind, id, peer.match, last)
		}
	}
}

// handing is a transfer that is under way.
type handing struct {
	term uint64
	to   raft.ServerID
}

// settleTransfer waits until Raft takes proposals again after a transfer, and
// steps down when it does not.
func (n *Node) settleTransfer(r *reign, done bool) {
	ctx, cancel := context.WithTimeout(n.ctx, 2*n.cfg.Timing.Election+n.cfg.Timing.Heartbeat)
	defer cancel()
	// Raft's message to the successor holds everything up. When it has returned,
	// only a leader has to be asked.
	if err := n.transport.handing.drained(ctx); err == nil && done {
		return
	}
	for n.transferHangs(r) {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			if n.ctx.Err() == nil {
				n.own(argosyv1.LeadershipEnd_LEADERSHIP_END_TRANSFERRED, "a transfer of leadership did not end")
				n.stepDown("a transfer of leadership does not end", func() bool { return n.leadership.reigning() == r })
			}
			return
		}
	}
}

// transferHangs tells whether Raft refuses everything because of a transfer. It
// is asked for a change of the configuration that cannot be, since it is bound to
// one that will never exist.
func (n *Node) transferHangs(r *reign) bool {
	if n.leadership.reigning() != r {
		return false
	}
	err := n.raft.AddNonvoter(n.id(), raft.ServerAddress(n.Address()), math.MaxUint64, n.cfg.Timing.Election).Error()
	return errors.Is(err, raft.ErrLeadershipTransferInProgress) || errors.Is(err, raft.ErrEnqueueTimeout)
}

// stepDown makes this server a follower, if that is still wanted when everything
// that came in before was handed to Raft.
func (n *Node) stepDown(why string, wanted func() bool) {
	n.log.Warn("stepping down: " + why)
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.Timing.Election)
	defer cancel()
	err := n.transport.inject(ctx, func() []raft.WithRPCHeader {
		if n.raft.State() != raft.Leader || !wanted() {
			return nil
		}
		return []raft.WithRPCHeader{n.resignation(n.raft.CurrentTerm())}
	})
	if err != nil && !errors.Is(err, errUnwanted) {
		n.log.Warn("failed to step down", "error", err)
	}
}

// successor finds the voter to hand over to. Raft itself would also choose one
// that is dead.
func (n *Node) successor(term uint64, id string) (raft.Server, error) {
	var best raft.Server
	var furthest peerProgress
	for _, s := range n.configuration().Servers {
		if s.ID == n.id() || s.Suffrage != raft.Voter || id != "" && string(s.ID) != id {
			continue
		}
		peer, ok := n.transport.progress.of(s.ID, term)
		if !ok || time.Since(peer.confirmed) > n.cfg.Timing.Heartbeat {
			if id != "" {
				return best, fmt.Errorf("%w: server %s does not answer", ErrUnknownServer, id)
			}
			continue
		}
		if best.ID == "" || peer.match > furthest.match {
			best, furthest = s, peer
		}
	}
	if best.ID == "" {
		return best, fmt.Errorf("%w to hand over to", ErrUnknownServer)
	}
	return best, nil
}
