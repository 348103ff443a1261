package forward

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/writer"
)

// A stream may have so many writes under way, or answers that its client does
// not take, and so many bytes of them. One that has more is not read from, so
// that its client waits, by the flow control of the stream.
const (
	maxCalls     = 4096
	maxCallBytes = 64 << 20
)

// sweepInterval is how often it is looked whether a write that was handed on is
// still waited for.
const sweepInterval = 20 * time.Millisecond

// maxTimeout bounds how long a client may wait, in milliseconds: a day.
const maxTimeout = 24 * 60 * 60 * 1000

// farewell is how long a server that stops goes on with what a stream has under
// way.
const farewell = 500 * time.Millisecond

// Check refuses a write that must go no further. It does not wait: wait, if it is
// not nil, does, and tells whether the write may go on.
type Check func(Write) (wait func(context.Context) error, err error)

type callStream = grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]

// Serve carries out the writes of one client's stream until it ends. They mean
// the same as so many calls of Do, but no goroutine and no timer waits for each:
// only a write that its target hands back gets a goroutine, that tries again, and
// one that has to wait for leave. Those that check refuses go no further.
func (r *Router) Serve(stream callStream, principal string, check Check, header func() *argosyv1.ResponseHeader) error {
	// The context of a stream ends when the server stops, and what is under way
	// then shall end well.
	ctx, cancel := context.WithCancel(context.WithoutCancel(stream.Context()))
	c := &calls{
		router:    r,
		principal: principal,
		check:     check,
		header:    header,
		ctx:       ctx,
		cancel:    cancel,
		out:       newAnswers[argosyv1.NumberedResult](),
		live:      map[*oneCall]struct{}{},
		room:      make(chan struct{}, 1),
	}
	defer c.end()
	complete := make(chan struct{})
	var broken error
	go func() {
		if err := c.receive(stream); errors.Is(err, io.EOF) {
			close(complete)
		} else {
			broken = err
			cancel()
		}
	}()
	err := c.send(stream, complete)
	if ctx.Err() != nil {
		return broken
	}
	// Returning ends the stream, and with it the receiver.
	return err
}

// calls are the writes of one stream.
type calls struct {
	router    *Router
	principal string
	check     Check
	header    func() *argosyv1.ResponseHeader
	// ctx ends with the stream.
	ctx     context.Context
	cancel  context.CancelFunc
	out     *answers[argosyv1.NumberedResult]
	retries sync.WaitGroup

	mu sync.Mutex
	// live are those that are not answered, and bytes about how large they are.
	live  map[*oneCall]struct{}
	bytes int
	// room holds a token when there may be room for more.
	room  chan struct{}
	sweep *time.Timer
	// leaving is set when the server stops, and closed when the stream has ended.
	leaving, closed bool
}

// oneCall is one write.
type oneCall struct {
	calls    *calls
	sequence uint64
	write    Write
	deadline time.Time
	request  writer.Request
	size     int
	// wait is what it waits for before it goes on; nil for nothing.
	wait func(context.Context) error
	// claimed is set when somebody else than its target cares for it: who tries it
	// again, or who answers that its time is over. Guarded by calls.mu.
	claimed bool
}

func (c *calls) receive(stream callStream) error {
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		c.begin(message.GetWrites())
		if err := c.awaitRoom(); err != nil {
			return err
		}
	}
}

// begin hands writes on.
func (c *calls) begin(writes []*argosyv1.NumberedWrite) {
	now := time.Now()
	way := c.router.way.Now()
	begun := make([]*oneCall, 0, len(writes))
	for _, w := range writes {
		one := &oneCall{
			calls:    c,
			sequence: w.GetSequence(),
			write:    Write{Principal: c.principal, Apply: w.GetApply(), Delete: w.GetDelete()},
			deadline: now.Add(c.router.cfg.DefaultTimeout),
		}
		if timeout := w.GetTimeoutMs(); timeout > 0 {
			one.deadline = now.Add(patienceFor(time.Duration(min(timeout, maxTimeout)) * time.Millisecond))
		}
		if one.write.Apply == nil && one.write.Delete == nil {
			c.out.add(numbered(one.sequence, writer.Outcome{}, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
				"write: this server does not know this kind of write; upgrade it")))
			continue
		}
		var err error
		if one.wait, err = c.check(one.write); err != nil {
			c.router.refused(err)
			c.out.add(numbered(one.sequence, writer.Outcome{}, err))
			continue
		}
		one.request = writer.Request{
			Principal: c.principal, Apply: one.write.Apply, Delete: one.write.Delete,
			Deadline: one.deadline, Done: one.done,
		}
		one.size = sizeOf(one.write)
		begun = append(begun, one)
	}
	if !c.admit(begun, !way.Open) {
		for _, one := range begun {
			c.out.add(numbered(one.sequence, writer.Outcome{}, errStopping))
		}
		return
	}
	if !way.Open {
		return
	}
	requests := make([]*writer.Request, 0, len(begun))
	for _, one := range begun {
		if one.wait == nil {
			requests = append(requests, &one.request)
		}
	}
	submitAll(way.To, requests)
}

// sizeOf is about how much memory a write takes.
func sizeOf(w Write) int {
	const each = 64
	if w.Apply != nil {
		return each*(1+len(w.Apply.GetWorkloads())+len(w.Apply.GetConfigs())) + proto.Size(w.Apply)
	}
	return each*(1+len(w.Delete.GetNames())+len(w.Delete.GetConfigs())) + proto.Size(w.Delete)
}

// admit enters writes; false when the server stops. With retry set there is no
// way for them yet, and each waits for one. So do those that have to wait for
// something else.
func (c *calls) admit(begun []*oneCall, retry bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving || c.closed {
		return false
	}
	c.router.waiting.Add(int64(len(begun)))
	for _, one := range begun {
		c.live[one] = struct{}{}
		c.bytes += one.size
		if retry || one.wait != nil {
			c.retry(one, nil, false)
		}
	}
	if c.sweep == nil && len(c.live) > 0 {
		c.sweep = time.AfterFunc(sweepInterval, c.sweepExpired)
	}
	return true
}

// retry gives a write to a goroutine of its own. c.mu is held.
func (c *calls) retry(one *oneCall, last error, uncertain bool) {
	one.claimed = true
	c.retries.Go(func() {
		if one.wait != nil {
			if err := c.await(one); err != nil {
				c.answer(one, writer.Outcome{}, err)
				return
			}
		}
		o, err := c.router.carry(c.ctx, one.write, one.deadline, last, uncertain)
		c.answer(one, o, err)
	})
}

// await waits for what a write has to wait for.
func (c *calls) await(one *oneCall) error {
	ctx, cancel := context.WithDeadline(c.ctx, one.deadline)
	defer cancel()
	return one.wait(ctx)
}

// done takes the outcome of a write from its target.
func (one *oneCall) done(o writer.Outcome) {
	c := one.calls
	v := verdictOf(o)
	if v == answered {
		c.answer(one, o, o.Err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, live := c.live[one]; live && !c.closed && !one.claimed {
		c.retry(one, o.Err, v == unknown && !one.write.dry())
	}
}

// answer sends what became of a write, unless somebody was faster.
func (c *calls) answer(one *oneCall, o writer.Outcome, err error) {
	result := numbered(one.sequence, o, err)
	c.mu.Lock()
	_, live := c.live[one]
	if live {
		delete(c.live, one)
		c.bytes -= one.size
		c.router.waiting.Add(-1)
		c.out.add(result)
	}
	c.mu.Unlock()
	if live && err != nil {
		c.router.refused(err)
	}
}

// roomMade lets the receiver look whether it may go on.
func (c *calls) roomMade() {
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// sweepExpired answers those whose target did not in time.
func (c *calls) sweepExpired() {
	now := time.Now()
	var expired []*oneCall
	c.mu.Lock()
	for one := range c.live {
		if !one.claimed && now.After(one.deadline) {
			// Should its target hand it back just now: it is not tried again.
			one.claimed = true
			expired = append(expired, one)
		}
	}
	if c.sweep = nil; len(c.live) > len(expired) && !c.closed {
		c.sweep = time.AfterFunc(sweepInterval, c.sweepExpired)
	}
	c.mu.Unlock()
	for _, one := range expired {
		certain := one.request.Withdraw()
		c.answer(one, writer.Outcome{}, c.router.giveUp(errDeadline, nil, !certain && !one.write.dry()))
	}
}

// awaitRoom waits until there may be more under way.
func (c *calls) awaitRoom() error {
	for {
		c.mu.Lock()
		full := len(c.live)+c.out.waiting() >= maxCalls || c.bytes >= maxCallBytes
		c.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-c.room:
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
}

// send sends answers until the stream ends. When the client has sent all it
// has, or the server stops, what is under way is answered first.
func (c *calls) send(stream callStream, complete <-chan struct{}) error {
	stopping := stream.Context().Done()
	var last error
	var leaving bool
	var patience <-chan time.Time
	sent := c.header()
	message := &argosyv1.WriteResponses{Header: sent}
	for {
		if err := stream.Send(message); err != nil {
			return err
		}
		c.roomMade()
		var results []*argosyv1.NumberedResult
		for len(results) == 0 {
			// Idle first: what is not live any more is in the answers by then.
			idle := leaving && c.idle()
			if results = c.out.take(); idle && len(results) == 0 {
				return last
			}
			if len(results) > 0 {
				break
			}
			select {
			case <-c.ctx.Done():
				return c.ctx.Err()
			case <-complete:
				complete, leaving = nil, true
			case <-stopping:
				stopping, leaving, last = nil, true, errStopping
				c.leave()
				timer := time.NewTimer(farewell)
				defer timer.Stop()
				patience = timer.C
			case <-patience:
				return last
			case <-c.out.ready:
				// The writer answers a whole batch in a row: let it.
				runtime.Gosched()
			}
		}
		message = &argosyv1.WriteResponses{Results: results}
		if now := c.header(); now.GetLeaderId() != sent.GetLeaderId() || now.GetTerm() != sent.GetTerm() {
			sent, message.Header = now, now
		}
	}
}

var errStopping = argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_STOPPING, "write: the server is stopping; go on at another one")

func (c *calls) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.live) == 0
}

// leave lets no more writes in.
func (c *calls) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
}

// end forgets what is under way; its targets answer it to nobody.
func (c *calls) end() {
	c.cancel()
	c.mu.Lock()
	c.closed = true
	if c.sweep != nil {
		c.sweep.Stop()
	}
	c.mu.Unlock()
	c.retries.Wait()
	c.mu.Lock()
	c.router.waiting.Add(-int64(len(c.live)))
	clear(c.live)
	c.mu.Unlock()
	c.out.close()
}

func numbered(sequence uint64, o writer.Outcome, err error) *argosyv1.NumberedResult {
	if err == nil {
		return &argosyv1.NumberedResult{Sequence: sequence, Revision: o.Revision, Result: o.Result, Replayed: o.Replayed}
	}
	var e *argosyv1.Error
	if !errors.As(err, &e) {
		return &argosyv1.NumberedResult{Sequence: sequence, Error: &argosyv1.ErrorDetail{Code: argosyv1.ErrorCode_ERROR_CODE_INTERNAL}, Message: err.Error()}
	}
	return &argosyv1.NumberedResult{Sequence: sequence, Error: e.Detail, Message: e.Message}
}
