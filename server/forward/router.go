// Package forward brings writes to the leader: from the API of any replica to
// the writer of this server when it leads, or over one stream to the server
// that does, at most one hop.
//
// It protects one invariant: a write is given to another leader, or again to the
// same one, only under the request id it came with. The state machine remembers
// ids, so whatever breaks on the way, the write happens at most once; and what
// certainly did not happen is never reported as unknown, nor the other way round.
//
// What certainly did not happen is a matter of all copies of a write. A leader
// that refuses one has judged that one only: another copy, whose fate nobody
// knows, may still be on its way to it or to another one, and pass by the state
// that it meets there. So a second copy says that it is one, and its refusal is
// the end only when the leader has recorded it for all of them.
package forward

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/route"
	"github.com/argosy-cluster/argosy/server/writer"
)

// Target is something that carries out writes: the local writer or a stream to
// the leader. It answers every request, ErrNotDone or ErrFateUnknown (both of
// package writer) when it ends; whoever opens another way ends it.
type Target interface {
	Submit(*writer.Request)
}

// bulk is a Target that takes many requests at once for less.
type bulk interface {
	SubmitAll([]*writer.Request)
}

func submitAll(to Target, requests []*writer.Request) {
	if to, ok := to.(bulk); ok {
		to.SubmitAll(requests)
		return
	}
	for _, r := range requests {
		to.Submit(r)
	}
}

// Config says how long writes wait.
type Config struct {
	// DefaultTimeout is how long a write waits when its client set no deadline.
	// Default 10 s.
	DefaultTimeout time.Duration
	// RetryMin and RetryMax bound the pause before a write is offered again to a
	// leader that just refused it, doubling in between. Default 1 ms and 50 ms. A
	// change of leader ends the pause.
	RetryMin, RetryMax time.Duration
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{DefaultTimeout: 10 * time.Second, RetryMin: time.Millisecond, RetryMax: 50 * time.Millisecond}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.DefaultTimeout <= 0 || c.RetryMin <= 0 || c.RetryMax < c.RetryMin {
		return errors.New("DefaultTimeout and RetryMin must be positive, and RetryMax not below RetryMin")
	}
	return nil
}

// Absence tells why there is no leader, for people, and whether waiting is of
// no use because too few servers are left.
type Absence func() (reason string, hopeless bool)

// Router carries out writes by whatever way is open, and waits for one while
// there is none.
type Router struct {
	cfg     Config
	absence Absence
	way     route.Switch[Target]
	// timers are kept: one is needed for each write and hardly ever fires.
	timers sync.Pool
	// waiting is how many writes have no answer yet.
	waiting atomic.Int64
	refused func(error)
}

// NewRouter makes a Router with no way open.
func NewRouter(cfg Config, absence Absence) (*Router, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Router{cfg: cfg, absence: absence, refused: func(error) {}}, nil
}

// Open sends writes to a target from now on. The one before must be ended after
// that: what it answers as not done, or of unknown fate, is given to this one.
func (r *Router) Open(t Target) { r.way.Set(t) }

// Close lets writes wait.
func (r *Router) Close() { r.way.Close() }

// TellRefused has a function told of each write that failed, with the error that
// its user gets. It must not block, and be set before the first write.
func (r *Router) TellRefused(told func(error)) { r.refused = told }

// Waiting returns how many writes have no answer yet.
func (r *Router) Waiting() int { return int(r.waiting.Load()) }

// Write is one write of a user; exactly one of Apply, Delete and Remove is set. The
// messages must not be changed after it was handed over.
type Write struct {
	Principal string
	Apply     *argosyv1.ApplyRequest
	Delete    *argosyv1.DeleteRequest
	Remove    *argosyv1.RemoveAgentRequest
}

// dry tells whether the write is only to be judged: its fate is never in doubt.
func (w Write) dry() bool { return w.Apply.GetDryRun() || w.Delete.GetDryRun() }

// how often it is looked whether waiting has become hopeless.
const absenceInterval = 250 * time.Millisecond

// Do carries out a write within the deadline of the context. The error is an API
// error.
func (r *Router) Do(ctx context.Context, w Write) (writer.Outcome, error) {
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	deadline := time.Now().Add(r.patience(ctx))
	o, err := r.carry(ctx, w, deadline, nil, false)
	if err != nil {
		r.refused(err)
	}
	return o, err
}

// carry carries out a write until a deadline. When it was tried before, last is
// how that ended, and uncertain whether it may have been done.
func (r *Router) carry(ctx context.Context, w Write, deadline time.Time, last error, uncertain bool) (writer.Outcome, error) {
	timer := r.timer(time.Until(deadline))
	defer r.release(timer)

	pause := r.cfg.RetryMin
	for {
		way := r.way.Now()
		if !way.Open {
			err := r.await(ctx, way, timer)
			if err != nil {
				return writer.Outcome{}, r.giveUp(err, last, uncertain)
			}
			continue
		}
		o, verdict := r.attempt(way.To, w, uncertain, deadline, timer)
		switch verdict {
		case answered:
			if uncertain && !conclusive(o.Err) {
				return writer.Outcome{}, r.overtaken(o.Err)
			}
			return o, o.Err
		case expired:
			return writer.Outcome{}, r.giveUp(errDeadline, last, uncertain)
		case expiredInFlight:
			return writer.Outcome{}, r.giveUp(errDeadline, last, !w.dry())
		case unknown:
			uncertain = !w.dry()
		}
		last = o.Err
		select {
		case <-way.Gone():
		case <-timer.C:
			return writer.Outcome{}, r.giveUp(errDeadline, last, uncertain)
		case <-ctx.Done():
			return writer.Outcome{}, r.giveUp(errDeadline, last, uncertain)
		case <-time.After(pause):
			pause = min(2*pause, r.cfg.RetryMax)
		}
	}
}

type verdict int

const (
	answered verdict = iota
	// notDone: certainly not done, try again.
	notDone
	// unknown: perhaps done, try again with the same id.
	unknown
	// expired: out of time, certainly not done.
	expired
	// expiredInFlight: out of time, perhaps done.
	expiredInFlight
)

// attempt gives a write to one target; repeat tells that an earlier one may have
// done it, or may do so yet. It does not look whether there is another
// way by now, nor whether the client is still there: a target that is left
// answers all it has, and waiting for what hundreds share costs more than
// everything else here.
func (r *Router) attempt(to Target, w Write, repeat bool, deadline time.Time, timer *time.Timer) (writer.Outcome, verdict) {
	done := make(chan writer.Outcome, 1)
	request := &writer.Request{
		Principal: w.Principal,
		Apply:     w.Apply,
		Delete:    w.Delete,
		Remove:    w.Remove,
		Repeat:    repeat,
		Deadline:  deadline,
		Done:      func(o writer.Outcome) { done <- o },
	}
	to.Submit(request)
	select {
	case o := <-done:
		return o, verdictOf(o)
	case <-timer.C:
		if request.Withdraw() {
			return writer.Outcome{}, expired
		}
		return writer.Outcome{}, expiredInFlight
	}
}

// verdictOf says what an outcome that came back leaves to do.
func verdictOf(o writer.Outcome) verdict {
	switch {
	case o.Err == nil:
		return answered
	case errors.Is(o.Err, writer.ErrNotDone):
		return notDone
	case errors.Is(o.Err, writer.ErrFateUnknown):
		return unknown
	}
	return answered
}

// conclusive tells whether an answer says what became of every copy of a write.
func conclusive(err error) bool {
	if err == nil {
		return true
	}
	e, ok := argosyv1.AsError(err)
	return ok && e.Conclusive()
}

// overtaken is answered when a copy of a write was refused and the fate of
// another one is unknown.
func (r *Router) overtaken(refusal error) error {
	err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN,
		"write: it was refused (%v), but it is not known whether that was before or after it was done: the connection to the leader broke meanwhile; repeat it with the same request id", refusal)
	if e, ok := argosyv1.AsError(refusal); ok {
		err.Detail.RetryAfterMs = e.Detail.GetRetryAfterMs()
	}
	return err
}

var errDeadline = errors.New("deadline passed")

// await waits until there may be a way.
func (r *Router) await(ctx context.Context, way *route.Way[Target], timer *time.Timer) error {
	look := time.NewTicker(absenceInterval)
	defer look.Stop()
	for {
		if _, hopeless := r.absence(); hopeless {
			return errHopeless
		}
		select {
		case <-way.Gone():
			return nil
		case <-timer.C:
			return errDeadline
		case <-ctx.Done():
			return errDeadline
		case <-look.C:
		}
	}
}

var errHopeless = errors.New("no quorum")

func (r *Router) giveUp(cause, last error, uncertain bool) error {
	reason, _ := r.absence()
	if reason == "" {
		reason = "the leader did not answer in time"
		if last != nil {
			reason += ": " + last.Error()
		}
	}
	if uncertain {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN,
			"write: it is not known whether it was done (%v; %s); repeat it with the same request id", cause, reason)
	}
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER,
		"write: %s; nothing was changed, try again", reason)
}

// patience is how long a write may wait: a little less than its client does, so
// that the client gets the reason and not just the end of its own patience.
func (r *Router) patience(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return r.cfg.DefaultTimeout
	}
	return patienceFor(time.Until(deadline))
}

func patienceFor(left time.Duration) time.Duration {
	return max(left-min(left/10, 100*time.Millisecond), 0)
}

func (r *Router) timer(d time.Duration) *time.Timer {
	if t, ok := r.timers.Get().(*time.Timer); ok {
		t.Reset(d)
		return t
	}
	return time.NewTimer(d)
}

func (r *Router) release(t *time.Timer) {
	t.Stop()
	r.timers.Put(t)
}
