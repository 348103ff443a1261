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
		release, err := l.Take(Harm{Down: []string{"b", "c"}})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * returnLimit)
		release()
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
