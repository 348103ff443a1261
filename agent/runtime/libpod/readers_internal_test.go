package libpod

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestARemovalWaitsForWhoFollowsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReaders()
		_, other := r.enter("other")
		defer other()
		began := time.Now()
		r.drain(t.Context(), "c")
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %v for nobody", took)
		}
		quick, leave := r.enter("c")
		time.AfterFunc(300*time.Millisecond, leave)
		r.drain(t.Context(), "c")
		if took := time.Since(began); took != 300*time.Millisecond || quick.cut.Load() {
			t.Errorf("waited %v, cut off %v", took, quick.cut.Load())
		}
		slow, leave := r.enter("c")
		defer leave()
		r.drain(t.Context(), "c")
		if took := time.Since(began); took != 300*time.Millisecond+drainTimeout || !slow.cut.Load() {
			t.Errorf("waited %v, cut off %v", took, slow.cut.Load())
		}
	})
}
