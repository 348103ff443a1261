package writer

import (
	"errors"
	"testing"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// mustLevel brings the cluster of a ledger to a feature level.
func mustLevel(t *testing.T, h *harness, level uint32) {
	t.Helper()
	if err := h.Mutate(t.Context(), func(c *Working) error {
		return c.PutMessage(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", &argosyv1.ClusterSettings{FeatureLevel: level})
	}); err != nil {
		t.Fatal(err)
	}
}

// repeatOf is another copy of a request, by somebody who does not know what came
// of the first.
func repeatOf(r *Request) *Request {
	return &Request{Principal: r.Principal, Apply: r.Apply, Delete: r.Delete, Repeat: true}
}

func copyOf(r *Request) *Request {
	return &Request{Principal: r.Principal, Apply: r.Apply, Delete: r.Delete}
}

// Another leader knows nothing of what the one before has refused, but for what
// is in the log.
func TestARepeatThatIsRefusedIsRefusedForGood(t *testing.T) {
	log := newLedger(t, false)
	h := start(t, log, nil)
	mustLevel(t, h, argosyv1.FeatureRefusals)
	h.must(t, apply(workload("w", "one")))
	expects, removes := apply(workload("w", "two")), remove("v")
	expects.Apply.MustNotExist = true
	conflict := wantCode(t, <-h.send(repeatOf(expects)), argosyv1.ErrorCode_ERROR_CODE_CONFLICT)
	gone := wantCode(t, <-h.send(repeatOf(removes)), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND)
	for _, refusal := range []*argosyv1.Error{conflict, gone} {
		if !refusal.Detail.GetRecorded() {
			t.Errorf("it is not said that %q is recorded", refusal)
		}
	}
	h.must(t, remove("w"))
	h.must(t, apply(workload("v", "one")))
	h.cancel(errors.New("deposed"))
	<-h.Stopped()

	next := start(t, log, nil)
	entries := log.count()
	again := wantCode(t, <-next.send(copyOf(expects)), argosyv1.ErrorCode_ERROR_CODE_CONFLICT)
	if again.Error() != conflict.Error() || again.Detail.GetCurrentRevision() != conflict.Detail.GetCurrentRevision() || !again.Detail.GetRecorded() {
		t.Errorf("a copy was told %v, the first %v", again, conflict)
	}
	wantCode(t, <-next.send(repeatOf(removes)), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND)
	wantCode(t, <-next.send(&Request{Principal: "bob", Delete: removes.Delete}), argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN)
	if log.count() != entries {
		t.Error("a copy wrote an entry")
	}
}

func TestARefusalIsRecordedForNobodyWhoHasNoOtherCopy(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	mustLevel(t, h, argosyv1.FeatureRefusals)
	entries := h.log.count()
	if refusal := wantCode(t, <-h.send(remove("w")), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND); refusal.Detail.GetRecorded() {
		t.Error("it is recorded")
	}
	if h.log.count() != entries {
		t.Error("an entry was written")
	}
}

func TestARefusalThatIsRememberedHereIsRecordedForARepeat(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	mustLevel(t, h, argosyv1.FeatureRefusals)
	r := remove("w")
	first := wantCode(t, <-h.send(r), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND)
	h.must(t, apply(workload("w", "one")))
	again := wantCode(t, <-h.send(repeatOf(r)), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND)
	if !again.Detail.GetRecorded() || first.Detail.GetRecorded() {
		t.Errorf("the first is recorded: %v, the second: %v", first.Detail.GetRecorded(), again.Detail.GetRecorded())
	}
	if _, ok := h.log.View().Outcome(r.Delete.GetRequestId()); !ok {
		t.Error("it is not in the state")
	}
}

func TestTheRequestItselfMaySayThatItIsARepeat(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	mustLevel(t, h, argosyv1.FeatureRefusals)
	h.must(t, apply(workload("w", "one")))
	expects, removes := apply(workload("w", "two")), remove("v")
	expects.Apply.MustNotExist, expects.Apply.Repeat, removes.Delete.Repeat = true, true, true
	if refusal := wantCode(t, <-h.send(expects), argosyv1.ErrorCode_ERROR_CODE_CONFLICT); !refusal.Detail.GetRecorded() {
		t.Error("an apply is not recorded")
	}
	if refusal := wantCode(t, <-h.send(removes), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND); !refusal.Detail.GetRecorded() {
		t.Error("a delete is not recorded")
	}
}

func TestRefusalsAreNotRecordedBeforeAllServersKnowThem(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	mustLevel(t, h, argosyv1.FeatureRefusals-1)
	r := remove("w")
	if refusal := wantCode(t, <-h.send(repeatOf(r)), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND); refusal.Detail.GetRecorded() {
		t.Error("it is recorded")
	}
	if _, ok := h.log.View().Outcome(r.Delete.GetRequestId()); ok {
		t.Error("it is in the state")
	}
}

// The refusal names the revision of what stands in its way, which is known when
// that is committed.
func TestARefusalByWhatIsInFlightIsRecordedWhenItIsKnown(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, func(c *Config, _ *Deps) { c.InFlight = 4 })
	level := make(chan struct{})
	go func() { defer close(level); mustLevel(t, h, argosyv1.FeatureRefusals) }()
	<-log.arrived
	log.commit(nil)
	<-level
	r := apply(workload("w", "two"))
	r.Apply.MustNotExist = true
	made := h.send(apply(workload("w", "one")))
	<-log.arrived
	refused := h.send(repeatOf(r))
	<-log.arrived
	twin := h.send(repeatOf(r))
	<-log.arrived
	log.commit(nil)
	revision := (<-made).Revision
	log.commit(nil) // leads still
	<-log.arrived   // the refusal
	late := h.send(copyOf(r))
	log.commit(nil) // of the twin
	log.commit(nil)
	for name, answers := range map[string]<-chan Outcome{"the first": refused, "its twin": twin, "a copy": late} {
		refusal := wantCode(t, <-answers, argosyv1.ErrorCode_ERROR_CODE_CONFLICT)
		if !refusal.Detail.GetRecorded() || refusal.Detail.GetCurrentRevision() != revision {
			t.Errorf("%s was told %v (%v), of revision %d", name, refusal, refusal.Detail, revision)
		}
	}
	if n := log.count(); n != 3 {
		t.Errorf("%d entries, want the level, the apply and the refusal", n)
	}
}

func TestARefusalThatIsNotRecordedYetIsNotAnsweredWhenLeadershipEnds(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)
	level := make(chan struct{})
	go func() { defer close(level); mustLevel(t, h, argosyv1.FeatureRefusals) }()
	<-log.arrived
	log.commit(nil)
	<-level
	refused := h.send(repeatOf(remove("w")))
	<-log.arrived
	log.commit(nil)
	<-log.arrived
	log.commit(ErrFateUnknown)
	if o := <-refused; !errors.Is(o.Err, ErrFateUnknown) {
		t.Errorf("answered %+v", o)
	}
}
