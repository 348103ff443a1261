package observed

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestASubscriberGetsEveryChangeAfterItsSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustStore(t)
		l := mustLead(t, s, 1)
		connect(t, l, "a")
		mustReport(t, l, "a", false, state(t, "before.1.a", running))
		snapshot, sub := s.Subscribe()
		want(t, "snapshot", texts(snapshot.States), "before.1.a Running(Ok)")
		const n = 1000
		got := make(chan string, n)
		go func() {
			defer close(got)
			for at := snapshot.Position; at.Sequence < snapshot.Position.Sequence+n; {
				batches, err := sub.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				for _, b := range batches {
					if b.Position.Sequence != at.Sequence+1 {
						t.Errorf("batch %s came after %s", b.Position, at)
					}
					at = b.Position
					got <- b.States[0].GetInstance().GetWorkload()
				}
			}
		}()
		for i := range n {
			if i%100 == 0 {
				synctest.Wait() // the subscriber waits for the next
			}
			mustReport(t, l, "a", false, state(t, fmt.Sprintf("w%d.1.a", i), running))
		}
		for i := range n {
			if name := <-got; name != fmt.Sprintf("w%d", i) {
				t.Fatalf("change %d is of %q", i, name)
			}
		}
	})
}

func TestASubscriberThatIsOvertakenIsTold(t *testing.T) {
	cases := map[string]func(*Config){
		"by batches": func(c *Config) { c.RingBatches = 3 },
		"by states":  func(c *Config) { c.RingStates = 3 },
	}
	for what, bound := range cases {
		t.Run(what, func(t *testing.T) {
			s := mustStore(t, bound)
			l := mustLead(t, s, 1)
			connect(t, l, "a")
			_, slow := s.Subscribe()
			for i := range 4 {
				mustReport(t, l, "a", false, state(t, fmt.Sprintf("w%d.1.a", i), running))
			}
			if _, err := slow.Next(t.Context()); !errors.Is(err, ErrCompacted) {
				t.Errorf("got %v, want ErrCompacted", err)
			}
			if len(s.ring.batches) != 3 || s.ring.weight != 3 {
				t.Errorf("the ring holds %d batches of weight %d", len(s.ring.batches), s.ring.weight)
			}
		})
	}
}

func TestABatchLargerThanTheRingStillReachesItsSubscribers(t *testing.T) {
	s := mustStore(t, func(c *Config) { c.RingStates = 3 })
	l := mustLead(t, s, 1)
	connect(t, l, "a")
	_, sub := s.Subscribe()
	var states []*argosyv1.WorkloadState
	for i := range 10 {
		states = append(states, state(t, fmt.Sprintf("w%d.1.a", i), running))
	}
	mustReport(t, l, "a", false, states...)
	if got := len(events(t, sub)); got != 10 {
		t.Errorf("%d events, want 10", got)
	}
}

func TestWaitingForAPosition(t *testing.T) {
	at := Position{Term: 3, Sequence: 10}
	for _, c := range []struct {
		target  Position
		reached bool
	}{
		{Position{}, true}, {Position{2, 99}, true}, {Position{3, 9}, true}, {Position{3, 10}, true},
		{Position{3, 11}, false}, {Position{4, 0}, false},
	} {
		if at.Reached(c.target) != c.reached {
			t.Errorf("%s reached %s: want %v", at, c.target, c.reached)
		}
	}

	synctest.Test(t, func(t *testing.T) {
		leader, follower := mustStore(t), mustStore(t)
		l := mustLead(t, leader, 2)
		connect(t, l, "a")
		if err := leader.WaitPosition(t.Context(), leader.Position()); err != nil {
			t.Error(err)
		}
		returned := make(chan error, 1)
		go func() { returned <- follower.WaitPosition(t.Context(), leader.Position()) }()
		synctest.Wait()
		select {
		case <-returned:
			t.Error("returned before the position was reached")
		default:
		}
		c := mustCopy(t, follower, 2)
		if err := c.ApplyMirror(&argosyv1.MirrorResponse{Term: 2, Sequence: 1, Full: true}); err != nil {
			t.Fatal(err)
		}
		if err := <-returned; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := follower.WaitPosition(ctx, Position{9, 9}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want Canceled", err)
		}
	})
}

func TestTheConfigurationIsChecked(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration was accepted")
	}
}
