package reconcile

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest/fake"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestAnAgentThatStartsAgainTakesUpWhatRuns(t *testing.T) {
	play(t, func(s *stage) {
		all := []*argosyv1.Workload{workload("web", policy(always)), workload("job"), workload("failed"), workload("gone")}
		s.apply(full(5, all...))
		s.pods.Exit(argosyv1.InstanceOf(workload("job")), 0)
		s.pods.Exit(argosyv1.InstanceOf(workload("failed")), 9)
		s.mustCall(4, 0)
		s.stop()
		s.pods.Vanish(argosyv1.InstanceOf(workload("gone")))
		s.reborn(assignments.Change{Full: true, Revision: 5, Upserts: all, Started: s.recorded})
		s.mustState("web", "Running(Ok)")
		s.m.Confirm()
		s.apply(full(5, all...))
		time.Sleep(time.Hour)
		s.mustCall(4, 0)
		s.mustState("web", "Running(Ok)")
		s.mustState("job", "Succeeded(Ok)")
		s.mustState("failed", "Failed(ExecFailed) Exit code: '9'")
		s.mustState("gone", "Failed(Lost) The runtime does not have it any more")
	})
}

func TestAnAgentWithoutMemoryTakesUpWhatRunsToo(t *testing.T) {
	play(t, func(s *stage) {
		all := []*argosyv1.Workload{workload("web"), workload("job")}
		s.apply(full(5, all...))
		s.pods.Exit(argosyv1.InstanceOf(workload("job")), 0)
		s.reborn(assignments.Change{Full: true})
		s.apply(full(5, all...))
		s.mustCall(2, 0)
		s.mustState("job", "Succeeded(Ok)")
	})
}

func TestWithoutALeaderWhatExistsIsSupervisedAndNothingElse(t *testing.T) {
	play(t, func(s *stage) {
		web, missing := workload("web", policy(always)), workload("missing", policy(always))
		stray := workload("stray")
		for _, w := range []*argosyv1.Workload{web, stray} {
			s.pods.Put(runtime.Instance{Name: argosyv1.InstanceOf(w), Status: runtime.StatusRunning, StartedAt: time.Now()})
		}
		s.apply(assignments.Change{Full: true, Revision: 5, Upserts: []*argosyv1.Workload{web, missing}, Started: map[string]bool{"missing": true}})
		time.Sleep(time.Hour)
		s.mustCall(0, 0)
		s.pods.Exit(argosyv1.InstanceOf(web), 1)
		s.mustCall(1, 0) // Restart policies apply.
		s.mustConverge(0)
		s.m.Confirm()
		s.mustCall(2, 1) // Now the missing one is made, and the stray removed.
		s.mustConverge(5)
	})
}

func TestARuntimeThatDoesNotAnswerLosesNothing(t *testing.T) {
	play(t, func(s *stage) {
		web, job := workload("web", policy(always)), workload("job")
		s.apply(full(5, web, job))
		s.pods.Exit(argosyv1.InstanceOf(job), 0)
		synctest.Wait()
		s.m.Journal().Full()
		s.pods.SetDown(true)
		s.pods.Resync() // Its service broke.
		time.Sleep(10 * time.Minute)
		s.mustTell()
		s.mustCall(2, 0)
		infos := s.m.Runtimes(context.Background())
		if len(infos) != 1 || !strings.Contains(infos[0].GetProblem(), "unavailable") {
			t.Errorf("runtimes: %v", infos)
		}
		s.apply(diff(6, []*argosyv1.Workload{workload("new")}, "web"))
		s.mustTell()
		s.mustConverge(5)
		s.pods.SetDown(false)
		synctest.Wait()
		if problem := s.m.Runtimes(context.Background())[0].GetProblem(); problem != "" {
			t.Errorf("problem after its return: %q", problem)
		}
		s.mustState("new", "Running(Ok)")
		s.mustState("job", "Succeeded(Ok)")
		s.mustCall(3, 1)
		s.mustConverge(6)
	})
}

func TestAStartWhoseRuntimeBrokeIsNoFailedAttemptAndRunsOnce(t *testing.T) {
	play(t, func(s *stage) {
		w := workload("job")
		s.pods.OnStart(func(context.Context, *argosyv1.Workload) error {
			// The job is started all the same, and ends; nobody hears of it.
			s.pods.SetMuted(true)
			s.pods.Put(runtime.Instance{Name: argosyv1.InstanceOf(w), Status: runtime.StatusExited, StartedAt: time.Now()})
			s.pods.SetMuted(false)
			return runtime.ErrUnavailable
		})
		s.apply(full(5, w))
		time.Sleep(time.Hour)
		s.mustTell("job: "+triggered, "job: Succeeded(Ok)")
		s.mustCall(1, 0)
	})
}

func TestARuntimeThatListsButDoesNotStartIsNotAskedInATightLoop(t *testing.T) {
	play(t, func(s *stage) {
		s.pods.OnStart(func(context.Context, *argosyv1.Workload) error { return runtime.ErrUnavailable })
		s.apply(full(5, workload("web")))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := s.pods.Calls().Starts; n < 5 || n > 60 {
			t.Errorf("%d attempts in ten minutes", n)
		}
	})
}

func TestMissedEventsAreFoundByTheResync(t *testing.T) {
	play(t, func(s *stage) {
		s.apply(full(5, workload("web"), workload("job")))
		s.m.Journal().Full()
		s.pods.SetMuted(true)
		s.pods.Exit(argosyv1.InstanceOf(workload("job")), 3)
		s.pods.Vanish(argosyv1.InstanceOf(workload("web")))
		s.pods.Put(runtime.Instance{Name: argosyv1.InstanceOf(workload("stray")), Status: runtime.StatusRunning})
		s.mustTell()
		time.Sleep(s.m.cfg.Resync)
		synctest.Wait()
		s.mustState("job", "Failed(ExecFailed) Exit code: '3'")
		s.mustState("web", "Failed(Lost) The runtime does not have it any more")
		s.mustCall(2, 1)
	})
}

func TestAFullReportNamesWhatIsHeldButNotStartedYet(t *testing.T) {
	// Servers start a workload elsewhere once no agent names it.
	play(t, func(s *stage) {
		s.pods.SetDown(true)
		s.pods.Resync()
		synctest.Wait()
		s.apply(full(5, workload("web")))
		s.mustTell()
		s.mustState("web", "Pending(Initial)")
	})
}

func TestWhatIsHereIsNamedThoughNobodyAskedForIt(t *testing.T) {
	play(t, func(s *stage) {
		stray := workload("stray")
		s.pods.Put(runtime.Instance{Name: argosyv1.InstanceOf(stray), Status: runtime.StatusRunning, StartedAt: time.Now()})
		s.mustState("stray", "Running(Ok)")
		s.pods.Exit(argosyv1.InstanceOf(stray), 1)
		s.mustTell("stray: Failed(ExecFailed) Exit code: '1'")
		s.pods.Vanish(argosyv1.InstanceOf(stray))
		s.mustTell("stray: Removed")
		s.mustCall(0, 0)
	})
}

func TestARemovalIsGoneOnWithByTheNextLifeOfTheAgent(t *testing.T) {
	play(t, func(s *stage) {
		web, job := workload("web"), workload("job")
		s.apply(full(5, web, job))
		s.pods.OnRemove(func(context.Context, *argosyv1.InstanceName) error { return runtime.ErrUnavailable })
		s.pods.SetDown(true)
		s.apply(diff(6, nil, "web", "job"))
		synctest.Wait()
		remembered := assignments.Change{Full: true, Revision: 6, Leaving: slices.Collect(maps.Values(s.leaving))}
		if len(remembered.Leaving) != 2 {
			t.Fatalf("leaving: %v", remembered.Leaving)
		}
		s.stop()
		s.pods.Vanish(argosyv1.InstanceOf(job))
		s.reborn(remembered)
		// Its runtime does not tell that it is here, and still it is named.
		s.mustState("web", "Stopping(RequestedAtRuntime)")
		s.m.Confirm()
		s.mustState("web", "Stopping(RequestedAtRuntime)")
		s.pods.OnRemove(nil)
		s.pods.SetDown(false)
		// Once more with its id, which is known again.
		s.mustTellOfEach("web: Stopping(RequestedAtRuntime)", "job: Removed", "web: Removed")
		if len(s.leaving) != 0 || s.pods.Count() != 0 {
			t.Errorf("left over: %v", s.leaving)
		}
		s.mustConverge(6)
	})
}

func TestAnUnfinishedRemovalElsewhereHoldsTheNewInstanceBackAfterARestartToo(t *testing.T) {
	pods, other := fake.New("pods"), fake.New("other")
	old := argosyv1.InstanceOf(workload("web"))
	pods.Put(runtime.Instance{Name: old, Status: runtime.StatusRunning})
	pods.SetDown(true)
	playWith(t, func(*Config) {}, []*fake.Runtime{pods, other}, func(s *stage) {
		s.apply(assignments.Change{
			Full: true, Revision: 6, Upserts: []*argosyv1.Workload{workload("web", on("other"))},
			Leaving: []assignments.Leaving{{Runtime: "pods", Instance: old}},
		})
		s.m.Confirm()
		time.Sleep(time.Hour)
		if n := other.Calls().Starts; n != 0 {
			t.Fatalf("%d starts beside what may still run", n)
		}
		s.mustTell("web: Stopping(RequestedAtRuntime)")
		pods.SetDown(false)
		s.mustTell("web: Stopping(RequestedAtRuntime)", "web: Removed", "web: "+triggered, "web: Running(Ok)")
		if pods.Count() != 0 || other.Count() != 1 {
			t.Errorf("%d and %d instances, want 0 and 1", pods.Count(), other.Count())
		}
	})
}

func TestTheOldNewsOfAnInstanceThatMadeWayIsIgnored(t *testing.T) {
	play(t, func(s *stage) {
		w := workload("web", policy(always))
		s.apply(full(5, w))
		old, _ := s.pods.Get(argosyv1.InstanceOf(w))
		time.Sleep(time.Minute)
		s.pods.Exit(argosyv1.InstanceOf(w), 1)
		synctest.Wait()
		s.m.Journal().Full()
		h := s.m.hosts["pods"]
		old.Status = runtime.StatusExited
		s.m.event(h, runtime.Event{Instance: old})
		s.m.event(h, runtime.Event{Instance: old, Gone: true})
		s.mustTell()
		s.mustCall(2, 0)
		s.apply(diff(6, nil, "web"))
		last := old
		last.RuntimeID = "pods-2"
		s.m.event(h, runtime.Event{Instance: last})
		s.mustTell("web: Stopping(RequestedAtRuntime)", "web: Removed")
		s.mustCall(2, 1)
	})
}

func TestAListThatWasAskedForBeforeSaysNothingAgainstWhatIsKnownSince(t *testing.T) {
	play(t, func(s *stage) {
		h := s.m.hosts["pods"]
		s.m.mu.Lock()
		asked := s.m.seq
		s.m.mu.Unlock()
		s.apply(full(5, workload("web"), workload("brief")))
		s.apply(diff(6, nil, "brief"))
		s.m.Journal().Full()
		brief := runtime.Instance{Name: argosyv1.InstanceOf(workload("brief")), RuntimeID: "pods-2", Status: runtime.StatusRunning}
		s.m.mu.Lock()
		s.m.listed(h, []runtime.Instance{brief}, nil, asked)
		s.m.mu.Unlock()
		s.mustTell()
		s.mustCall(2, 1)
	})
}
