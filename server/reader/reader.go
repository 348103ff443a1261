// Package reader makes reads linearizable on any replica. It protects one
// invariant: when Await returns, this replica's state contains everything that
// was acknowledged anywhere before Await was called; and it contains everything
// that was acknowledged longer ago than Age says.
//
// The leader is asked for a read index, which it confirms with a majority; then
// the reader waits until the state machine has applied that index and the mirror
// of observed state has reached the leader's position. All reads that wait share
// one question: a question is under way, the next one serves all that came in
// the meantime.
package reader

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/route"
)

// Index is what a replica must have reached to answer.
type Index struct {
	// Revision is that of the state machine.
	Revision uint64
	// Term is the leader's.
	Term uint64
	// Observation is the position in the leader's stream of observations.
	Observation uint64
}

// Source gives read indexes: the local Raft node when it leads, or the leader
// over the network. Each index was confirmed by a majority after it was asked
// for.
type Source interface {
	ReadIndex(context.Context) (Index, error)
}

// Applied waits for the local state machine.
type Applied interface {
	// Applied returns the revision that it has reached.
	Applied() uint64
	WaitApplied(ctx context.Context, revision uint64) error
}

// Observed waits for the local mirror of observed state.
type Observed interface {
	// Reached tells whether it has reached a position.
	Reached(term, sequence uint64) bool
	WaitPosition(ctx context.Context, term, sequence uint64) error
}

// Config says how long reads wait.
type Config struct {
	// DefaultTimeout is how long a read waits when its client set no deadline.
	// Default 10 s.
	DefaultTimeout time.Duration
	// RetryMin and RetryMax bound the pause before a leader that just refused is
	// asked again, doubling in between. Default 1 ms and 50 ms. A change of leader
	// ends the pause.
	RetryMin, RetryMax time.Duration
	// MaxWaiting is how many reads may wait; further ones are refused as
	// OVERLOADED. Default 16,384.
	MaxWaiting int
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{DefaultTimeout: 10 * time.Second, RetryMin: time.Millisecond, RetryMax: 50 * time.Millisecond, MaxWaiting: 16_384}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.DefaultTimeout <= 0 || c.RetryMin <= 0 || c.RetryMax < c.RetryMin {
		return errors.New("DefaultTimeout and RetryMin must be positive, and RetryMax not below RetryMin")
	}
	if c.MaxWaiting <= 0 {
		return errors.New("MaxWaiting must be positive")
	}
	return nil
}

// Deps are what a Reader works with.
type Deps struct {
	Applied  Applied
	Observed Observed
	// Absence tells why there is no leader and whether waiting is of no use.
	Absence func() (reason string, hopeless bool)
	// Meter counts the questions to the leader. May be nil.
	Meter Meter
}

// Meter counts what a reader does. It must not block.
type Meter interface {
	// Confirmed is called with the reads that shared a question, and how long its
	// answer took.
	Confirmed(reads int, took time.Duration)
}

// Reader lets reads wait until this replica may answer them.
type Reader struct {
	cfg  Config
	deps Deps
	way  route.Switch[Source]
	wake chan struct{}
	// waiting is how many reads wait.
	waiting atomic.Int64

	fresh freshness

	mu   sync.Mutex
	next *round
	// timers are kept: one is needed for each read and hardly ever fires.
	timers sync.Pool
}

// round is one question that many reads wait for.
type round struct {
	done  chan struct{}
	index Index
	// reads is how many share it; only changed while it is the next.
	reads int
}

// New makes a Reader with no source; Run must be running for it to answer.
func New(deps Deps, cfg Config) (*Reader, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure reader: %w", err)
	}
	return &Reader{cfg: cfg, deps: deps, wake: make(chan struct{}, 1)}, nil
}

// Open asks a source from now on.
func (r *Reader) Open(s Source) { r.way.Set(s) }

// Close lets reads wait.
func (r *Reader) Close() { r.way.Close() }

// Run asks for the reads that wait until the context ends.
func (r *Reader) Run(ctx context.Context) error {
	// The question under way ends with the way it took.
	stop := context.AfterFunc(ctx, r.way.Close)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.wake:
		}
		r.mu.Lock()
		current := r.next
		r.next = nil
		r.mu.Unlock()
		if current == nil {
			continue
		}
		began := time.Now()
		index, asked, err := r.ask(ctx)
		if err != nil {
			// Whoever waits ends with its own context.
			return err
		}
		r.fresh.answered(moment{asked, index})
		if r.deps.Meter != nil && current.reads > 0 {
			r.deps.Meter.Confirmed(current.reads, time.Since(began))
		}
		current.index = index
		close(current.done)
	}
}

// ask asks until there is an answer or the context ends. It also returns when the
// question was asked that was answered.
func (r *Reader) ask(ctx context.Context) (Index, time.Time, error) {
	pause := r.cfg.RetryMin
	for {
		way := r.way.Now()
		var retry <-chan time.Time
		if way.Open {
			asked := time.Now()
			index, err := way.To.ReadIndex(way.Context())
			if err == nil {
				return index, asked, nil
			}
			retry = time.After(pause)
			pause = min(2*pause, r.cfg.RetryMax)
		}
		select {
		case <-ctx.Done():
			return Index{}, time.Time{}, context.Cause(ctx)
		case <-way.Gone():
			pause = r.cfg.RetryMin
		case <-retry:
		}
	}
}

// Await returns when this replica may answer a linearizable read. The error is
// an API error.
func (r *Reader) Await(ctx context.Context) error {
	defer r.waiting.Add(-1)
	if r.waiting.Add(1) > int64(r.cfg.MaxWaiting) {
		err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED,
			"read: %d reads wait for the leader already; try again after %s, or ask for a stale read", r.cfg.MaxWaiting, retryAfter)
		err.Detail.RetryAfterMs = uint64(retryAfter.Milliseconds())
		return err
	}
	if planted.On(planted.LeftBehind) {
		// It goes on waiting when the read has its answer.
		forever := context.WithoutCancel(ctx)
		go func() { _ = r.deps.Applied.WaitApplied(forever, math.MaxUint64) }()
	}
	deadline := time.Now().Add(r.patience(ctx))
	current := r.join()
	if err := r.awaitRound(ctx, current, deadline); err != nil {
		if planted.On(planted.OwnAuthority) {
			return nil
		}
		return err
	}
	index := current.index
	if r.reached(index) {
		return nil
	}
	if planted.On(planted.StaleRead) {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := r.deps.Applied.WaitApplied(ctx, index.Revision); err != nil {
		return r.giveUp(fmt.Sprintf("this server is behind: it has not applied revision %d yet (%v)", index.Revision, err))
	}
	if err := r.deps.Observed.WaitPosition(ctx, index.Term, index.Observation); err != nil {
		return r.giveUp(fmt.Sprintf("this server is behind: it has not mirrored the leader's observations yet (%v)", err))
	}
	return nil
}

// Waiting returns how many reads wait until they may be answered.
func (r *Reader) Waiting() int { return int(r.waiting.Load()) }

// retryAfter is when a read that was refused is worth another try.
const retryAfter = 100 * time.Millisecond

// join joins the next question.
func (r *Reader) join() *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.upcoming()
	next.reads++
	return next
}

// upcoming is the next question; r.mu is held.
func (r *Reader) upcoming() *round {
	if r.next == nil {
		r.next = &round{done: make(chan struct{})}
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
	return r.next
}

// how often it is looked whether waiting has become hopeless.
const absenceInterval = 250 * time.Millisecond

func (r *Reader) awaitRound(ctx context.Context, current *round, deadline time.Time) error {
	timer := r.timer(min(absenceInterval, time.Until(deadline)))
	defer r.release(timer)
	for {
		select {
		case <-current.done:
			return nil
		case <-ctx.Done():
			return r.giveUp("")
		case <-timer.C:
		}
		left := time.Until(deadline)
		if reason, hopeless := r.deps.Absence(); hopeless {
			return r.giveUp(reason)
		}
		if left <= 0 {
			return r.giveUp("")
		}
		timer.Reset(min(absenceInterval, left))
	}
}

func (r *Reader) timer(d time.Duration) *time.Timer {
	if t, ok := r.timers.Get().(*time.Timer); ok {
		t.Reset(d)
		return t
	}
	return time.NewTimer(d)
}

func (r *Reader) release(t *time.Timer) {
	t.Stop()
	r.timers.Put(t)
}

func (r *Reader) giveUp(reason string) error {
	if reason == "" {
		reason, _ = r.deps.Absence()
	}
	if reason == "" {
		reason = "the leader did not confirm in time that it still leads"
	}
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "read: %s; try again, or ask for a stale read", reason)
}

// patience is how long a read may wait: a little less than its client does, so
// that the client gets the reason and not just the end of its own patience.
func (r *Reader) patience(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return r.cfg.DefaultTimeout
	}
	left := time.Until(deadline)
	return max(left-min(left/10, 100*time.Millisecond), 0)
}
