package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestANewPolicyCountsForWhatHasEndedAlready(t *testing.T) {
	play(t, func(s *stage) {
		s.apply(full(5, workload("web")))
		s.pods.Exit(argosyv1.InstanceOf(workload("web")), 1)
		s.mustTell("web: "+triggered, "web: Running(Ok)", "web: Failed(ExecFailed) Exit code: '1'")
		time.Sleep(time.Hour)
		s.mustTell()
		s.apply(diff(6, []*argosyv1.Workload{workload("web", policy(onFailure))}))
		s.mustTell("web: "+triggered, "web: Running(Ok)")
	})
}

func TestRestartPolicies(t *testing.T) {
	for _, test := range []struct {
		policy argosyv1.RestartPolicy
		code   int32
		starts int
		sameID bool
	}{
		{never, 0, 1, true}, {never, 1, 1, true},
		{onFailure, 0, 1, true}, {onFailure, 1, 2, false},
		{always, 0, 2, true}, {always, 1, 2, false},
	} {
		t.Run(fmt.Sprintf("%s exit %d", test.policy, test.code), func(t *testing.T) {
			play(t, func(s *stage) {
				w := workload("web", policy(test.policy))
				s.apply(full(5, w))
				before, _ := s.pods.Get(argosyv1.InstanceOf(w))
				s.pods.Exit(argosyv1.InstanceOf(w), test.code)
				time.Sleep(time.Minute)
				s.mustCall(test.starts, 0)
				after, _ := s.pods.Get(argosyv1.InstanceOf(w))
				if (before.RuntimeID == after.RuntimeID) != test.sameID {
					t.Errorf("id before %s, after %s", before.RuntimeID, after.RuntimeID)
				}
				if test.starts == 2 {
					if e := s.mustState("web", "Running(Ok)"); e.GetRestarts() != 1 {
						t.Errorf("restarts: %d, want 1", e.GetRestarts())
					}
				}
			})
		})
	}
}

func TestACrashLoopBacksOff(t *testing.T) {
	play(t, func(s *stage) {
		w := workload("web", policy(always))
		s.apply(full(5, w))
		crash := func() { s.pods.Exit(argosyv1.InstanceOf(w), 1); synctest.Wait() }
		crash()
		s.mustCall(2, 0) // The first restart is prompt.
		crash()
		s.mustCall(2, 0)
		time.Sleep(500 * time.Millisecond)
		s.mustCall(3, 0)
		for starts := 4; starts <= 23; starts++ {
			crash()
			for s.pods.Calls().Starts < starts {
				time.Sleep(100 * time.Millisecond)
			}
		}
		s.mustCall(23, 0)
		crash()
		time.Sleep(3 * time.Minute)
		s.mustCall(23, 0) // By now it waits for minutes.
		time.Sleep(2 * time.Minute)
		s.mustCall(24, 0)
		time.Sleep(time.Minute) // A run that lasts.
		crash()
		s.mustCall(25, 0)
		s.mustConverge(5)
	})
}

func TestALostInstanceIsShownAndStartedAgainAsItsPolicySays(t *testing.T) {
	for p, want := range map[argosyv1.RestartPolicy][]string{
		never:     {"web: Failed(Lost) The runtime does not have it any more"},
		onFailure: {"web: Failed(Lost) The runtime does not have it any more", "web: " + triggered, "web: Running(Ok)"},
		always:    {"web: Failed(Lost) The runtime does not have it any more", "web: " + triggered, "web: Running(Ok)"},
	} {
		t.Run(p.String(), func(t *testing.T) {
			play(t, func(s *stage) {
				w := workload("web", policy(p))
				s.apply(full(5, w))
				s.m.Journal().Full()
				s.pods.Vanish(argosyv1.InstanceOf(w))
				time.Sleep(time.Hour)
				s.mustTell(want...)
			})
		})
	}
}

func TestAnInstanceThatEndedKeepsItsExitCodeWhenItVanishes(t *testing.T) {
	play(t, func(s *stage) {
		w := workload("job", policy(onFailure))
		s.apply(full(5, w))
		s.pods.Exit(argosyv1.InstanceOf(w), 0)
		s.pods.Vanish(argosyv1.InstanceOf(w))
		time.Sleep(time.Hour)
		s.mustCall(1, 0)
		s.mustState("job", "Succeeded(Ok)")
	})
}

func TestAFailedCreationIsRetriedForEver(t *testing.T) {
	play(t, func(s *stage) {
		var mended atomic.Bool
		s.pods.OnStart(func(context.Context, *argosyv1.Workload) error {
			if !mended.Load() {
				return errors.New("pull image: no route to host")
			}
			return nil
		})
		s.apply(full(5, workload("web")))
		s.mustTell("web: "+triggered, "web: Pending(Starting) Retry 1: pull image: no route to host")
		for s.pods.Calls().Starts < 2 {
			time.Sleep(time.Millisecond)
		}
		s.mustTell("web: Pending(Starting) Retry 2: pull image: no route to host")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := s.pods.Calls().Starts; n < 250 || n > 3000 {
			t.Errorf("%d attempts in a day", n)
		}
		s.mustConverge(0)
		mended.Store(true)
		time.Sleep(delayCap)
		e := s.mustState("web", "Running(Ok)")
		if e.GetRestarts() != 0 {
			t.Errorf("a creation counts as %d restarts", e.GetRestarts())
		}
		s.mustConverge(5)
	})
}

func TestWhatCanNeverWorkIsNotTriedAgainUntilItIsWrittenAnew(t *testing.T) {
	play(t, func(s *stage) {
		s.pods.OnStart(func(_ context.Context, w *argosyv1.Workload) error {
			if strings.Contains(w.GetRuntimeConfig(), "bad") {
				return fmt.Errorf("line 1: bad image: %w", runtime.ErrInvalidConfig)
			}
			return nil
		})
		s.apply(full(5, workload("web", config("bad"))))
		s.mustTell("web: "+triggered, "web: Pending(StartingFailed) line 1: bad image: invalid runtime configuration")
		time.Sleep(time.Hour)
		s.mustCall(1, 0)
		s.mustConverge(5)
		s.apply(diff(6, []*argosyv1.Workload{workload("web", config("good"))}))
		s.mustTell("web: Stopping(RequestedAtRuntime)", "web: Removed", "web: "+triggered, "web: Running(Ok)")
	})
}
