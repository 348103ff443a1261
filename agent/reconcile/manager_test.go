package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest/fake"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// stage is a manager with runtimes in memory, in a bubble of fake time.
type stage struct {
	t        *testing.T
	m        *Manager
	pods     *fake.Runtime
	recorded map[string]bool
	stop     func()
}

// play runs a scenario.
func play(t *testing.T, scenario func(s *stage)) {
	t.Helper()
	playWith(t, func(*Config) {}, []*fake.Runtime{fake.New("pods")}, scenario)
}

func playWith(t *testing.T, change func(*Config), runtimes []*fake.Runtime, scenario func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, pods: runtimes[0], recorded: make(map[string]bool)}
		s.m = mustManager(t, change, runtimes, s)
		s.run()
		defer func() { s.stop() }()
		scenario(s)
	})
}

func mustManager(t *testing.T, change func(*Config), runtimes []*fake.Runtime, recorder Recorder) *Manager {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Agent = "node1"
	change(&cfg)
	all := make([]runtime.Runtime, 0, len(runtimes))
	for _, rt := range runtimes {
		all = append(all, rt)
	}
	m, err := New(cfg, all, recorder)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (s *stage) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.m.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("run: %v", err)
		}
		s.stop = func() {}
	}
	synctest.Wait()
}

// Started implements Recorder.
func (s *stage) Started(w *argosyv1.Workload) { s.recorded[w.GetName()] = true }

// reborn kills the agent and starts it again with the same runtime.
func (s *stage) reborn(remembered assignments.Change) {
	s.stop()
	s.m = mustManager(s.t, func(*Config) {}, []*fake.Runtime{s.pods}, s)
	s.m.Apply(remembered)
	s.run()
}

func workload(name string, change ...func(*argosyv1.Workload)) *argosyv1.Workload {
	w := &argosyv1.Workload{Name: name, Agent: "node1", Runtime: "pods", RuntimeConfig: "image: " + name, CreatedRevision: 5, Revision: 5}
	for _, c := range change {
		c(w)
	}
	return w
}

func policy(p argosyv1.RestartPolicy) func(*argosyv1.Workload) {
	return func(w *argosyv1.Workload) { w.RestartPolicy = p }
}

func config(text string) func(*argosyv1.Workload) {
	return func(w *argosyv1.Workload) { w.RuntimeConfig = text }
}

func on(runtimeName string) func(*argosyv1.Workload) {
	return func(w *argosyv1.Workload) { w.Runtime = runtimeName }
}

func full(revision uint64, workloads ...*argosyv1.Workload) assignments.Change {
	return assignments.Change{Full: true, Vouched: true, Revision: revision, Upserts: workloads}
}

func diff(revision uint64, upserts []*argosyv1.Workload, removals ...string) assignments.Change {
	return assignments.Change{Vouched: true, Revision: revision, Upserts: upserts, Removals: removals}
}

func (s *stage) apply(c assignments.Change) {
	s.m.Apply(c)
	synctest.Wait()
}

// mustTell checks the changes of state that were told since the last call.
func (s *stage) mustTell(want ...string) {
	s.t.Helper()
	synctest.Wait()
	states, whole := s.m.Journal().Take()
	var got []string
	for _, state := range states {
		line := state.GetInstance().GetWorkload() + ": " + state.GetExecution().Text()
		if info := state.GetExecution().GetAdditionalInfo(); info != "" {
			line += " " + info
		}
		got = append(got, line)
	}
	if whole {
		s.t.Fatal("the journal overflowed")
	}
	if !slices.Equal(got, want) {
		s.t.Fatalf("told:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// mustCall checks how often the runtime was asked to start and remove.
func (s *stage) mustCall(starts, removes int) {
	s.t.Helper()
	synctest.Wait()
	if c := s.pods.Calls(); c.Starts != starts || c.Removes != removes {
		s.t.Fatalf("runtime was asked for %d starts and %d removals, want %d and %d", c.Starts, c.Removes, starts, removes)
	}
}

func (s *stage) mustConverge(revision uint64) {
	s.t.Helper()
	synctest.Wait()
	if got := s.m.Journal().Converged(); got != revision {
		s.t.Fatalf("converged up to %d, want %d", got, revision)
	}
}

func (s *stage) mustState(name, want string) *argosyv1.ExecutionState {
	s.t.Helper()
	synctest.Wait()
	for _, state := range s.m.Journal().Full() {
		if state.GetInstance().GetWorkload() == name {
			if got := text(state.GetExecution()); strings.TrimSpace(got) != want {
				s.t.Fatalf("state of %s: %q, want %q", name, got, want)
			}
			return state.GetExecution()
		}
	}
	s.t.Fatalf("no state of %s, want %q", name, want)
	return nil
}

const triggered = "Pending(Starting) Triggered at runtime."

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
		never:     {"web: Failed(Lost)"},
		onFailure: {"web: Failed(Lost)", "web: " + triggered, "web: Running(Ok)"},
		always:    {"web: Failed(Lost)", "web: " + triggered, "web: Running(Ok)"},
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
		s.mustState("gone", "Failed(Lost)")
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
		s.mustState("web", "Failed(Lost)")
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
