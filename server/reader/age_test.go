package reader

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTheAgeIsThatOfTheLastQuestionWhoseAnswerWasReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		local := &replica{}
		r := run(t, local, nil)
		if age, known := r.Age(); known {
			t.Errorf("nobody was asked, and it is %v old", age)
		}
		// Two questions wait for a leader; it gives 42 and 43.
		_, _ = r.Age()
		r.Open(&source{asked: 41})
		synctest.Wait()
		for has := range uint64(42) {
			local.reach(has)
			if age, known := r.Age(); known {
				t.Fatalf("it has %d of 42 and claims to be %v old", has, age)
			}
		}
		local.reach(42)
		mustAge(t, r, 0)
		// The leader is asked again when that was long ago, and not before.
		wait(t, young)
		mustAge(t, r, young)
	})
}

func TestTheAgeGrowsWhileNobodyLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		local := &replica{has: 100}
		r := run(t, local, nil)
		r.Open(&source{asked: 41})
		mustAge(t, r, 0)
		r.Close()
		begun := time.Now()
		wait(t, time.Minute)
		// Those who ask first wait for a moment, in the hope of a leader.
		for range 100 {
			if age, known := r.Age(); !known || age != time.Since(begun) {
				t.Fatalf("age %v, %v after %v", age, known, time.Since(begun))
			}
		}
		if waited := time.Since(begun) - time.Minute; waited > 2*glance {
			t.Errorf("100 reads waited for %v", waited)
		}
		r.Open(&source{asked: 41})
		synctest.Wait()
		mustAge(t, r, 0)
	})
}

func mustAge(t *testing.T, r *Reader, want time.Duration) {
	t.Helper()
	if age, known := r.Age(); !known || age != want {
		t.Fatalf("age %v, %v, want %v", age, known, want)
	}
}

// wait lets the time of the bubble pass.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
