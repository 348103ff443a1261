package reconcile

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest/fake"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestASlowStopDelaysNobodyElse(t *testing.T) {
	playWith(t, func(c *Config) { c.Starts, c.Removals = 1, 1 }, []*fake.Runtime{fake.New("pods")}, func(s *stage) {
		release := make(chan struct{})
		s.pods.OnRemove(func(_ context.Context, n *argosyv1.InstanceName) error {
			if n.GetWorkload() == "slow" {
				<-release
			}
			return nil
		})
		s.apply(full(5, workload("slow"), workload("other"), workload("third")))
		s.apply(diff(6, []*argosyv1.Workload{workload("new")}, "slow"))
		s.mustState("new", "Running(Ok)")
		s.apply(diff(7, nil, "other"))
		time.Sleep(s.m.cfg.SlowAfter)
		synctest.Wait()
		if _, there := s.pods.Get(argosyv1.InstanceOf(workload("other"))); there {
			t.Error("the removal of another waits for the slow one")
		}
		s.mustState("slow", "Stopping(RequestedAtRuntime)")
		close(release)
	})
}

func TestOperationsAreBoundedAndInOrder(t *testing.T) {
	playWith(t, func(c *Config) { c.Starts, c.Operations = 1, 2 }, []*fake.Runtime{fake.New("pods")}, func(s *stage) {
		release := make(chan struct{})
		s.pods.OnStart(func(context.Context, *argosyv1.Workload) error { <-release; return nil })
		var all []*argosyv1.Workload
		for i := range 9 {
			all = append(all, workload(fmt.Sprintf("w%d", i)))
		}
		s.apply(full(5, all...))
		s.mustCall(1, 0)
		time.Sleep(s.m.cfg.SlowAfter)
		s.mustCall(2, 0) // One is slow; another may be, and no more at all.
		time.Sleep(time.Hour)
		s.mustCall(2, 0)
		close(release)
		s.mustCall(9, 0)
		if got := s.pods.Started(); !slices.IsSorted(got) {
			t.Errorf("started in order %v", got)
		}
		s.mustConverge(5)
	})
}

func TestDeletingCutsAStartShort(t *testing.T) {
	play(t, func(s *stage) {
		s.pods.OnStart(func(ctx context.Context, _ *argosyv1.Workload) error {
			<-ctx.Done() // An image that does not come.
			return context.Cause(ctx)
		})
		s.apply(full(5, workload("web")))
		s.mustTell("web: " + triggered)
		s.apply(diff(6, nil, "web"))
		s.mustTell("web: Stopping(RequestedAtRuntime)", "web: Removed")
		s.mustCall(1, 1) // It may have left something.
		s.mustConverge(6)
	})
}

func TestDeletingWhatWasNeverStartedCallsNobody(t *testing.T) {
	playWith(t, func(c *Config) { c.Starts = 1 }, []*fake.Runtime{fake.New("pods")}, func(s *stage) {
		release := make(chan struct{})
		s.pods.OnStart(func(context.Context, *argosyv1.Workload) error { <-release; return nil })
		s.apply(full(5, workload("first"), workload("second")))
		s.apply(diff(6, nil, "second"))
		s.mustTell("first: "+triggered, "second: Removed")
		close(release)
		s.mustTell("first: Running(Ok)")
		s.mustCall(1, 0)
	})
}

func TestNothingIsLeftBehindAtTheEndAndWorkloadsGoOn(t *testing.T) {
	play(t, func(s *stage) {
		s.apply(full(5, workload("web"), workload("stuck")))
		s.pods.OnRemove(func(ctx context.Context, _ *argosyv1.InstanceName) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		s.apply(diff(6, nil, "stuck"))
		begin := time.Now()
		s.stop()
		if took := time.Since(begin); took != s.m.cfg.StopGrace {
			t.Errorf("stop took %v, want %v", took, s.m.cfg.StopGrace)
		}
		if s.pods.Count() != 2 {
			t.Errorf("%d instances run on, want 2", s.pods.Count())
		}
	})
}

func TestAThousandWorkloads(t *testing.T) {
	play(t, func(s *stage) {
		var all []*argosyv1.Workload
		for i := range 1000 {
			all = append(all, workload(fmt.Sprintf("w%d", i), policy(always)))
		}
		s.pods.OnStart(func(context.Context, *argosyv1.Workload) error { time.Sleep(2 * time.Millisecond); return nil })
		s.apply(full(5, all...))
		time.Sleep(time.Minute)
		s.mustConverge(5)
		s.mustCall(1000, 0)
		lists := s.pods.Calls().Lists
		for _, w := range all[:100] {
			s.pods.Exit(argosyv1.InstanceOf(w), 1)
		}
		time.Sleep(10 * time.Second)
		s.mustCall(1100, 0)
		if s.pods.Calls().Lists > lists+1 {
			t.Error("single events cause lists")
		}
		s.apply(full(6))
		time.Sleep(time.Minute)
		s.mustCall(1100, 1000)
		s.mustConverge(6)
	})
}

func TestWhoeverMovesToAnotherRuntimeDoesNotWaitAtTheFormerOne(t *testing.T) {
	pods, other := fake.New("pods"), fake.New("other")
	playWith(t, func(c *Config) { c.Starts, c.Operations = 1, 1 }, []*fake.Runtime{pods, other}, func(s *stage) {
		release := make(chan struct{})
		defer close(release)
		pods.OnStart(func(context.Context, *argosyv1.Workload) error { <-release; return nil })
		s.apply(full(5, workload("first"), workload("second")))
		s.mustTell("first: " + triggered)
		s.apply(diff(6, []*argosyv1.Workload{workload("second", on("other"))}))
		s.mustState("second", "Running(Ok)")
	})
}
