package writer

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestADryRunSaysWhatWouldBeDoneAndDoesNothing(t *testing.T) {
	h := startFull(t, newLedger(t, false), nil)
	at := h.must(t, all(config("k", "one"), using("w", "k"), workload("v", "one"), needing("n", "v"))).Revision
	real := all(config("k", "two"), workload("v", "two"), needing("new", "n"), without("n"))
	rehearsal := &Request{Principal: "ann", Apply: proto.CloneOf(real.Apply)}
	rehearsal.Apply.DryRun = true
	entries, hash := h.log.count(), h.log.View().Hash()
	var last Outcome
	for range 2 {
		o := h.must(t, &Request{Principal: "ann", Apply: rehearsal.Apply})
		if o.Replayed || o.Revision != at {
			t.Errorf("the rehearsal says revision %d, want %d of the state it was judged by", o.Revision, at)
		}
		last = o
	}
	if h.log.count() != entries || h.log.View().Hash() != hash {
		t.Error("a rehearsal changed something")
	}
	h.wantRefused(t, all(needing("v", "n"), dry), invalidCode, "n -> v -> n") // the graph is as it was

	// Neither it nor its refusal is remembered under the id.
	o := h.must(t, real)
	for _, changes := range [][]*argosyv1.WorkloadChange{last.Result.GetChanges(), last.Result.GetRendered()} {
		for _, c := range changes {
			c.ChangedFields = nil
		}
	}
	if !proto.Equal(o.Result, last.Result) {
		t.Errorf("done was\n%v\nthe rehearsal said\n%v", o.Result, last.Result)
	}
	refused := all(needing("a", "a"), dry)
	h.wantRefused(t, refused, invalidCode, "a -> a")
	again := apply(workload("a", "one"))
	again.Apply.RequestId = refused.Apply.RequestId
	wantKinds(t, h.must(t, again), created)
	// Done was done: whoever rehearses it again hears how it would be now.
	wantKinds(t, h.must(t, &Request{Principal: "ann", Apply: rehearsal.Apply}), unchanged, unchanged, missing)

	drop := remove("w")
	drop.Delete.DryRun = true
	wantKinds(t, h.must(t, drop), deleted)
	wantKinds(t, h.must(t, remove("w")), deleted)
}

func TestADryRunSeesWhatIsInFlight(t *testing.T) {
	log := newLedger(t, true)
	h := startFull(t, log, nil)
	known := log.View().Revision()
	first := h.send(apply(workload("w", "one")))
	<-log.arrived
	rehearsal := h.send(all(workload("w", "two"), dry))
	<-log.arrived // a question who leads
	log.commit(nil)
	wantKinds(t, <-first, created)
	select {
	case o := <-rehearsal:
		t.Fatalf("answered before this server knew that it still leads: %v", o)
	default:
	}
	log.commit(nil)
	o := <-rehearsal
	wantKinds(t, o, updated)
	if o.Revision != known+1 {
		t.Errorf("it says revision %d, want %d", o.Revision, known+1)
	}
}

// Whoever builds on the revision that he is told must not pass by what came into
// the same entry after him.
func TestADryRunHasNotSeenWhatComesAfterIt(t *testing.T) {
	log := newLedger(t, false)
	h := startFull(t, log, nil)
	h.Drain()
	<-h.Stopped()
	next := prepareHarness(t, log, nil)
	rehearsal, done := next.send(all(workload("w", "one"), dry)), next.send(apply(workload("w", "one")))
	next.run(t)
	o, after := <-rehearsal, <-done
	wantKinds(t, o, created)
	wantKinds(t, after, created)
	if o.Revision >= after.Revision {
		t.Errorf("it says revision %d, in which the state is another since", o.Revision)
	}
}

func TestADryRunWhoseLeaderIsLostWasNotDone(t *testing.T) {
	log := newLedger(t, true)
	h := startFull(t, log, nil)
	first := h.send(apply(workload("w", "one")))
	<-log.arrived
	rehearsal := h.send(all(workload("v", "one"), dry))
	<-log.arrived
	log.commit(ErrFateUnknown)
	if o := <-first; !errors.Is(o.Err, ErrFateUnknown) {
		t.Errorf("a write in flight was answered %v", o.Err)
	}
	if o := <-rehearsal; !errors.Is(o.Err, ErrNotDone) {
		t.Errorf("a rehearsal was answered %v", o.Err)
	}
}
