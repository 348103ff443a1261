package reconcile

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest/fake"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestAWorkloadIsStartedAndRemovedInTheStatesThatUsersKnow(t *testing.T) {
	play(t, func(s *stage) {
		s.apply(full(5, workload("web")))
		s.mustTell("web: "+triggered, "web: Running(Ok)")
		s.mustConverge(5)
		s.apply(diff(6, nil, "web"))
		s.mustTell("web: Stopping(RequestedAtRuntime)", "web: Removed")
		s.mustConverge(6)
		s.mustCall(1, 1)
		time.Sleep(2 * s.m.cfg.Resync)
		synctest.Wait()
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		if len(s.m.slots) != 0 {
			t.Errorf("slots are left after a resync: %v", s.m.slots)
		}
	})
}

func TestBeingToldTheSameAgainTouchesNothing(t *testing.T) {
	play(t, func(s *stage) {
		all := []*argosyv1.Workload{workload("web"), workload("job"), workload("broken", on("kube"))}
		s.apply(full(5, all...))
		s.pods.Exit(argosyv1.InstanceOf(workload("job")), 0)
		synctest.Wait()
		s.m.Journal().Full()
		s.mustCall(2, 0)
		for range 3 { // New leaders, reconnects.
			s.apply(full(5, all...))
			s.m.Confirm()
			s.apply(diff(5, all))
			s.pods.Resync()
		}
		time.Sleep(5 * time.Minute) // Resyncs.
		s.mustTell()
		s.mustCall(2, 0)
		s.mustState("job", "Succeeded(Ok)")
		s.mustState("broken", "Pending(StartingFailed) Unsupported Runtime")
		s.mustConverge(5)
	})
}

func TestTagsAndRestartPolicyChangeWithoutARestart(t *testing.T) {
	play(t, func(s *stage) {
		s.apply(full(5, workload("web")))
		s.apply(diff(6, []*argosyv1.Workload{workload("web", policy(always), func(w *argosyv1.Workload) {
			w.Tags, w.Revision = map[string]string{"a": "b"}, 6
		})}))
		s.mustTell("web: "+triggered, "web: Running(Ok)")
		s.mustCall(1, 0)
		// The new policy counts.
		s.pods.Exit(argosyv1.InstanceOf(workload("web")), 1)
		s.mustTell("web: Failed(ExecFailed) Exit code: '1'", "web: "+triggered, "web: Running(Ok)")
	})
}

func TestAnUpdateRemovesTheOldCompletelyBeforeItStartsTheNew(t *testing.T) {
	play(t, func(s *stage) {
		release := make(chan struct{})
		s.pods.OnRemove(func(context.Context, *argosyv1.InstanceName) error { <-release; return nil })
		s.apply(full(5, workload("web")))
		s.apply(diff(6, []*argosyv1.Workload{workload("web", config("image: new"))}))
		s.mustTell("web: "+triggered, "web: Running(Ok)", "web: Stopping(RequestedAtRuntime)")
		s.mustCall(1, 1)
		s.mustConverge(5)
		close(release)
		s.mustTell("web: Removed", "web: "+triggered, "web: Running(Ok)")
		s.mustConverge(6)
		if s.pods.Count() != 1 {
			t.Errorf("%d instances, want 1", s.pods.Count())
		}
	})
}

func TestAChangeOfRuntimeIsAnUpdateToo(t *testing.T) {
	pods, other := fake.New("pods"), fake.New("other")
	playWith(t, func(*Config) {}, []*fake.Runtime{pods, other}, func(s *stage) {
		s.apply(full(5, workload("web")))
		s.apply(diff(6, []*argosyv1.Workload{workload("web", on("other"))}))
		s.mustTell("web: "+triggered, "web: Running(Ok)", "web: Stopping(RequestedAtRuntime)", "web: Removed", "web: "+triggered, "web: Running(Ok)")
		if pods.Count() != 0 || other.Count() != 1 {
			t.Errorf("%d and %d instances, want 0 and 1", pods.Count(), other.Count())
		}
	})
}

func TestDeletedAndMadeAgainIsANewInstance(t *testing.T) {
	play(t, func(s *stage) {
		job := workload("job")
		s.apply(full(5, job))
		s.pods.Exit(argosyv1.InstanceOf(job), 0)
		synctest.Wait()
		again := workload("job", func(w *argosyv1.Workload) { w.CreatedRevision, w.Revision = 9, 9 })
		s.apply(diff(9, []*argosyv1.Workload{again}))
		s.mustTell("job: "+triggered, "job: Running(Ok)", "job: Succeeded(Ok)",
			"job: Stopping(RequestedAtRuntime)", "job: Removed", "job: "+triggered, "job: Running(Ok)")
		s.mustCall(2, 1)
	})
}

func TestChangedAndChangedBackBeforeAnythingHappenedIsNoChange(t *testing.T) {
	play(t, func(s *stage) {
		s.apply(full(5, workload("web")))
		s.pods.SetDown(true)
		s.m.mu.Lock()
		s.m.lose(s.m.hosts["pods"], runtime.ErrUnavailable)
		s.m.mu.Unlock()
		s.apply(diff(6, []*argosyv1.Workload{workload("web", config("image: new"))}))
		s.apply(diff(7, []*argosyv1.Workload{workload("web")}))
		s.pods.SetDown(false)
		synctest.Wait()
		// What is removed is the instance that was never made.
		s.mustTell("web: "+triggered, "web: Running(Ok)", "web: Removed")
		s.mustState("web", "Running(Ok)")
		s.mustCall(1, 0)
		s.mustConverge(7)
	})
}

func TestAFailedRemovalIsShownAndTriedAgain(t *testing.T) {
	play(t, func(s *stage) {
		failures := 3
		s.pods.OnRemove(func(context.Context, *argosyv1.InstanceName) error {
			if failures--; failures >= 0 {
				return errors.New("device busy")
			}
			return nil
		})
		s.apply(full(5, workload("web")))
		s.apply(diff(6, nil, "web"))
		s.mustTell("web: "+triggered, "web: Running(Ok)", "web: Stopping(RequestedAtRuntime)", "web: Stopping(DeleteFailed) device busy")
		// Whatever the instance does now, it is on its way out.
		s.pods.Exit(argosyv1.InstanceOf(workload("web")), 0)
		s.mustConverge(5)
		time.Sleep(time.Minute)
		s.mustTell("web: Removed")
		s.mustCall(1, 4)
		s.mustConverge(6)
	})
}

func TestAWorkloadOfAnotherAgentIsRefused(t *testing.T) {
	play(t, func(s *stage) {
		s.apply(full(5, workload("web", func(w *argosyv1.Workload) { w.Agent = "node2" })))
		s.mustTell()
		s.mustCall(0, 0)
		if s.pods.Count() != 0 {
			t.Error("it was started")
		}
	})
}
