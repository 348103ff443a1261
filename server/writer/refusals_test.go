package writer

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// A client asks a second server when the first is silent. Once the one copy of a
// request was refused, its client has been told that nothing was done.
func TestACopyOfARefusedWriteIsRefusedThoughItWouldPassNow(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	gone, twice := remove("w"), apply(workload("v", "two"))
	twice.Apply.MustNotExist = true
	h.must(t, apply(workload("v", "one")))
	wantCode(t, <-h.send(gone), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND)
	first := wantCode(t, <-h.send(twice), argosyv1.ErrorCode_ERROR_CODE_CONFLICT)

	h.must(t, apply(workload("w", "one")))
	h.must(t, remove("v"))
	entries := h.log.count()
	wantCode(t, <-h.send(&Request{Principal: "ann", Delete: gone.Delete}), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND)
	again := wantCode(t, <-h.send(&Request{Principal: "ann", Apply: twice.Apply}), argosyv1.ErrorCode_ERROR_CODE_CONFLICT)
	if again.Error() != first.Error() {
		t.Errorf("the copy was told %q, the first %q", again, first)
	}
	wantCode(t, <-h.send(&Request{Principal: "bob", Apply: twice.Apply}), argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN)
	if h.log.count() != entries {
		t.Error("a copy was carried out")
	}
}

func TestACopyThatComesBeforeTheRefusalIsAnsweredIsRefusedWithIt(t *testing.T) {
	log := newLedger(t, true)
	h := start(t, log, nil)
	r := apply(workload("w", "two"))
	r.Apply.MustNotExist = true
	made := h.send(apply(workload("w", "one")))
	<-log.arrived
	refused := h.send(r) // by what is in flight
	<-log.arrived
	log.commit(nil)
	revision := (<-made).Revision
	deleted := h.send(remove("w"))
	<-log.arrived
	copied := h.send(&Request{Principal: "ann", Apply: r.Apply})
	log.commit(nil)
	first := wantCode(t, <-refused, argosyv1.ErrorCode_ERROR_CODE_CONFLICT)
	<-log.arrived
	log.commit(nil)
	if o := <-deleted; o.Err != nil {
		t.Fatal(o.Err)
	}
	log.commit(nil)
	again := wantCode(t, <-copied, argosyv1.ErrorCode_ERROR_CODE_CONFLICT)
	if first.Detail.GetCurrentRevision() != revision || again.Error() != first.Error() {
		t.Errorf("the copy was told %q, the first %q, of revision %d", again, first, revision)
	}
}

func TestACopyOfAWriteForWhichThereWasNoRoomIsRefusedThoughThereIsNow(t *testing.T) {
	var full atomic.Bool
	h := start(t, newLedger(t, false), func(_ *Config, d *Deps) {
		d.Full = func() error {
			if full.Load() {
				return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_SPACE, "disk is full")
			}
			return nil
		}
	})
	done, refused := apply(workload("w", "one")), apply(workload("v", "one"))
	h.must(t, done)
	full.Store(true)
	wantCode(t, <-h.send(refused), argosyv1.ErrorCode_ERROR_CODE_NO_SPACE)
	// A repeat of what was done adds nothing.
	if o := h.must(t, &Request{Principal: "ann", Apply: done.Apply}); !o.Replayed {
		t.Errorf("a repeat was answered %+v", o)
	}
	full.Store(false)
	wantCode(t, <-h.send(&Request{Principal: "ann", Apply: refused.Apply}), argosyv1.ErrorCode_ERROR_CODE_NO_SPACE)
	if n := h.log.count(); n != 1 {
		t.Errorf("%d entries were written, want that of the first write", n)
	}
}

func TestACopyOfAWriteBeyondTheQuotaIsRefusedThoughThereIsRoomNow(t *testing.T) {
	h := start(t, newLedger(t, false), nil)
	quota := func(bytes uint64) {
		t.Helper()
		if err := h.Mutate(t.Context(), func(c *Working) error {
			return c.PutMessage(argosyv1.RowKind_ROW_KIND_CLUSTER, fsm.ClusterKey, "", &argosyv1.ClusterSettings{StateQuotaBytes: bytes})
		}); err != nil {
			t.Fatal(err)
		}
	}
	quota(1)
	r := apply(workload("w", "one"))
	wantCode(t, <-h.send(r), argosyv1.ErrorCode_ERROR_CODE_NO_SPACE)
	quota(1 << 30)
	wantCode(t, <-h.send(&Request{Principal: "ann", Apply: r.Apply}), argosyv1.ErrorCode_ERROR_CODE_NO_SPACE)
}

func TestTheOldestRefusalsAreForgotten(t *testing.T) {
	var f refusals
	id := func(n int) *Request {
		r := &Request{}
		copy(r.requestID[:], fmt.Sprintf("%016d", n))
		return r
	}
	for n := range mostRefusals + 100 {
		f.note(id(n), nil)
	}
	if len(f.by) != mostRefusals || len(f.ring) != mostRefusals {
		t.Errorf("%d refusals are remembered, in %d places", len(f.by), len(f.ring))
	}
	for n, want := range map[int]bool{0: false, 99: false, 100: true, mostRefusals: true, mostRefusals + 99: true} {
		if f.by[id(n).requestID] != nil != want {
			t.Errorf("refusal %d is remembered: %v", n, !want)
		}
	}
}
