package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/planted"
)

// transport is Raft's network transport with what Raft does not offer:
//
//   - commands of our own can be put among the RPCs that come in (a campaign,
//     a resignation);
//   - a leader whose disk is stalled falls silent, so that the others find it;
//   - every connection is made to a server by its id;
//   - the leader learns how far its followers are, and when they last agreed.
//
// It embeds *raft.NetworkTransport so that every optional interface is kept:
// without RequestPreVote, Raft would switch pre-vote off in silence.
type transport struct {
	*raft.NetworkTransport

	rpcs       chan raft.RPC
	injections chan injection
	// passing is held while an RPC is looked at and handed over, so that nothing
	// happens in between that would change the verdict.
	passing  chan struct{}
	started  chan struct{}
	ctx      context.Context
	cancel   context.CancelFunc
	finished chan struct{}

	progress *progress
	routes   *routes
	healthy  func() <-chan struct{} // nil when healthy, else closed when healthy again
	voting   func(*raft.RequestVoteRequest)
	known    func(candidate []byte) []byte
	chosen   func()        // when the leader hands over to this server
	handing  gate          // of messages to a successor
	patience time.Duration // with one

	screen     func(raft.RPC) error
	installing func(*raft.InstallSnapshotRequest) (done func(installed bool), err error)
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

// maxAppendBytes bounds one AppendEntries by the data of its entries: Raft
// itself only counts them.
const maxAppendBytes = 8 << 20

// maxPool is how many idle connections to a server are kept.
const maxPool = 3

var (
	// errUnwanted is returned for an injection whose reason has gone.
	errUnwanted = errors.New("not wanted any more")
	// errStandIn is returned for a message with an entry that there is only a state
	// of.
	errStandIn = errors.New("there is only a state of an entry that is to be sent")
)

type injection struct {
	ctx     context.Context
	prepare func() []raft.WithRPCHeader
	done    chan error
}

type transportConfig struct {
	layer   *layer
	timeout time.Duration
	log     hclog.Logger
	routes  *routes
	healthy func() <-chan struct{}
	voting  func(*raft.RequestVoteRequest)
	// known gives the id by which Raft judges a candidate.
	known  func(candidate []byte) []byte
	chosen func()
	// patience is how long a successor may take to answer.
	patience time.Duration

	// screen is asked about every RPC before Raft gets it; an error refuses it.
	screen func(raft.RPC) error
	// installing is told of every snapshot before Raft gets it.
	installing func(*raft.InstallSnapshotRequest) (done func(installed bool), err error)
}

func newTransport(cfg transportConfig) *transport {
	ctx, cancel := context.WithCancel(context.Background())
	t := &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:  cfg.layer,
			MaxPool: maxPool,
			// No pipelining: with it, a follower that refused once can be
			// starved of entries for ever (hashicorp/raft issue 612).
			MaxRPCsInFlight:         1,
			Timeout:                 cfg.timeout,
			Logger:                  cfg.log,
			MsgpackUseNewTimeFormat: true,
		}),
		rpcs:       make(chan raft.RPC),
		injections: make(chan injection),
		passing:    make(chan struct{}, 1),
		started:    make(chan struct{}),
		ctx:        ctx,
		cancel:     cancel,
		finished:   make(chan struct{}),
		progress:   newProgress(),
		routes:     cfg.routes,
		healthy:    cfg.healthy,
		voting:     cfg.voting,
		known:      cfg.known,
		chosen:     cfg.chosen,
		patience:   cfg.patience,
		screen:     cfg.screen,
		installing: cfg.installing,
	}
	go t.forward()
	return t
}

// start lets RPCs through to Raft: what it was started from is whole.
func (t *transport) start() { close(t.started) }

// Consumer gives Raft the RPCs of the network and our own.
func (t *transport) Consumer() <-chan raft.RPC { return t.rpcs }

// Close stops the transport.
func (t *transport) Close() error {
	t.cancel()
	err := t.NetworkTransport.Close()
	<-t.finished
	return err
}

// forward is the only sender to Raft's main loop, so that what an injection is
// decided on cannot be overtaken by an RPC: all that came before it was handed
// over, all that comes after it waits.
func (t *transport) forward() {
	defer close(t.finished)
	select {
	case <-t.started:
	case <-t.ctx.Done():
		return
	}
	for {
		select {
		case rpc := <-t.NetworkTransport.Consumer():
			switch request := rpc.Command.(type) {
			case *raft.RequestVoteRequest:
				t.voting(request)
				request.ID = t.known(request.ID)
			case *raft.RequestPreVoteRequest:
				request.ID = t.known(request.ID)
			case *raft.TimeoutNowRequest:
				t.chosen()
			}
			if !t.hand(rpc) {
				return
			}
		case in := <-t.injections:
			in.done <- t.deliver(in)
		case <-t.ctx.Done():
			return
		}
	}
}

// hand gives an RPC of the network to Raft, unless it is refused. It returns
// false when the transport was closed.
func (t *transport) hand(rpc raft.RPC) bool {
	select {
	case t.passing <- struct{}{}:
		defer func() { <-t.passing }()
	case <-t.ctx.Done():
		return false
	}
	if err := t.screen(rpc); err != nil {
		rpc.Respond(nil, err)
		return true
	}
	request, ok := rpc.Command.(*raft.InstallSnapshotRequest)
	if !ok {
		select {
		case t.rpcs <- rpc:
			return true
		case <-t.ctx.Done():
			return false
		}
	}
	done, err := t.installing(request)
	if err != nil {
		rpc.Respond(nil, err)
		return true
	}
	// What comes after it is judged by whether it was installed. Raft's main
	// loop would let nothing through meanwhile either.
	answer := make(chan raft.RPCResponse, 1)
	watched := raft.RPC{Command: rpc.Command, Reader: rpc.Reader, RespChan: answer}
	select {
	case t.rpcs <- watched:
	case <-t.ctx.Done():
		return false
	}
	select {
	case response := <-answer:
		result, ok := response.Response.(*raft.InstallSnapshotResponse)
		done(response.Error == nil && ok && result.Success)
		rpc.RespChan <- response
		return true
	case <-t.ctx.Done():
		return false
	}
}

func (t *transport) deliver(in injection) error {
	commands := in.prepare()
	if len(commands) == 0 {
		return errUnwanted
	}
	for _, command := range commands {
		answer := make(chan raft.RPCResponse, 1)
		select {
		case t.rpcs <- raft.RPC{Command: command, RespChan: answer}:
		case <-in.ctx.Done():
			return context.Cause(in.ctx)
		case <-t.ctx.Done():
			return ErrStopped
		}
		select {
		case response := <-answer:
			if response.Error != nil {
				return response.Error
			}
		case <-in.ctx.Done():
			return context.Cause(in.ctx)
		case <-t.ctx.Done():
			return ErrStopped
		}
	}
	return nil
}

// inject hands the commands that prepare returns to Raft as if they had come
// over the network. prepare is called when all RPCs before them were handed
// over; when it returns none, nothing happens and the error is errUnwanted.
func (t *transport) inject(ctx context.Context, prepare func() []raft.WithRPCHeader) error {
	in := injection{ctx: ctx, prepare: prepare, done: make(chan error, 1)}
	select {
	case t.injections <- in:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.ctx.Done():
		return ErrStopped
	}
	select {
	case err := <-in.done:
		return err
	case <-t.ctx.Done():
		return ErrStopped
	}
}

// route names the server and the address to try.
func (t *transport) route(id raft.ServerID, address raft.ServerAddress) raft.ServerAddress {
	return target(id, t.routes.pick(id, address))
}

// AppendEntries sends heartbeats and entries, but not while this server's disk
// is stalled: Raft's heartbeats do not wait for the disk, and a leader that
// can commit nothing would keep the others from electing one that can.
func (t *transport) AppendEntries(id raft.ServerID, address raft.ServerAddress, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) error {
	if again := t.healthy(); again != nil && !planted.On(planted.DeafLeader) {
		select {
		case <-again:
		case <-t.ctx.Done():
			return fmt.Errorf("append entries: %w", raft.ErrTransportShutdown)
		}
	}
	// Raft reads back from the request how much was sent.
	request.Entries = trim(request.Entries, maxAppendBytes)
	// A leader that was deposed just now may have read one.
	if slices.ContainsFunc(request.Entries, func(e *raft.Log) bool { return e.Type == standIn }) {
		return fmt.Errorf("append entries: %w", errStandIn)
	}
	t.progress.tell(id, request)
	sent := time.Now()
	if err := t.NetworkTransport.AppendEntries(id, t.route(id, address), request, response); err != nil {
		return err
	}
	t.progress.note(id, sent, request, response)
	return nil
}

// trim returns the first entries whose data fit together, at least one.
func trim(entries []*raft.Log, limit int) []*raft.Log {
	size := 0
	for i, entry := range entries {
		size += len(entry.Data)
		if size > limit && i > 0 {
			return entries[:i]
		}
	}
	return entries
}

// AppendEntriesPipeline is not supported, see MaxRPCsInFlight.
func (t *transport) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// afresh repeats a call that met a connection from the pool whose other end has
// gone: the server there was restarted since. Raft would count that as a vote
// denied, in an election that cannot do without it.
func (t *transport) afresh(call func() error) error {
	for range maxPool {
		if err := call(); !isStale(err) {
			return err
		}
	}
	return call() // on a new connection
}

func isStale(err error) bool {
	if errors.Is(err, errDial) {
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// RequestVote asks a server for its vote. Asked twice, it gives the same answer.
func (t *transport) RequestVote(id raft.ServerID, address raft.ServerAddress, request *raft.RequestVoteRequest, response *raft.RequestVoteResponse) error {
	return t.afresh(func() error {
		return t.NetworkTransport.RequestVote(id, t.route(id, address), request, response)
	})
}

// RequestPreVote asks a server whether it would vote.
func (t *transport) RequestPreVote(id raft.ServerID, address raft.ServerAddress, request *raft.RequestPreVoteRequest, response *raft.RequestPreVoteResponse) error {
	return t.afresh(func() error {
		return t.NetworkTransport.RequestPreVote(id, t.route(id, address), request, response)
	})
}

// InstallSnapshot sends a snapshot.
func (t *transport) InstallSnapshot(id raft.ServerID, address raft.ServerAddress, request *raft.InstallSnapshotRequest, response *raft.InstallSnapshotResponse, data io.Reader) error {
	defer t.progress.install(id, request.Term)()
	return t.NetworkTransport.InstallSnapshot(id, t.route(id, address), request, response, data)
}

// TimeoutNow tells a server to campaign. It returns after the time of an election
// at the latest, though the message may still be on its way: Raft takes no
// proposals before it has returned.
func (t *transport) TimeoutNow(id raft.ServerID, address raft.ServerAddress, request *raft.TimeoutNowRequest, response *raft.TimeoutNowResponse) error {
	if !t.handing.enter() {
		return raft.ErrTransportShutdown
	}
	defer t.handing.leave()
	answer := new(raft.TimeoutNowResponse)
	sent := make(chan error, 1)
	go func() {
		sent <- t.afresh(func() error {
			return t.NetworkTransport.TimeoutNow(id, t.route(id, address), request, answer)
		})
	}()
	timer := time.NewTimer(t.patience)
	defer timer.Stop()
	select {
	case err := <-sent:
		*response = *answer
		return err
	case <-timer.C:
		return fmt.Errorf("hand over to server %s: it did not answer in %v", id, t.patience)
	}
}
