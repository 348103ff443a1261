package writer

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// setQuota writes the settings of the cluster.
func (h *harness) setQuota(t *testing.T, bytes uint64) {
	t.Helper()
	err := h.Mutate(t.Context(), func(c *Working) error {
		return c.PutMessage(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", &argosyv1.ClusterSettings{ClusterId: "c", StateQuotaBytes: bytes})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnApplyBeyondTheQuotaIsRefusedAndTheWayBackIsOpen(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	h.must(t, apply(workload("big", strings.Repeat("x", 1000)), workload("other", "y")))
	size := h.log.View().Bytes()
	h.setQuota(t, uint64(h.log.View().Bytes()+40))

	more := apply(workload("small", "z"), workload("big", strings.Repeat("x", 1100)))
	if e := wantCode(t, <-h.send(more), argosyv1.ErrorCode_ERROR_CODE_NO_SPACE); !strings.Contains(e.Error(), "quota") {
		t.Errorf("refusal says %q", e)
	}
	if _, ok := h.log.View().Workload("small"); ok {
		t.Fatal("half of a refused apply was carried out")
	}
	wantKinds(t, h.must(t, apply(workload("other", "x"))), updated)

	// Above the quota, because it was lowered: what shrinks the state passes.
	h.setQuota(t, uint64(size/2))
	wantCode(t, <-h.send(apply(workload("other", "longer"))), argosyv1.ErrorCode_ERROR_CODE_NO_SPACE)
	wantKinds(t, h.must(t, apply(workload("big", strings.Repeat("x", 900)))), updated)
	wantKinds(t, h.must(t, remove("big")), deleted)
	wantKinds(t, h.must(t, apply(workload("new", "z"))), created)
}

// A quota that only counted what is committed would be passed by as much as fits
// into the entries in flight.
func TestTheQuotaCountsWhatIsInFlight(t *testing.T) {
	log := newLedger(t, true)
	row := fsm.RowSize("w1", "a1", 0) // and the value
	h := start(t, log, nil)
	quota := make(chan error, 1)
	go func() {
		quota <- h.Mutate(t.Context(), func(c *Working) error {
			return c.PutMessage(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", &argosyv1.ClusterSettings{ClusterId: "c", StateQuotaBytes: uint64(3*row + 1500)})
		})
	}()
	<-log.arrived
	log.commit(nil)
	if err := <-quota; err != nil {
		t.Fatal(err)
	}
	first := h.send(apply(workload("w1", strings.Repeat("x", 1000))))
	<-log.arrived
	second := h.send(apply(workload("w2", strings.Repeat("x", 1000))))
	<-log.arrived
	log.commit(nil)
	wantKinds(t, <-first, created)
	log.commit(nil)
	wantCode(t, <-second, argosyv1.ErrorCode_ERROR_CODE_NO_SPACE)
	third := h.send(apply(workload("w3", "small")))
	<-log.arrived
	log.commit(nil)
	wantKinds(t, <-third, created)
}

func TestWithoutSpaceOnTheDiskOnlyAppliesAreRefused(t *testing.T) {
	var full atomic.Bool
	h := start(t, newLedger(t, false), func(_ *Config, d *Deps) {
		d.Full = func() error {
			if full.Load() {
				return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_SPACE, "disk is full")
			}
			return nil
		}
	})
	h.must(t, apply(workload("w", "one")))
	full.Store(true)
	wantCode(t, <-h.send(apply(workload("v", "one"))), argosyv1.ErrorCode_ERROR_CODE_NO_SPACE)
	if err := h.RegisterAgent(t.Context(), &argosyv1.Agent{Name: "a1"}); err != nil {
		t.Fatalf("a record of the cluster's own was refused: %v", err)
	}
	wantKinds(t, h.must(t, remove("w")), deleted)
	full.Store(false)
	wantKinds(t, h.must(t, apply(workload("v", "one"))), created)
}

func TestAWriteIfNothingHasChangedSince(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	first := h.must(t, apply(workload("w", "one"))).Revision
	if err := h.RegisterAgent(t.Context(), &argosyv1.Agent{Name: "a1"}); err != nil {
		t.Fatal(err)
	}
	read := h.log.View().Revision() // later, but no workload has changed

	right := apply(workload("v", "one"))
	right.Apply.ExpectedStateRevision = first
	second := h.must(t, right).Revision

	for name, r := range map[string]*Request{
		"apply":  apply(workload("u", "one")),
		"delete": remove("w"),
	} {
		if r.Apply != nil {
			r.Apply.ExpectedStateRevision = read
		} else {
			r.Delete.ExpectedStateRevision = read
		}
		if e := wantCode(t, <-h.send(r), argosyv1.ErrorCode_ERROR_CODE_CONFLICT); e.Detail.GetCurrentRevision() != second {
			t.Errorf("%s: conflict names revision %d, want %d", name, e.Detail.GetCurrentRevision(), second)
		}
	}
	// That something is gone is a change too, though no row says so any more.
	third := h.must(t, remove("v")).Revision
	stale := apply(workload("u", "one"))
	stale.Apply.ExpectedStateRevision = second
	if e := wantCode(t, <-h.send(stale), argosyv1.ErrorCode_ERROR_CODE_CONFLICT); e.Detail.GetCurrentRevision() != third {
		t.Errorf("conflict names revision %d, want %d", e.Detail.GetCurrentRevision(), third)
	}
	again := apply(workload("u", "one"))
	again.Apply.ExpectedStateRevision = third
	wantKinds(t, h.must(t, again), created)

	never := apply(workload("u", "two"))
	never.Apply.ExpectedStateRevision = 1 << 40
	wantCode(t, <-h.send(never), argosyv1.ErrorCode_ERROR_CODE_CONFLICT)
}

func TestOfTwoWritesThatExpectNothingChangedOneWins(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)
	first := h.send(apply(workload("w", "one")))
	<-log.arrived
	log.commit(nil)
	at := (<-first).Revision

	one, two := apply(workload("a", "1")), apply(workload("b", "1"))
	one.Apply.ExpectedStateRevision, two.Apply.ExpectedStateRevision = at, at
	won := h.send(one)
	<-log.arrived
	lost := h.send(two)
	<-log.arrived
	log.commit(nil)
	wantKinds(t, <-won, created)
	log.commit(nil)
	if e := wantCode(t, <-lost, argosyv1.ErrorCode_ERROR_CODE_CONFLICT); e.Detail.GetCurrentRevision() != at+1 {
		t.Errorf("conflict names revision %d, want %d", e.Detail.GetCurrentRevision(), at+1)
	}
}

// A follower may have applied an entry, and shown it to a user, before the
// leader's writer hears that it is committed.
func TestAWriteThatBuildsOnWhatIsInFlightIsJudgedWhenThatIsKnown(t *testing.T) {
	for name, expect := range map[string]func(*Request, uint64){
		"of the workload": func(r *Request, revision uint64) { r.Apply.ExpectedRevision = revision },
		"of the state":    func(r *Request, revision uint64) { r.Apply.ExpectedStateRevision = revision },
	} {
		t.Run(name, func(t *testing.T) {
			log := newLedger(t, true)
			h := start(t, log, nil)
			first := h.send(apply(workload("w", "one")))
			<-log.arrived
			next := apply(workload("w", "two"))
			expect(next, log.index+1)
			second := h.send(next)
			// Another one passes meanwhile.
			third := h.send(apply(workload("v", "one")))
			<-log.arrived
			log.commit(nil)
			wantKinds(t, <-first, created)
			if name == "of the state" {
				log.commit(nil)
				wantKinds(t, <-third, created)
				<-log.arrived
				log.commit(nil)
				wantCode(t, <-second, argosyv1.ErrorCode_ERROR_CODE_CONFLICT)
				return
			}
			<-log.arrived
			log.commit(nil)
			wantKinds(t, <-third, created)
			log.commit(nil)
			wantKinds(t, <-second, updated)
		})
	}
}

// Also when the leader's own state machine is ahead of what its writer knows to
// be committed.
func TestAWriteThatBuildsOnWhatTheMachineShowsIsJudgedWhenTheWriterKnows(t *testing.T) {
	for name, expect := range map[string]func(*Request, uint64){
		"of the workload": func(r *Request, revision uint64) { r.Apply.ExpectedRevision = revision },
		"of the state":    func(r *Request, revision uint64) { r.Apply.ExpectedStateRevision = revision },
	} {
		t.Run(name, func(t *testing.T) {
			log := newLedger(t, true)
			h := start(t, log, nil)
			first := h.send(apply(workload("v", "one")))
			<-log.arrived
			second := h.send(apply(workload("w", "one")))
			<-log.arrived
			log.runAhead(t)
			log.commit(nil)
			wantKinds(t, <-first, created)

			next := apply(workload("w", "two"))
			expect(next, log.index)
			third := h.send(next)
			judged := make(chan struct{})
			h.send(&Request{Change: func(*Working) error { close(judged); return nil }})
			<-judged
			log.commit(nil)
			wantKinds(t, <-second, created)
			for {
				select {
				case <-log.arrived:
					log.commit(nil)
				case o := <-third:
					if o.Err != nil {
						t.Fatal(o.Err)
					}
					wantKinds(t, o, updated)
					return
				}
			}
		})
	}
}

func TestAWriteThatIsParkedIsAnsweredWhenTheLeadershipEnds(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)
	first := h.send(apply(workload("w", "one")))
	<-log.arrived
	next := apply(workload("w", "two"))
	next.Apply.ExpectedRevision = 1 << 40
	second := h.send(next)
	third := h.send(apply(workload("v", "one")))
	<-log.arrived // the second was judged before the third
	h.cancel(raft.ErrLeadershipLost)
	<-h.Stopped()
	for _, o := range []<-chan Outcome{first, third} {
		if o := <-o; o.Err == nil {
			t.Error("a write in flight was answered as done")
		}
	}
	if o := <-second; !strings.Contains(o.Err.Error(), ErrNotDone.Error()) {
		t.Errorf("the parked write was answered %v", o.Err)
	}
}
