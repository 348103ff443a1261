package fault

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAServerThatDoesNotComeBackIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger([]string{"a", "b", "c"})
		defer l.Close()
		back := make(chan struct{})
		is := func(context.Context) error {
			select {
			case <-back:
				return nil
			default:
				return errors.New("it is not there")
			}
		}
		released := false
		l.await("a", is, func() { released = true })

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Settle(short); !errors.Is(err, ErrStuck) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("settle: %v", err)
		}

		// While there is no quorum nothing can be expected of anybody.
		down, err := l.Take(Harm{Down: []string{"b", "c"}})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * returnLimit)
		down.Release()
		close(back)
		if err := l.Settle(t.Context()); err != nil || !released {
			t.Errorf("settle: %v, released: %v", err, released)
		}

		l.await("b", func(context.Context) error { return errors.New("it is gone") }, func() { t.Error("released") })
		begun := time.Now()
		if err := l.Settle(t.Context()); !errors.Is(err, ErrStuck) {
			t.Errorf("settle: %v", err)
		}
		if took := time.Since(begun); took < returnLimit {
			t.Errorf("given up after %v", took)
		}
	})
}

func TestALedgerThatIsClosedWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger([]string{"a"})
		l.await("a", func(context.Context) error { return errors.New("it is gone") }, func() { t.Error("released") })
		l.Close()
		l.Close()
		if err := l.Settle(t.Context()); !errors.Is(err, ErrStuck) {
			t.Errorf("settle: %v", err)
		}
	})
}

// Two that wait for each other to come back are stuck, and not for ever.
func TestTimeInWhichOnlyThoseAreMissingThatComeBackCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger([]string{"a", "b", "c"})
		defer l.Close()
		for _, name := range []string{"a", "b"} {
			h := l.Note(Harm{Doubtful: []string{name}})
			l.await(name, func(context.Context) error { return errors.New("it is not there") }, h.Release)
		}
		begun := time.Now()
		if err := l.Settle(t.Context()); !errors.Is(err, ErrStuck) {
			t.Errorf("settle: %v", err)
		}
		if took := time.Since(begun); took < returnLimit || took > returnLimit+2*lookEvery {
			t.Errorf("given up after %v", took)
		}
	})
}

func TestNothingIsBegunOnceThingsSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger([]string{"a"})
		defer l.Close()
		wrong := errors.New("its disk is gone")
		if !l.operate("have a begin anew", func() error { return wrong }) {
			t.Error("not done before")
		}
		if err := l.Settle(t.Context()); !errors.Is(err, wrong) || !errors.Is(err, ErrStuck) {
			t.Errorf("settle: %v", err)
		}
		if l.operate("have a begin anew", func() error { t.Error("done"); return nil }) {
			t.Error("said to be done")
		}
	})
}
