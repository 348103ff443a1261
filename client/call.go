package client

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// largeRequest is the size above which a request is not sent to a second server
// merely because the first one is slow, in bytes.
const largeRequest = 64 << 10

// patienceLarge is how much longer a server may be silent over a large request.
const patienceLarge = 40

// lastTry is the part of the time, one in so many, in which nothing new is tried
// once a server has said that there is no leader: servers wait for one nearly as
// long as their client does, and a try that is cut short only hides the reason
// and makes it unknown what became of the request.
const lastTry = 8

// attempt is one try at one endpoint.
type attempt[T any] func(ctx context.Context, stub services, options ...grpc.CallOption) (T, error)

// request describes a call to the part that makes it.
type request struct {
	// what is done, for the error message.
	what string
	// size of the message in bytes.
	size int
	// write is set when the call changes something, remembered when the servers
	// know it by its id: it may be repeated, and the try says that it is one.
	write, remembered bool
	// ambiguous is set by the first try that failed after the request may have
	// reached the leader.
	ambiguous atomic.Bool
}

// call makes a unary call, wherever it succeeds first.
func call[T any](ctx context.Context, c *Client, req *request, try attempt[T]) (T, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	failures := newFailures(req)
	deadline, _ := ctx.Deadline()
	enough := time.Until(deadline) / lastTry
	for round := 0; ; round++ {
		for range c.endpoints {
			index := int(c.preferred.Load())
			repeat := req.ambiguous.Load()
			result, err := hedged(ctx, c, index, req, failures, try)
			if err == nil {
				return result, nil
			}
			failures.add(c.endpoints[index].address, err)
			if req.remembered && !repeat && failures.overtaken(err) && ctx.Err() == nil {
				// It was asked for as the only try, and is not: its refusal decides when
				// the servers know that.
				continue
			}
			waitedInVain := argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_NO_LEADER && time.Until(deadline) < enough
			if !movesOn(err) || ctx.Err() != nil || waitedInVain {
				var zero T
				return zero, failures.verdict(ctx)
			}
			if !heed(ctx, err) {
				var zero T
				return zero, failures.verdict(ctx)
			}
			c.abandon(index)
		}
		if !pause(ctx, round) {
			var zero T
			return zero, failures.verdict(ctx)
		}
	}
}

// bounded gives a call a deadline that has none.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.config.Timeout)
}

// hedged tries one endpoint and, should it fall silent, the next ones beside it.
func hedged[T any](ctx context.Context, c *Client, first int, req *request, failures *failures, try attempt[T]) (T, error) {
	if len(c.endpoints) == 1 {
		return once(ctx, c, first, req, try)
	}
	patience := c.config.HedgeAfter
	if req.size > largeRequest {
		patience *= patienceLarge
	}
	race := &race[T]{client: c, request: req, failures: failures, try: try, patience: patience}
	race.ctx, race.cancel = context.WithCancel(ctx)
	defer race.end()
	race.arm(first, 1)
	result, err := once(race.ctx, c, first, req, try)
	if err == nil {
		return result, nil
	}
	if won := race.won.Load(); won != nil {
		return *won, nil
	}
	idle := race.alone()
	switch {
	case idle == nil:
	case movesOn(err):
		// The first broke while another is under way: that one is the next try.
		// It ends with the context, and says then whether it was sent.
		for ; idle != nil; idle = race.alone() {
			<-idle
		}
	case req.write:
		// Refused, while another server may have the same write carried out: what
		// came of that decides.
		race.settle(ctx, idle)
	}
	if won := race.won.Load(); won != nil {
		return *won, nil
	}
	return result, err
}

// once makes one try and remembers what it tells of the endpoint.
func once[T any](ctx context.Context, c *Client, index int, req *request, try attempt[T]) (T, error) {
	var reached peer.Peer
	result, err := try(ctx, c.endpoints[index].stub(), grpc.Peer(&reached))
	if err == nil {
		c.heard(index)
		c.prefer(index)
		return result, nil
	}
	e, spoken := argosyv1.AsError(err)
	if wasSent(err) {
		req.ambiguous.Store(true)
	}
	switch {
	case spoken:
		c.heard(index)
		switch e.Code() {
		case argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN, argosyv1.ErrorCode_ERROR_CODE_INTERNAL:
			req.ambiguous.Store(true)
		}
	case reached.Addr != nil && status.Code(err) != codes.Unimplemented:
		// There was a connection, and no answer came back on it.
		req.ambiguous.Store(true)
	}
	return result, err
}

// race is a call that is made at several endpoints at once.
type race[T any] struct {
	client   *Client
	request  *request
	failures *failures
	try      attempt[T]
	patience time.Duration
	ctx      context.Context
	cancel   context.CancelFunc
	won      atomic.Pointer[T]

	mu    sync.Mutex
	timer *time.Timer
	ended bool
	// running is the number of tries beside the first one, and idle is closed
	// when the last of them has ended.
	running int
	idle    chan struct{}
}

// arm asks the endpoint after the given one when that one stays silent.
func (r *race[T]) arm(index, asked int) {
	if asked >= len(r.client.endpoints) {
		return
	}
	armed := r.client.now()
	var check func()
	check = func() {
		last := max(armed, r.client.endpoints[index].heard.Load())
		if left := r.patience - time.Duration(r.client.now()-last); left > 0 {
			// It answers others: it is slow, not silent.
			r.schedule(left, check)
			return
		}
		r.mu.Lock()
		if r.ended {
			r.mu.Unlock()
			return
		}
		if r.running == 0 {
			r.idle = make(chan struct{})
		}
		r.running++
		r.mu.Unlock()
		go r.second((index+1)%len(r.client.endpoints), asked+1)
	}
	r.schedule(r.patience, check)
}

func (r *race[T]) schedule(after time.Duration, check func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.timer = time.AfterFunc(after, check)
	}
}

func (r *race[T]) second(index, asked int) {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.running--; r.running == 0 {
			close(r.idle)
		}
	}()
	r.arm(index, asked)
	result, err := once(r.ctx, r.client, index, r.request, r.try)
	switch {
	case err != nil:
		r.failures.add(r.client.endpoints[index].address, err)
	case r.won.CompareAndSwap(nil, &result):
		r.cancel()
	}
}

// alone returns what is closed when the tries beside the first have ended. When
// none is under way it returns nil, and none will be: the end of the first is the
// end of all.
func (r *race[T]) alone() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running > 0 {
		return r.idle
	}
	r.stop()
	return nil
}

// settle waits for what the tries beside the first come to, for a while; then it
// gives them up, and what was sent of them may be carried out or not.
func (r *race[T]) settle(ctx context.Context, idle <-chan struct{}) {
	r.halt()
	timer := time.NewTimer(r.patience)
	defer timer.Stop()
	select {
	case <-idle:
	case <-ctx.Done():
	case <-timer.C:
	}
	r.cancel()
	<-idle
}

// halt lets no further try begin.
func (r *race[T]) halt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop()
}

// stop is halt for whoever holds mu.
func (r *race[T]) stop() {
	r.ended = true
	if r.timer != nil {
		r.timer.Stop()
	}
}

func (r *race[T]) end() {
	r.halt()
	r.cancel()
}

// movesOn reports whether another try, at another server or later, may succeed
// where this one failed.
func movesOn(err error) bool {
	if e, ok := argosyv1.AsError(err); ok {
		switch e.Code() {
		case argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER,
			argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN, argosyv1.ErrorCode_ERROR_CODE_OVERLOADED,
			argosyv1.ErrorCode_ERROR_CODE_STOPPING, argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER,
			argosyv1.ErrorCode_ERROR_CODE_INTERNAL:
			return true
		default:
			return false
		}
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unknown, codes.Aborted, codes.Internal:
		return true
	default:
		return false
	}
}
