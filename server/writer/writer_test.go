package writer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is a Log of one machine that commits when it is told to, or at once.
type ledger struct {
	machine *fsm.Machine
	manual  bool
	arrived chan struct{}

	mu      sync.Mutex
	index   uint64
	entries [][]byte
	open    []*promise
}

type promise struct {
	log   *ledger
	entry []byte // nil: a question who leads
	done  chan struct{}
	index uint64 // 0 until the machine has the entry
	err   error
}

func (p *promise) Done() <-chan struct{}   { return p.done }
func (p *promise) Result() (uint64, error) { return p.index, p.err }

func newLedger(t testing.TB, manual bool) *ledger {
	t.Helper()
	machine, err := fsm.New(fsm.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return &ledger{machine: machine, manual: manual, index: 10, arrived: make(chan struct{}, 1000)}
}

func (l *ledger) View() *fsm.View { return l.machine.View() }

func (l *ledger) Propose(entry []byte) Pending { return l.add(entry) }
func (l *ledger) Confirm() Pending             { return l.add(nil) }

func (l *ledger) add(entry []byte) Pending {
	p := &promise{log: l, entry: entry, done: make(chan struct{})}
	l.mu.Lock()
	l.open = append(l.open, p)
	if entry != nil {
		l.entries = append(l.entries, entry)
	}
	l.mu.Unlock()
	if l.manual {
		l.arrived <- struct{}{}
	} else {
		l.commit(nil)
	}
	return p
}

// commit ends the oldest open promise.
func (l *ledger) commit(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.open[0]
	l.open = l.open[1:]
	if err == nil {
		err = l.apply(p)
	}
	p.err = err
	close(p.done)
}

// apply gives an entry to the machine that does not have it yet.
func (l *ledger) apply(p *promise) error {
	if p.entry == nil || p.index != 0 {
		return nil
	}
	l.index++
	p.index = l.index
	err, _ := l.machine.Apply(&raft.Log{Index: l.index, Data: p.entry}).(error)
	return err
}

// runAhead has the machine apply everything that is open before anybody hears
// that it is committed.
func (l *ledger) runAhead(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.open {
		if err := l.apply(p); err != nil {
			t.Fatal(err)
		}
	}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

func (l *ledger) entry(t *testing.T, i int) *argosyv1.Entry {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &argosyv1.Entry{}
	if err := proto.Unmarshal(l.entries[i], e); err != nil {
		t.Fatal(err)
	}
	return e
}

type harness struct {
	*Writer
	log    *ledger
	cancel context.CancelCauseFunc
	ended  chan error
}

func start(t testing.TB, log *ledger, change func(*Config, *Deps)) *harness {
	t.Helper()
	h := prepareHarness(t, log, change)
	h.run(t)
	return h
}

func prepareHarness(t testing.TB, log *ledger, change func(*Config, *Deps)) *harness {
	t.Helper()
	cfg := DefaultConfig()
	deps := Deps{Log: log, State: log, Validate: func(w *argosyv1.Workload) error {
		if w.GetName() == "" {
			return errors.New("Unsupported workload name ''. Is empty.")
		}
		return nil
	}, ValidateConfig: validateConfig, Render: fillIn}
	if change != nil {
		change(&cfg, &deps)
	}
	w, err := New(deps, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &harness{Writer: w, log: log, ended: make(chan error, 1)}
}

func (h *harness) run(t testing.TB) {
	ctx, cancel := context.WithCancelCause(t.Context())
	h.cancel = cancel
	go func() { h.ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel(nil)
		<-h.Stopped()
	})
}

func (h *harness) send(r *Request) <-chan Outcome {
	done := make(chan Outcome, 1)
	r.Done = func(o Outcome) { done <- o }
	h.Submit(r)
	return done
}

func (h *harness) must(t testing.TB, r *Request) Outcome {
	t.Helper()
	o := <-h.send(r)
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	return o
}

func newID() []byte {
	id := make([]byte, RequestIDLength)
	_, _ = rand.Read(id)
	return id
}

func workload(name, config string) *argosyv1.Workload {
	return &argosyv1.Workload{Name: name, Agent: "a1", Runtime: "process", RuntimeConfig: config, Tags: map[string]string{"x": "1", "y": "2", "z": "3"}}
}

func apply(workloads ...*argosyv1.Workload) *Request {
	return &Request{Principal: "ann", Apply: &argosyv1.ApplyRequest{RequestId: newID(), Workloads: workloads}}
}

func remove(names ...string) *Request {
	return &Request{Principal: "ann", Delete: &argosyv1.DeleteRequest{RequestId: newID(), Names: names}}
}

func wantKinds(t *testing.T, o Outcome, want ...argosyv1.ChangeKind) {
	t.Helper()
	var have []argosyv1.ChangeKind
	for _, c := range o.Result.GetChanges() {
		have = append(have, c.GetKind())
	}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		t.Fatalf("changes are %v, want %v (err %v)", have, want, o.Err)
	}
}

func wantCode(t *testing.T, o Outcome, want argosyv1.ErrorCode) *argosyv1.Error {
	t.Helper()
	e, ok := argosyv1.AsError(o.Err)
	if !ok || e.Code() != want {
		t.Fatalf("error is %v, want %v", o.Err, want)
	}
	return e
}

const (
	created   = argosyv1.ChangeKind_CHANGE_KIND_CREATED
	updated   = argosyv1.ChangeKind_CHANGE_KIND_UPDATED
	unchanged = argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED
	deleted   = argosyv1.ChangeKind_CHANGE_KIND_DELETED
	missing   = argosyv1.ChangeKind_CHANGE_KIND_MISSING
)

func TestAWriteSaysWhatItDid(t *testing.T) {
	h := start(t, newLedger(t, false), nil)

	first := h.must(t, apply(workload("w", "one"), workload("v", "one")))
	wantKinds(t, first, created, created)
	if c := first.Result.GetChanges()[0]; c.GetName() != "w" || c.GetAgent() != "a1" || c.GetInstanceId() != argosyv1.InstanceID("one") {
		t.Errorf("change is %v", c)
	}
	second := h.must(t, apply(workload("w", "two"), workload("v", "one")))
	wantKinds(t, second, updated, unchanged)

	w, _ := h.log.View().Workload("w")
	v, _ := h.log.View().Workload("v")
	if w.Revision != second.Revision || w.CreatedRevision != first.Revision {
		t.Errorf("w was created at %d and changed at %d, want %d and %d", w.CreatedRevision, w.Revision, first.Revision, second.Revision)
	}
	if v.Revision != first.Revision {
		t.Errorf("an unchanged workload went from revision %d to %d", first.Revision, v.Revision)
	}

	gone := remove("w", "nobody")
	gone.Delete.IgnoreMissing = true
	third := h.must(t, gone)
	wantKinds(t, third, deleted, missing)
	if c := third.Result.GetChanges()[0]; c.GetAgent() != "a1" || c.GetInstanceId() != argosyv1.InstanceID("two") {
		t.Errorf("change is %v", c)
	}
	if _, ok := h.log.View().Workload("w"); ok {
		t.Error("w is still there")
	}
}

func TestRevisionsThatAClientSendsAreIgnored(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	sent := workload("w", "one")
	h.must(t, apply(workload("w", "one")))
	sent.Revision, sent.CreatedRevision = 77, 78
	wantKinds(t, h.must(t, apply(sent)), unchanged)
	if sent.Revision != 77 {
		t.Error("the request was written to")
	}
}

func TestARequestWithAWrongShapeIsRefusedAndChangesNothing(t *testing.T) {
	h := start(t, newLedger(t, false), func(c *Config, _ *Deps) { c.MaxWorkloads, c.MaxApplyBytes = 3, 2000 })
	unknown := workload("w", "one")
	unknown.ProtoReflect().SetUnknown([]byte{0xa0, 0x06, 0x01})
	noID := apply(workload("w", "one"))
	noID.Apply.RequestId = []byte("short")
	for name, r := range map[string]*Request{
		"no workloads":           apply(),
		"too many":               apply(workload("a", ""), workload("b", ""), workload("c", ""), workload("d", "")),
		"too large":              apply(workload("a", string(make([]byte, 3000)))),
		"the same name twice":    apply(workload("a", "1"), workload("a", "2")),
		"refused by validation":  apply(workload("ok", "1"), workload("", "1")),
		"a field from tomorrow":  apply(unknown),
		"a request id too short": noID,
		"no names":               remove(),
		"a name twice":           remove("a", "a"),
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, <-h.send(r), argosyv1.ErrorCode_ERROR_CODE_INVALID)
		})
	}
	if h.log.count() != 0 {
		t.Error("something was proposed")
	}
}

// Refusals are remembered, and go to the client: neither may be as large as
// whatever somebody takes for a name.
func TestANameLongerThanAnyThereIsIsRefusedWithoutRepeatingIt(t *testing.T) {
	long := strings.Repeat("n", 1<<20)
	behalf := func(i *argosyv1.InstanceName) *Request {
		return all(workload("w", "1"), func(a *argosyv1.ApplyRequest) { a.OnBehalfOf = i })
	}
	expect := func(kind argosyv1.ObjectKind) *Request {
		return all(workload("w", "1"), &argosyv1.ExpectedRevision{Kind: kind, Name: long, Revision: 1})
	}
	h := startFull(t, newLedger(t, false), nil)
	for name, request := range map[string]*Request{
		"deleted":              remove(long),
		"deleted by an apply":  all(without(long)),
		"a config":             removeConfigs(long),
		"a config by an apply": all(withoutConfigs(long)),
		"a condition":          expect(argosyv1.ObjectKind_OBJECT_KIND_WORKLOAD),
		"of another kind":      expect(99),
		"an agent with tags":   all(&argosyv1.AgentTags{Agent: long}),
		"an agent to remove":   {Remove: &argosyv1.RemoveAgentRequest{RequestId: newID(), Name: long}},
		"on behalf of":         behalf(&argosyv1.InstanceName{Workload: long, Agent: "a1", Id: "1"}),
		"of an agent":          behalf(&argosyv1.InstanceName{Workload: "w", Agent: long, Id: "1"}),
		"of an instance":       behalf(&argosyv1.InstanceName{Workload: "w", Agent: "a1", Id: long}),
	} {
		t.Run(name, func(t *testing.T) {
			if e := wantCode(t, <-h.send(request), argosyv1.ErrorCode_ERROR_CODE_INVALID); len(e.Error()) > 500 {
				t.Errorf("the refusal has %d bytes", len(e.Error()))
			}
		})
	}
}

func TestAConflictNamesTheCurrentRevision(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	at := h.must(t, apply(workload("w", "one"))).Revision

	stale := apply(workload("new", "x"), workload("w", "two"))
	stale.Apply.ExpectedRevision = at + 5
	wantCode(t, <-h.send(stale), argosyv1.ErrorCode_ERROR_CODE_CONFLICT)

	stale = apply(workload("w", "two"))
	stale.Apply.ExpectedRevision = at - 1
	if e := wantCode(t, <-h.send(stale), argosyv1.ErrorCode_ERROR_CODE_CONFLICT); e.Detail.GetCurrentRevision() != at {
		t.Errorf("conflict names revision %d, want %d: %v", e.Detail.GetCurrentRevision(), at, e)
	}
	create := apply(workload("w", "two"))
	create.Apply.MustNotExist = true
	if e := wantCode(t, <-h.send(create), argosyv1.ErrorCode_ERROR_CODE_CONFLICT); e.Detail.GetCurrentRevision() != at {
		t.Errorf("conflict names revision %d, want %d", e.Detail.GetCurrentRevision(), at)
	}
	drop := remove("w")
	drop.Delete.ExpectedRevision = at - 1
	wantCode(t, <-h.send(drop), argosyv1.ErrorCode_ERROR_CODE_CONFLICT)
	wantCode(t, <-h.send(remove("nobody")), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND)

	if row, _ := h.log.View().Workload("w"); row.Revision != at {
		t.Error("a refused write changed something")
	}
	if _, ok := h.log.View().Workload("new"); ok {
		t.Error("half of a refused apply was carried out")
	}
	right := apply(workload("w", "two"))
	right.Apply.ExpectedRevision = at
	wantKinds(t, h.must(t, right), updated)
}

// Requests are judged as if what is in flight were done already, and what rests
// on that is answered only when it is done.
func TestWritesAreJudgedAgainstWhatIsInFlight(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)

	first := h.send(apply(workload("w", "one")))
	<-log.arrived
	same := h.send(apply(workload("w", "one")))
	create := apply(workload("w", "one"))
	create.Apply.MustNotExist = true
	refused := h.send(create)
	<-log.arrived
	select {
	case o := <-refused:
		t.Fatalf("refused because of a row that is not committed yet: %v", o.Err)
	case o := <-same:
		t.Fatalf("answered because of a row that is not committed yet: %v", o)
	default:
	}
	log.commit(nil)
	at := (<-first).Revision
	log.commit(nil)
	wantKinds(t, <-same, unchanged)
	// The two may have become one batch or two.
	var o Outcome
	select {
	case o = <-refused:
	case <-log.arrived:
		log.commit(nil)
		o = <-refused
	}
	if e := wantCode(t, o, argosyv1.ErrorCode_ERROR_CODE_CONFLICT); e.Detail.GetCurrentRevision() != at {
		t.Errorf("conflict names revision %d, want %d", e.Detail.GetCurrentRevision(), at)
	}
	if row, _ := log.View().Workload("w"); row.Revision != at {
		t.Errorf("w is at revision %d, want %d", row.Revision, at)
	}
}

// Also not when the writer could tell the revision that it will have.
func TestNothingIsAnsweredBeforeItIsCommitted(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)
	for range 2 {
		first := h.send(apply(workload("w", "one")))
		<-log.arrived
		second := h.send(apply(workload("v", "one")))
		<-log.arrived
		select {
		case o := <-first:
			t.Fatalf("answered with %+v before it was committed", o)
		default:
		}
		log.commit(nil)
		log.commit(nil)
		<-first
		<-second
	}
}

func TestADeleteInFlightIsSeen(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)
	first := h.send(apply(workload("w", "one")))
	<-log.arrived
	log.commit(nil)
	<-first

	gone := h.send(remove("w"))
	<-log.arrived
	again := h.send(remove("w"))
	<-log.arrived
	log.commit(nil)
	wantKinds(t, <-gone, deleted)
	log.commit(nil)
	wantCode(t, <-again, argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND)
}

func TestARefusalWaitsForAMajorityToConfirmTheLeader(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)
	refused := h.send(remove("nobody"))
	<-log.arrived
	select {
	case o := <-refused:
		t.Fatalf("answered before this server knew that it still leads: %v", o)
	default:
	}
	log.commit(fmt.Errorf("%w: deposed", ErrNotDone))
	if o := <-refused; !errors.Is(o.Err, ErrNotDone) {
		t.Fatalf("a refusal by a leader of the past was given out: %v", o)
	}
	if err := <-h.ended; !errors.Is(err, ErrNotDone) {
		t.Fatalf("writer ended with %v", err)
	}
}

func TestARepeatIsAnsweredAsTheFirstWas(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	r := apply(workload("w", "one"))
	first := h.must(t, r)
	h.must(t, apply(workload("w", "two")))
	entries := h.log.count()

	again := h.must(t, &Request{Principal: "ann", Apply: r.Apply})
	if !again.Replayed || again.Revision != first.Revision || !proto.Equal(again.Result, first.Result) {
		t.Errorf("repeat was answered %+v, first %+v", again, first)
	}
	wantCode(t, <-h.send(&Request{Principal: "bob", Apply: r.Apply}), argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN)
	if h.log.count() != entries {
		t.Error("a repeat was carried out")
	}
	if row, _ := h.log.View().Workload("w"); row.Revision == first.Revision {
		t.Error("a repeat undid a later write")
	}
}

func TestARepeatOfAWriteInFlightIsAnsweredWithIt(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)
	r := apply(workload("w", "one"))
	first := h.send(r)
	<-log.arrived
	again := h.send(&Request{Principal: "ann", Apply: r.Apply})
	// The stranger's request is judged after the repeat.
	wantCode(t, <-h.send(&Request{Principal: "bob", Apply: r.Apply}), argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN)
	log.commit(nil)
	a, b := <-first, <-again
	if a.Replayed || !b.Replayed || a.Revision != b.Revision {
		t.Errorf("first %+v, repeat %+v", a, b)
	}
	if log.count() != 1 {
		t.Errorf("%d entries, want 1", log.count())
	}
}

func TestWhenLeadershipIsLostEveryWriteIsToldWhatBecameOfIt(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)
	flying := []<-chan Outcome{h.send(apply(workload("a", "1")))}
	<-log.arrived
	flying = append(flying, h.send(apply(workload("b", "1"))))
	<-log.arrived
	queued := []<-chan Outcome{h.send(apply(workload("c", "1"))), h.send(remove("a"))}

	h.cancel(errors.New("term 7 began"))
	for _, o := range flying {
		if o := <-o; !errors.Is(o.Err, ErrFateUnknown) {
			t.Errorf("in flight: %v, want fate unknown", o.Err)
		}
	}
	for _, o := range queued {
		if o := <-o; !errors.Is(o.Err, ErrNotDone) {
			t.Errorf("queued: %v, want certainly not done", o.Err)
		}
	}
	if o := <-h.send(apply(workload("d", "1"))); !errors.Is(o.Err, ErrNotDone) {
		t.Errorf("too late: %v, want certainly not done", o.Err)
	}
}

func TestALogThatRefusesAnEntryEndsTheWriter(t *testing.T) {
	for name, refusal := range map[string]error{"not done": ErrNotDone, "unknown": ErrFateUnknown} {
		t.Run(name, func(t *testing.T) {
			log := newLedger(t, true)
			h := start(t, log, nil)
			first := h.send(apply(workload("a", "1")))
			<-log.arrived
			second := h.send(apply(workload("b", "1")))
			<-log.arrived
			third := h.send(apply(workload("c", "1")))
			log.commit(fmt.Errorf("%w: for a reason", refusal))
			if o := <-first; !errors.Is(o.Err, refusal) {
				t.Errorf("first: %v, want %v", o.Err, refusal)
			}
			if o := <-second; !errors.Is(o.Err, ErrFateUnknown) {
				t.Errorf("second: %v, want fate unknown", o.Err)
			}
			if o := <-third; !errors.Is(o.Err, ErrNotDone) {
				t.Errorf("third: %v, want certainly not done", o.Err)
			}
			if err := <-h.ended; !errors.Is(err, refusal) {
				t.Errorf("writer ended with %v", err)
			}
		})
	}
}

func TestDrainAnswersWhatIsInFlightAndLeavesTheRest(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)
	first := h.send(apply(workload("a", "1")))
	<-log.arrived
	second := h.send(apply(workload("b", "1")))
	<-log.arrived
	third := h.send(apply(workload("c", "1")))
	h.Drain()
	log.commit(nil)
	log.commit(nil)
	if o := <-first; o.Err != nil {
		t.Error(o.Err)
	}
	if o := <-second; o.Err != nil {
		t.Error(o.Err)
	}
	if o := <-third; !errors.Is(o.Err, ErrNotDone) {
		t.Errorf("third: %v, want certainly not done", o.Err)
	}
	if err := <-h.ended; !errors.Is(err, ErrDrained) {
		t.Errorf("writer ended with %v", err)
	}
}

func TestWritesThatWaitShareEntriesWithinLimits(t *testing.T) {
	log := newLedger(t, false)
	h := prepareHarness(t, log, func(c *Config, _ *Deps) { c.MaxBatch = 4 })
	var all []<-chan Outcome
	for i := range 10 {
		all = append(all, h.send(apply(workload(fmt.Sprint("w", i), "1"))))
	}
	h.run(t)
	for _, o := range all {
		if o := <-o; o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	if log.count() != 3 {
		t.Errorf("10 writes took %d entries, want 3 of at most 4", log.count())
	}
	if n := len(log.entry(t, 0).GetOutcomes()); n != 4 {
		t.Errorf("the first entry answers %d requests, want 4", n)
	}
}

func TestABatchEndsAtItsByteLimitButOneLargeRequestPasses(t *testing.T) {
	log := newLedger(t, false)
	h := prepareHarness(t, log, func(c *Config, _ *Deps) { c.MaxBatchBytes = 1000 })
	large := h.send(apply(workload("large", string(make([]byte, 5000)))))
	small := h.send(apply(workload("a", "1"), workload("b", "1")))
	h.run(t)
	for _, o := range []<-chan Outcome{large, small} {
		if o := <-o; o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	if log.count() != 2 {
		t.Errorf("%d entries, want 2", log.count())
	}
}

func TestAtMostTwoEntriesAreInFlight(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)
	first := h.send(apply(workload("a", "1")))
	<-log.arrived
	second := h.send(apply(workload("b", "1")))
	<-log.arrived
	third, fourth := h.send(apply(workload("c", "1"))), h.send(apply(workload("d", "1")))
	log.commit(nil)
	<-first
	<-log.arrived
	if n := len(log.entry(t, 2).GetOutcomes()); n != 2 {
		t.Errorf("the third entry answers %d requests, want the 2 that waited", n)
	}
	log.commit(nil)
	log.commit(nil)
	<-second
	<-third
	<-fourth
}

func TestAFullQueueSaysSo(t *testing.T) {
	h := prepareHarness(t, newLedger(t, false), func(c *Config, _ *Deps) { c.MaxQueue = 2 })
	defer h.Discard()
	h.send(apply(workload("a", "1")))
	h.send(apply(workload("b", "1")))
	wantCode(t, <-h.send(apply(workload("c", "1"))), argosyv1.ErrorCode_ERROR_CODE_OVERLOADED)
}

func TestAWithdrawnOrExpiredRequestIsNotBegun(t *testing.T) {
	log := newLedger(t, false)
	h := prepareHarness(t, log, nil)
	withdrawn := apply(workload("a", "1"))
	h.send(withdrawn)
	if !withdrawn.Withdraw() {
		t.Fatal("a request that waits could not be withdrawn")
	}
	late := apply(workload("b", "1"))
	late.Deadline = time.Now().Add(-time.Second)
	expired := h.send(late)
	good := apply(workload("c", "1"))
	done := h.send(good)
	h.run(t)
	if o := <-expired; !errors.Is(o.Err, ErrNotDone) {
		t.Errorf("expired: %v", o.Err)
	}
	<-done
	if good.Withdraw() {
		t.Error("a request that was carried out could be withdrawn")
	}
	if n := log.View().Count(kindWorkload); n != 1 {
		t.Errorf("%d workloads, want 1", n)
	}
}

// Entries are never stamped with less than those before. Whether somebody still
// waits is told by the clock alone.
func TestAClockThatWasAheadEndsNobodysPatience(t *testing.T) {
	log := newLedger(t, false)
	ahead := start(t, log, func(_ *Config, d *Deps) {
		d.Now = func() time.Time { return time.Now().Add(time.Hour) }
	})
	ahead.must(t, apply(workload("a", "1")))
	ahead.Drain()
	<-ahead.Stopped()

	h := start(t, log, nil)
	patient := apply(workload("b", "1"))
	patient.Deadline = time.Now().Add(time.Minute)
	h.must(t, patient)
}

func TestAnAgentThatIsKnownAlreadyCostsNoEntry(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	agent := &argosyv1.Agent{Name: "a1", Tags: map[string]string{"zone": "a"}}
	for range 3 {
		if err := h.RegisterAgent(t.Context(), agent); err != nil {
			t.Fatal(err)
		}
	}
	if h.log.count() != 1 {
		t.Errorf("%d entries, want 1", h.log.count())
	}
	agent.Tags["zone"] = "b"
	if err := h.RegisterAgent(t.Context(), agent); err != nil {
		t.Fatal(err)
	}
	row, ok := h.log.View().Agent("a1")
	if !ok {
		t.Fatal("agent was not registered")
	}
	if a, err := row.Agent(); err != nil || a.GetTags()["zone"] != "b" {
		t.Errorf("agent is %v, %v", a, err)
	}
}

func TestAChangeThatFailsChangesNothing(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	mine := errors.New("no")
	if err := h.Mutate(t.Context(), func(*Working) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("mutate: %v", err)
	}
	if h.log.count() != 0 {
		t.Error("something was proposed")
	}
}

func TestTooManyOutcomesPushOutTheOldest(t *testing.T) {
	log := newLedger(t, false)
	h := start(t, log, func(c *Config, _ *Deps) { c.MaxOutcomes = 5 })
	first := apply(workload("w", "0"))
	h.must(t, first)
	for i := range 20 {
		h.must(t, apply(workload("w", fmt.Sprint(i))))
	}
	if count, _, _, _ := log.View().OutcomeStats(); count > 7 {
		t.Errorf("%d outcomes are remembered, want about 5", count)
	}
	if _, ok := log.View().Outcome(first.Apply.GetRequestId()); ok {
		t.Error("the oldest outcome is still there")
	}
}
