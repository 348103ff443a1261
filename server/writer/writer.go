// Package writer is the leader's single point of judgement: one goroutine that
// takes the writes that wait, checks each against the state as it will be, and
// proposes all that pass as one entry of Raft's log, so that one flush to disk
// pays for many of them.
//
// It protects one invariant: every answer it gives about the state is true of a
// state that a majority holds. Requests are judged against a working copy (the
// state machine's view, with the rows of entries in flight laid over it); an
// answer that rests on a row in flight is given only once that entry is
// committed, and a refusal is given only once a majority has confirmed that this
// server still leads.
//
// A Writer lives as long as one leadership. It accepts requests from the moment
// it is made, and carries them out once Run is called. When Run ends, whatever
// is in flight is answered "fate unknown" and whatever waits "certainly not
// done"; nothing is left without an answer.
package writer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var (
	// ErrNotDone is in the outcome of a request that was certainly not carried
	// out, because this server does not lead (any more) or is stopping. It may
	// be tried elsewhere.
	ErrNotDone = errors.New("certainly not done")
	// ErrFateUnknown is in the outcome of a request that was proposed and of
	// which it is not known whether it was carried out. It may only be tried
	// again with the same request id.
	ErrFateUnknown = errors.New("fate unknown")
	// ErrDrained is returned by Run after Drain: everything in flight was
	// answered.
	ErrDrained = errors.New("writer drained")
)

// Log is the replicated log as the writer needs it.
type Log interface {
	// Propose starts to replicate one entry. Entries commit in the order in
	// which they were proposed.
	Propose(entry []byte) Pending
	// Confirm asks a majority whether this server still leads.
	Confirm() Pending
}

// Pending is something asked of the Log that is not answered yet.
type Pending interface {
	// Done is closed when there is an answer.
	Done() <-chan struct{}
	// Result returns the index of the entry, after Done was closed. Its error
	// wraps ErrNotDone or ErrFateUnknown.
	Result() (uint64, error)
}

// State is the state machine as the writer needs it.
type State interface {
	// View returns the state with every entry applied that was reported as
	// committed before the call.
	View() *fsm.View
}

// Deps are what a Writer works with.
type Deps struct {
	Log      Log
	State    State
	Validate Validator
	// ValidateConfig is Validate for configs, and Render renders workloads that use
	// them.
	ValidateConfig ConfigValidator
	Render         Renderer
	// Full tells why users may not add to the state at the moment, an API error,
	// nil when they may; nil for never. Deletes are taken all the same, and so are
	// repeats of what was done. It is called by the one goroutine that does
	// everything, and must not block.
	Full func() error
	// Elsewhere tells whether an agent other than the named one may still have an
	// instance of a workload of this name, all of which were deleted with a revision
	// or before. What is created then is marked (Workload.displacing). Nil for
	// never. It is called by the one goroutine that does everything, and must not
	// block.
	Elsewhere func(workload, agent string, deleted uint64) bool
	// Agent tells whether an agent is connected, and which instances it is known to
	// have. Nil for none. It is called by the one goroutine that does everything, and
	// must not block.
	Agent func(name string) (connected bool, states []*argosyv1.WorkloadState)
	// Now is the clock that entries are stamped by; nil means time.Now.
	Now func() time.Time
	// Uptime is the clock that ages are measured by: it never jumps, whatever is
	// done to the other one. Nil means that of this process.
	Uptime func() time.Duration
	// Logger may be nil.
	Logger *slog.Logger
	// Meter counts what the writer does. May be nil.
	Meter Meter
}

// Meter counts what a writer does. It is called by the one goroutine that does
// everything, and must not block.
type Meter interface {
	// Proposed is called with the requests and the bytes of each entry.
	Proposed(requests, bytes int)
	// Committed is called with the time that an entry took.
	Committed(took time.Duration)
}

type unmetered struct{}

func (unmetered) Proposed(int, int)       {}
func (unmetered) Committed(time.Duration) {}

// Writer carries out writes during one leadership.
type Writer struct {
	cfg         Config
	log         Log
	state       State
	check       Validator
	checkConfig ConfigValidator
	render      Renderer
	full        func() error
	where       func(workload, agent string, deleted uint64) bool
	agent       func(name string) (connected bool, states []*argosyv1.WorkloadState)
	now         func() time.Time
	uptime      func() time.Duration
	meter       Meter
	logger      *slog.Logger

	queue   queue
	drain   chan struct{}
	drained chan struct{}

	// Owned by Run's goroutine.
	working  *Working
	flight   []*batch
	draining bool
	// stamp is that of the entry before, ages how old entries are at least.
	stamp    int64
	ages     ages
	refusals refusals
	// due are requests that were parked and can be judged now, unrecorded those
	// that were refused and are answered when the next entry is committed.
	due        []*Request
	unrecorded []*item

	// loose is what was in flight when Run ended; only read after that.
	loose []Pending
}

// New makes a Writer that accepts requests and carries them out once Run is
// called.
func New(deps Deps, cfg Config) (*Writer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure writer: %w", err)
	}
	if deps.Log == nil || deps.State == nil || deps.Validate == nil || deps.ValidateConfig == nil || deps.Render == nil {
		return nil, errors.New("make writer: log, state, validators and renderer are needed")
	}
	w := &Writer{
		cfg:         cfg,
		log:         deps.Log,
		state:       deps.State,
		check:       deps.Validate,
		checkConfig: deps.ValidateConfig,
		render:      deps.Render,
		full:        deps.Full,
		where:       deps.Elsewhere,
		agent:       deps.Agent,
		now:         deps.Now,
		uptime:      deps.Uptime,
		meter:       deps.Meter,
		logger:      deps.Logger,
		drain:       make(chan struct{}, 1),
		drained:     make(chan struct{}),
	}
	if w.now == nil {
		w.now = time.Now
	}
	if w.uptime == nil {
		began := time.Now()
		w.uptime = func() time.Duration { return time.Since(began) }
	}
	if w.meter == nil {
		w.meter = unmetered{}
	}
	if w.full == nil {
		w.full = func() error { return nil }
	}
	if w.agent == nil {
		w.agent = func(string) (bool, []*argosyv1.WorkloadState) { return false, nil }
	}
	if w.where == nil {
		w.where = func(string, string, uint64) bool { return false }
	}
	if w.logger == nil {
		w.logger = slog.New(slog.DiscardHandler)
	}
	w.queue.init(cfg.MaxQueue, cfg.MaxQueueBytes, w.now)
	return w, nil
}

// Submit hands a request to the writer. Its Done is called exactly once, from
// any goroutine, possibly before Submit returns, unless the request was
// withdrawn.
func (w *Writer) Submit(r *Request) {
	if err := w.prepare(r); err != nil {
		r.answer(Outcome{Err: err})
		return
	}
	if err := w.queue.push(r); err != nil {
		r.answer(Outcome{Err: err})
	}
}

// Waiting returns how many requests wait to be judged.
func (w *Writer) Waiting() int { return w.queue.waiting() }

// SubmitAll is Submit for requests that came together, and that shall go on
// together: the first of them alone would make an entry, and cost a flush.
func (w *Writer) SubmitAll(requests []*Request) {
	good := make([]*Request, 0, len(requests))
	for _, r := range requests {
		if err := w.prepare(r); err != nil {
			r.answer(Outcome{Err: err})
			continue
		}
		good = append(good, r)
	}
	var answers []func()
	w.queue.pushAll(good, func(r *Request, err error) {
		answers = append(answers, func() { r.answer(Outcome{Err: err}) })
	})
	for _, answer := range answers {
		answer()
	}
}

// Drain makes Run end with ErrDrained once everything in flight is answered.
// Requests that wait are answered ErrNotDone. It is called before leadership is
// given away, so that no request's fate is unknown then.
func (w *Writer) Drain() {
	select {
	case w.drain <- struct{}{}:
	default:
	}
}

// Stopped is closed when Run has ended and every request was answered.
func (w *Writer) Stopped() <-chan struct{} { return w.drained }

// Settle waits, after Run has ended, until the log has decided on everything
// that was in flight. Another Writer of the same leadership must not begin
// before: it would judge by a state that still changes.
func (w *Writer) Settle(ctx context.Context) error {
	for _, pending := range w.loose {
		select {
		case <-pending.Done():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Discard answers everything that waits with ErrNotDone; it takes the place of
// Run when a leadership ends before the writer could start.
func (w *Writer) Discard() { w.finish(ErrNotDone) }

// Run carries out requests until the context ends (leadership was lost), Drain
// is called, or the log refuses an entry. It must be called after every entry
// of earlier terms was applied. It returns the reason, never nil.
func (w *Writer) Run(ctx context.Context) error {
	w.working = newWorking(w.state.View())
	w.working.writer, w.working.elsewhere, w.working.agent = w, w.where, w.agent
	w.stamp = w.working.view.NewestProposed()
	w.ages.note(w.working.view.Revision(), w.uptime())
	err := w.run(ctx)
	w.finish(err)
	return err
}

func (w *Writer) run(ctx context.Context) error {
	expire := time.NewTicker(w.cfg.ExpireInterval)
	defer expire.Stop()
	for {
		var head <-chan struct{}
		if len(w.flight) > 0 {
			head = w.flight[0].pending.Done()
		} else if w.draining {
			return ErrDrained
		}
		var ready <-chan struct{}
		if w.mayPropose() {
			ready = w.queue.ready
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.drain:
			w.draining = true
		case <-head:
			if err := w.settle(); err != nil {
				return err
			}
		case <-ready:
		case <-expire.C:
			w.age()
		}
		// An entry that was refused must not be followed by one that was judged
		// as if it had been accepted.
		if err := w.refused(); err != nil {
			return err
		}
		if w.mayPropose() {
			w.propose()
		}
	}
}

func (w *Writer) mayPropose() bool {
	return !w.draining && len(w.flight) < w.cfg.InFlight
}

// propose makes a batch of what waits and hands it to the log.
func (w *Writer) propose() {
	requests := w.queue.take(w.cfg.MaxBatch, w.cfg.MaxBatchBytes)
	if len(w.due) > 0 {
		requests = append(w.due, requests...)
		w.due = nil
	}
	if len(requests)+len(w.unrecorded) == 0 {
		return
	}
	b := w.working.begin(w.proposeTime(), len(requests)+len(w.unrecorded))
	w.record(b)
	for i, r := range requests {
		if i > 0 && b.size >= w.cfg.MaxBatchBytes {
			// A small request may have much rendered: the rest is for the next entry.
			w.due = append(w.due, requests[i:]...)
			break
		}
		w.judge(b, r)
	}
	w.limitOutcomes(b)
	w.working.seal(b)
	switch {
	case !b.empty():
		entry := b.encode()
		w.meter.Proposed(len(b.items), len(entry))
		b.sent = time.Now()
		b.pending = w.log.Propose(entry)
		if planted.On(planted.EarlyAnswer) {
			w.presume(b)
		}
	case len(b.items) > 0:
		b.pending = w.log.Confirm()
	default:
		return
	}
	w.flight = append(w.flight, b)
}

// settle answers the oldest batch in flight.
func (w *Writer) settle() error {
	b := w.flight[0]
	revision, err := b.pending.Result()
	if err != nil {
		return fmt.Errorf("commit batch of %d requests: %w", len(b.items), err)
	}
	copy(w.flight, w.flight[1:])
	w.flight[len(w.flight)-1] = nil
	w.flight = w.flight[:len(w.flight)-1]
	b.before = w.working.known
	if !b.empty() {
		w.meter.Committed(time.Since(b.sent))
		b.revision = revision
		w.working.committed(b, w.state.View())
	}
	w.unrecorded = append(w.unrecorded, b.answer()...)
	w.due = append(w.due, b.parked...)
	return nil
}

// refused tells whether the log has refused an entry that is not the oldest in
// flight.
func (w *Writer) refused() error {
	for _, b := range w.flight {
		select {
		case <-b.pending.Done():
			if _, err := b.pending.Result(); err != nil {
				return fmt.Errorf("commit batch of %d requests: %w", len(b.items), err)
			}
		default:
		}
	}
	return nil
}

// finish answers everything there is.
func (w *Writer) finish(cause error) {
	for _, b := range w.flight {
		b.abandon(cause)
		w.due = append(w.due, b.parked...)
		w.loose = append(w.loose, b.pending)
	}
	w.flight = nil
	for _, r := range w.due {
		r.answer(Outcome{Err: notDone(cause)})
	}
	for _, it := range w.unrecorded {
		it.request.answer(Outcome{Err: notDone(cause)})
	}
	w.due, w.unrecorded = nil, nil
	for _, r := range w.queue.close() {
		if r.Begin() {
			r.answer(Outcome{Err: notDone(cause)})
		}
	}
	select {
	case <-w.drained:
	default:
		close(w.drained)
	}
}

// RegisterAgent writes the durable record of an agent unless it is there
// already and the same.
func (w *Writer) RegisterAgent(ctx context.Context, agent *argosyv1.Agent) error {
	return w.Mutate(ctx, func(c *Working) error {
		record := &argosyv1.Agent{}
		if row := c.Row(kindAgent, agent.GetName()); row.Exists {
			if err := proto.Unmarshal(row.Value, record); err != nil {
				return fmt.Errorf("read agent %q: %w", agent.GetName(), err)
			}
		}
		// What a user has said of it stays, and what it owes.
		record.Name, record.Tags = agent.GetName(), agent.GetTags()
		record.Returns = max(record.Returns, agent.GetReturns())
		return c.PutMessage(kindAgent, agent.GetName(), "", record)
	})
}

// NoteOwing writes into the records of agents what they owe, in one entry; nil is
// for nothing. Agents without a record are left out.
func (w *Writer) NoteOwing(ctx context.Context, owing map[string]*argosyv1.Owing) error {
	return w.Mutate(ctx, func(c *Working) error {
		for _, name := range slices.Sorted(maps.Keys(owing)) {
			row := c.Row(kindAgent, name)
			if !row.Exists {
				continue
			}
			record := &argosyv1.Agent{}
			if err := proto.Unmarshal(row.Value, record); err != nil {
				return fmt.Errorf("read agent %q: %w", name, err)
			}
			record.Owing = owing[name]
			if err := c.PutMessage(kindAgent, name, "", record); err != nil {
				return err
			}
		}
		return nil
	})
}

// Mutate lets another service of the leader change rows: change is called by
// the writer with the working copy, and whatever it puts and deletes becomes
// part of one entry. Mutate returns when that is committed. It is not
// remembered under a request id, so change must be one that may be repeated.
func (w *Writer) Mutate(ctx context.Context, change func(*Working) error) error {
	done := make(chan Outcome, 1)
	r := &Request{Change: change, Done: func(o Outcome) { done <- o }}
	w.Submit(r)
	select {
	case o := <-done:
		return o.Err
	case <-ctx.Done():
		if r.Withdraw() {
			return fmt.Errorf("%w: %w", ErrNotDone, context.Cause(ctx))
		}
		return fmt.Errorf("%w: %w", ErrFateUnknown, context.Cause(ctx))
	}
}

func notDone(cause error) error {
	if cause == nil || errors.Is(cause, ErrNotDone) {
		return ErrNotDone
	}
	return fmt.Errorf("%w: leadership ended: %v", ErrNotDone, cause)
}
