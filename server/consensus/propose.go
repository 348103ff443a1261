package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// enqueueLimit is how long a proposal may wait to be taken in by Raft. It only
// waits when Raft's main loop hangs and 512 others wait already.
const enqueueLimit = time.Second

// Proposal is an entry on its way.
type Proposal struct {
	done     chan struct{}
	index    uint64
	response any
	err      error
}

func refused(err error) *Proposal {
	p := &Proposal{done: make(chan struct{}), err: err}
	close(p.done)
	return p
}

// Done is closed when the outcome is known.
func (p *Proposal) Done() <-chan struct{} { return p.done }

// Wait waits for the outcome: the index of the entry and what the machine
// answered. An error wraps ErrNotLeader when the entry was certainly not and
// will never be carried out, and ErrFateUnknown in every other case.
func (p *Proposal) Wait(ctx context.Context) (index uint64, response any, err error) {
	select {
	case <-p.done:
		return p.index, p.response, p.err
	default:
	}
	select {
	case <-p.done:
		return p.index, p.response, p.err
	case <-ctx.Done():
		return 0, nil, fmt.Errorf("propose entry: %w: %w", ErrFateUnknown, context.Cause(ctx))
	}
}

// Propose appends an entry to the log in the current leadership. Proposals are
// appended in the order of the calls. The node keeps the data: it must not be
// changed afterwards.
func (n *Node) Propose(data []byte) *Proposal {
	r := n.leadership.reigning()
	if r == nil {
		return refused(fmt.Errorf("propose entry: %w", ErrNotLeader))
	}
	return n.ProposeIn(r.term, data)
}

// ProposeIn is Propose for a caller that belongs to the leadership of one
// term: in any other the entry is refused, even when the server lost and won
// leadership again while the proposal was on its way.
func (n *Node) ProposeIn(term uint64, data []byte) *Proposal {
	r := n.leadership.reigning()
	if r == nil || r.term != term {
		return refused(fmt.Errorf("propose entry for term %d: %w", term, ErrNotLeader))
	}
	if !n.gate.enter() {
		return refused(fmt.Errorf("propose entry: %w: it is handing leadership over", ErrNotLeader))
	}
	future := n.raft.ApplyLog(raft.Log{Data: data, Extensions: stamp(term)}, enqueueLimit)
	p := &Proposal{done: make(chan struct{})}
	go func() {
		defer n.gate.leave()
		defer close(p.done)
		if err := future.Error(); err != nil {
			p.err = fmt.Errorf("propose entry: %w: %w", fate(err), err)
			return
		}
		p.index, p.response = future.Index(), future.Response()
		if _, ok := p.response.(overtaken); ok {
			p.response = nil
			p.err = fmt.Errorf("propose entry for term %d: %w: it was appended in a later one", term, ErrNotLeader)
		}
	}()
	return p
}

// fate tells what an error of Raft says about the entry. Raft shutting down is
// no certainty: the entry may be committed already.
func fate(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader),
		errors.Is(err, raft.ErrEnqueueTimeout),
		errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return ErrNotLeader
	default:
		return ErrFateUnknown
	}
}
