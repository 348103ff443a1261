package writer

import (
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// sendAll submits requests together.
func (h *harness) sendAll(requests ...*Request) []<-chan Outcome {
	var all []<-chan Outcome
	for _, r := range requests {
		done := make(chan Outcome, 1)
		r.Done = func(o Outcome) { done <- o }
		all = append(all, done)
	}
	h.SubmitAll(requests)
	return all
}

func TestRequestsThatCameTogetherMakeOneEntry(t *testing.T) {
	log := newLedger(t, false)
	h := start(t, log, nil)
	invalid := apply(workload("", "1"))
	all := h.sendAll(apply(workload("a", "1")), invalid, apply(workload("b", "1")), remove("a"))
	wantCode(t, <-all[1], argosyv1.ErrorCode_ERROR_CODE_INVALID)
	first, last := <-all[0], <-all[3]
	wantKinds(t, first, created)
	wantKinds(t, last, deleted)
	if log.count() != 1 || first.Revision != last.Revision {
		t.Errorf("%d entries, revisions %d and %d", log.count(), first.Revision, last.Revision)
	}
}

func TestOfRequestsThatCameTogetherThoseAreRefusedForWhichThereIsNoRoom(t *testing.T) {
	h := prepareHarness(t, newLedger(t, false), func(c *Config, _ *Deps) { c.MaxQueue = 2 })
	all := h.sendAll(apply(workload("a", "1")), apply(workload("b", "1")), apply(workload("c", "1")))
	wantCode(t, <-all[2], argosyv1.ErrorCode_ERROR_CODE_OVERLOADED)
	h.run(t)
	wantKinds(t, <-all[0], created)
	wantKinds(t, <-all[1], created)
}
