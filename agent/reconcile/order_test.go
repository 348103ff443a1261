package reconcile

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// others is what the leader told of workloads on other agents.
type others struct {
	states     map[string]*argosyv1.ExecutionState
	wanted     map[string]string
	dependents map[string][]string
}

func (o *others) States(name string) []*argosyv1.WorkloadState {
	if e := o.states[name]; e != nil {
		return []*argosyv1.WorkloadState{{Instance: &argosyv1.InstanceName{Workload: name, Agent: "node2", Id: "1"}, Execution: e}}
	}
	return nil
}
func (o *others) Wanted(name string) string       { return o.wanted[name] }
func (o *others) Dependents(name string) []string { return o.dependents[name] }
func (o *others) Forget(name string)              { delete(o.dependents, name) }

// becomes changes what is known of a workload on another agent.
func (s *stage) becomes(name string, state argosyv1.State, substate argosyv1.Substate) {
	synctest.Wait()
	s.others.states[name] = &argosyv1.ExecutionState{State: state, Substate: substate}
	s.m.Learn([]string{name})
	synctest.Wait()
}

// asksFor changes which instance of a workload is wanted, as the leader tells it.
func (s *stage) asksFor(name, key string) {
	synctest.Wait()
	s.others.wanted[name] = key
	s.m.Learn([]string{name})
	synctest.Wait()
}

func (s *stage) runs(name string) {
	s.becomes(name, argosyv1.State_STATE_RUNNING, argosyv1.Substate_SUBSTATE_RUNNING_OK)
}

func (s *stage) goes(name string) {
	synctest.Wait()
	delete(s.others.states, name)
	s.m.Learn([]string{name})
	synctest.Wait()
}

// needs makes a workload depend on others: "name", "name succeeded", "name failed".
func needs(on ...string) func(*argosyv1.Workload) {
	conditions := map[string]argosyv1.DependencyCondition{
		"":          argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING,
		"succeeded": argosyv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED,
		"failed":    argosyv1.DependencyCondition_DEPENDENCY_CONDITION_FAILED,
	}
	return func(w *argosyv1.Workload) {
		w.Dependencies = map[string]argosyv1.DependencyCondition{}
		for _, text := range on {
			name, condition, _ := strings.Cut(text, " ")
			w.Dependencies[name] = conditions[condition]
		}
	}
}

func TestAWorkloadStartsWhenWhatItDependsOnIsSo(t *testing.T) {
	play(t, func(s *stage) {
		web := workload("web", needs("db", "job succeeded", "trap failed"))
		s.apply(full(5, web, workload("job")))
		s.mustTellOfEach(
			"job: "+triggered, "job: Running(Ok)",
			"web: Pending(WaitingToStart) Waits for db (running), job (succeeded), trap (failed)")
		s.mustConverge(5) // what waits for others is not this agent's to do

		s.runs("db")
		s.mustTell("web: Pending(WaitingToStart) Waits for job (succeeded), trap (failed)")
		s.pods.Exit(argosyv1.InstanceOf(workload("job")), 0)
		s.mustTell("job: Succeeded(Ok)", "web: Pending(WaitingToStart) Waits for trap (failed)")
		s.becomes("trap", argosyv1.State_STATE_FAILED, argosyv1.Substate_SUBSTATE_FAILED_LOST)
		s.mustTell()
		s.mustCall(1, 0)
		s.becomes("trap", argosyv1.State_STATE_FAILED, argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED)
		s.mustTell("web: "+triggered, "web: Running(Ok)")
		s.mustCall(2, 0)
		s.mustConverge(5)
	})
}

func TestWhatIsThereAlreadyIsNotWaitedFor(t *testing.T) {
	play(t, func(s *stage) {
		s.runs("db")
		s.apply(full(5, workload("web", needs("db"))))
		s.mustTell("web: "+triggered, "web: Running(Ok)")
	})
}

// Once it was started, its restart policy says what becomes of it.
func TestARestartDoesNotWaitForDependencies(t *testing.T) {
	play(t, func(s *stage) {
		s.runs("db")
		web := workload("web", needs("db"), policy(always))
		s.apply(full(5, web))
		s.goes("db")
		s.told()
		s.pods.Exit(argosyv1.InstanceOf(web), 1)
		s.mustTell("web: Failed(ExecFailed) Exit code: '1'", "web: "+triggered, "web: Running(Ok)")
		s.stop()
		s.pods.Exit(argosyv1.InstanceOf(web), 1)
		s.reborn(assignments.Change{Full: true, Revision: 5, Upserts: []*argosyv1.Workload{web}, Started: s.recorded})
		s.m.Confirm()
		time.Sleep(time.Minute)
		s.mustState("web", "Running(Ok)")
	})
}

func TestChangedDependenciesTouchNothingThatRuns(t *testing.T) {
	play(t, func(s *stage) {
		s.apply(full(5, workload("web")))
		s.told()
		s.apply(diff(6, []*argosyv1.Workload{workload("web", needs("nobody"))}))
		s.mustTell()
		s.mustCall(1, 0)
		s.apply(diff(7, []*argosyv1.Workload{workload("late", needs("nobody"))}))
		s.apply(diff(8, []*argosyv1.Workload{workload("late")}))
		s.mustTell("late: Pending(WaitingToStart) Waits for nobody (running)", "late: "+triggered, "late: Running(Ok)")
	})
}

// The condition holds for the new instance, not for the end of the old one.
func TestAnUpdateRemovesTheOldInstanceAtOnceAndWaitsWithTheNewOne(t *testing.T) {
	play(t, func(s *stage) {
		s.apply(full(5, workload("web")))
		s.told()
		s.apply(diff(6, []*argosyv1.Workload{workload("web", config("image: next"), needs("db"))}))
		s.mustTell("web: Stopping(RequestedAtRuntime)", "web: Removed", "web: Pending(WaitingToStart) Waits for db (running)")
		s.runs("db")
		s.mustTell("web: "+triggered, "web: Running(Ok)")
	})
}

func TestAWorkloadStopsAfterThoseThatDependOnIt(t *testing.T) {
	tests := map[string]struct {
		// change is what is done after db and web were started here, and app on
		// another agent, each depending on db.
		change func(s *stage)
		want   []string
	}{
		"both deleted at once": {
			change: func(s *stage) { s.apply(diff(6, nil, "db", "web")); s.goes("app") },
			want: []string{
				"db: Stopping(WaitingToStop) Waits until app, web has stopped",
				"web: Stopping(RequestedAtRuntime)", "web: Removed",
				"db: Stopping(WaitingToStop) Waits until app has stopped",
				"db: Stopping(RequestedAtRuntime)", "db: Removed",
			},
		},
		"while it is being stopped itself": {
			change: func(s *stage) {
				s.apply(diff(6, nil, "db", "web"))
				s.becomes("app", argosyv1.State_STATE_STOPPING, argosyv1.Substate_SUBSTATE_STOPPING_REQUESTED_AT_RUNTIME)
			},
			want: []string{
				"db: Stopping(WaitingToStop) Waits until app, web has stopped",
				"web: Stopping(RequestedAtRuntime)", "web: Removed",
				"db: Stopping(WaitingToStop) Waits until app has stopped",
			},
		},
		"one that never started": {
			change: func(s *stage) {
				s.becomes("app", argosyv1.State_STATE_PENDING, argosyv1.Substate_SUBSTATE_PENDING_WAITING_TO_START)
				s.apply(diff(6, nil, "web"))
				s.apply(diff(7, nil, "db"))
			},
			want: []string{
				"web: Stopping(RequestedAtRuntime)", "web: Removed",
				"db: Stopping(RequestedAtRuntime)", "db: Removed",
			},
		},
		"one whose agent was lost": {
			change: func(s *stage) {
				s.becomes("app", argosyv1.State_STATE_AGENT_DISCONNECTED, argosyv1.Substate_SUBSTATE_UNSPECIFIED)
				s.apply(diff(6, nil, "db", "web"))
			},
			want: []string{
				"db: Stopping(WaitingToStop) Waits until web has stopped",
				"web: Stopping(RequestedAtRuntime)", "web: Removed",
				"db: Stopping(RequestedAtRuntime)", "db: Removed",
			},
		},
		"only itself": {
			change: func(s *stage) { s.apply(diff(6, nil, "db")); time.Sleep(time.Hour) },
			want:   []string{"db: Stopping(WaitingToStop) Waits until app, web has stopped"},
		},
		"wanted again meanwhile": {
			change: func(s *stage) {
				s.apply(diff(6, nil, "db"))
				s.apply(diff(7, []*argosyv1.Workload{workload("db")}))
			},
			want: []string{"db: Stopping(WaitingToStop) Waits until app, web has stopped", "db: Running(Ok)"},
		},
		"changed": {
			change: func(s *stage) {
				s.apply(diff(6, []*argosyv1.Workload{workload("db", config("image: next"))}, "web"))
				s.goes("app")
			},
			want: []string{
				"db: Stopping(WaitingToStop) Waits until app, web has stopped",
				"web: Stopping(RequestedAtRuntime)", "web: Removed",
				"db: Stopping(WaitingToStop) Waits until app has stopped",
				"db: Stopping(RequestedAtRuntime)", "db: Removed", "db: " + triggered, "db: Running(Ok)",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *stage) {
				s.others.dependents["db"] = []string{"app", "web"}
				s.runs("app")
				s.apply(full(5, workload("db"), workload("web", needs("db"))))
				s.told()
				test.change(s)
				s.mustTellOrder(test.want...)
			})
		})
	}
}

// Whoever is to go on beside the next instance never stops for the last one.
func TestWhatGoesOnIsNotWaitedFor(t *testing.T) {
	app := (&argosyv1.InstanceName{Workload: "app", Agent: "node2", Id: "1"}).Key()
	elsewhere := (&argosyv1.InstanceName{Workload: "db", Agent: "node2", Id: "2"}).Key()
	next := workload("db", config("image: next"))
	replaced := []string{"db: Stopping(RequestedAtRuntime)", "db: Removed", "db: " + triggered, "db: Running(Ok)"}
	waits := "db: Stopping(WaitingToStop) Waits until app, web has stopped"
	tests := map[string]struct {
		change func(s *stage)
		want   []string
	}{
		"changed": {
			change: func(s *stage) { s.apply(diff(6, []*argosyv1.Workload{next})) },
			want:   replaced,
		},
		"moved": {
			change: func(s *stage) { s.asksFor("db", elsewhere); s.apply(diff(6, nil, "db")) },
			want:   replaced[:2],
		},
		"deleted, and made anew": {
			change: func(s *stage) { s.apply(diff(6, nil, "db")); s.apply(diff(7, []*argosyv1.Workload{next})) },
			want:   append([]string{waits}, replaced...),
		},
		"deleted, and made anew elsewhere": {
			change: func(s *stage) { s.apply(diff(6, nil, "db")); s.asksFor("db", elsewhere) },
			want:   append([]string{waits}, replaced[:2]...),
		},
		"all deleted, and made anew": {
			change: func(s *stage) {
				s.asksFor("app", "")
				s.apply(diff(6, nil, "db"))
				s.asksFor("app", app)
				s.apply(diff(7, []*argosyv1.Workload{next}))
			},
			want: append([]string{waits}, replaced...),
		},
		"one is to go, too": {
			change: func(s *stage) {
				s.asksFor("app", "")
				s.apply(diff(6, []*argosyv1.Workload{next}))
				s.goes("app")
			},
			want: append([]string{"db: Stopping(WaitingToStop) Waits until app has stopped"}, replaced...),
		},
		"one is being stopped": {
			change: func(s *stage) {
				s.becomes("app", argosyv1.State_STATE_STOPPING, argosyv1.Substate_SUBSTATE_STOPPING_REQUESTED_AT_RUNTIME)
				s.apply(diff(6, []*argosyv1.Workload{next}))
				s.goes("app")
			},
			want: append([]string{"db: Stopping(WaitingToStop) Waits until app has stopped"}, replaced...),
		},
		"deleted, as it was wanted last": {
			change: func(s *stage) {
				s.asksFor("db", argosyv1.InstanceOf(workload("db")).Key())
				s.apply(diff(6, nil, "db"))
			},
			want: []string{waits},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *stage) {
				s.others.dependents["db"] = []string{"app", "web"}
				s.runs("app")
				s.asksFor("app", app)
				s.apply(full(5, workload("db"), workload("web", needs("db"))))
				s.told()
				test.change(s)
				s.mustTell(test.want...)
			})
		})
	}
}

// mustTellOrder is mustTell but for the order of "web: Stopping" and what is said
// of db at the same time: both follow from one change.
func (s *stage) mustTellOrder(want ...string) {
	s.t.Helper()
	got := s.told()
	at := slices.Index(got, "web: Stopping(RequestedAtRuntime)")
	if at == 0 && slices.Index(want, "web: Stopping(RequestedAtRuntime)") == 1 {
		got[0], got[1] = got[1], got[0]
	}
	s.compare(got, want)
}

// A restart of the agent does not forget who is waited for.
func TestAnOrderedStopOutlivesTheAgent(t *testing.T) {
	play(t, func(s *stage) {
		s.others.dependents["db"] = []string{"app"}
		s.runs("app")
		s.apply(full(5, workload("db")))
		s.apply(diff(6, nil, "db"))
		if got := s.m.Awaited(); !slices.Equal(got, []string{"app", "db"}) {
			t.Errorf("the servers are told that it waits for %v", got)
		}
		leaving := slices.Collect(maps.Values(s.leaving))
		s.reborn(assignments.Change{Full: true, Revision: 6, Leaving: leaving})
		s.apply(full(6))
		s.mustState("db", "Stopping(WaitingToStop) Waits until app has stopped")
		s.mustCall(1, 0)
		s.goes("app")
		s.mustCall(1, 1)
		if got := s.m.Awaited(); len(got) != 0 {
			t.Errorf("the servers are told that it waits for %v", got)
		}
		s.mustConverge(6)
	})
}

func TestAfterARebootEverythingIsStartedAgainInOrder(t *testing.T) {
	play(t, func(s *stage) {
		all := []*argosyv1.Workload{
			workload("job"), workload("failed"), workload("web", needs("job succeeded")), workload("missing", needs("db")),
		}
		s.runs("db")
		s.apply(full(5, all...))
		s.pods.Exit(argosyv1.InstanceOf(all[0]), 0)
		s.pods.Exit(argosyv1.InstanceOf(all[1]), 9)
		s.mustCall(4, 0)
		s.stop()
		s.pods.Exit(argosyv1.InstanceOf(all[2]), 137)
		s.pods.Vanish(argosyv1.InstanceOf(all[3]))
		time.Sleep(time.Minute)

		s.goes("db")
		s.reborn(assignments.Change{Full: true, Revision: 5, Upserts: all}, func(c *Config) { c.Rebooted = true })
		s.mustCall(4, 0)
		s.m.Confirm()
		s.mustTellOfEach(
			"failed: "+triggered, "failed: Running(Ok)",
			"job: "+triggered, "job: Running(Ok)",
			"missing: Pending(WaitingToStart) Waits for db (running)",
			"web: Pending(WaitingToStart) Waits for job (succeeded)")
		job, _ := s.pods.Get(argosyv1.InstanceOf(all[0]))
		if job.RuntimeID == "" || job.Status != runtime.StatusRunning {
			t.Errorf("the job that had finished is %v", job)
		}
		s.pods.Exit(argosyv1.InstanceOf(all[0]), 0)
		s.runs("db")
		s.mustState("web", "Running(Ok)")
		s.mustState("missing", "Running(Ok)")
		s.pods.Exit(argosyv1.InstanceOf(all[2]), 1)
		s.mustState("web", "Failed(ExecFailed) Exit code: '1'")
		s.mustCall(8, 0)
	})
}

func TestAfterARebootWithoutAnyServerWhatWasAssignedIsStarted(t *testing.T) {
	remembered := assignments.Change{Full: true, Revision: 5, Upserts: []*argosyv1.Workload{workload("web")}}
	tests := map[string]struct {
		change func(*Config)
		starts int
	}{
		"after a while":            {func(c *Config) { c.Rebooted = true }, 1},
		"not when it is off":       {func(c *Config) { c.Rebooted, c.PresumeAfter = true, 0 }, 0},
		"not without a reboot":     {func(*Config) {}, 0},
		"not before it has waited": {func(c *Config) { c.Rebooted, c.PresumeAfter = true, 2*time.Hour }, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *stage) {
				stray := runtime.Instance{Name: argosyv1.InstanceOf(workload("stray")), Status: runtime.StatusRunning, StartedAt: time.Now()}
				s.pods.Put(stray)
				s.reborn(remembered, test.change)
				s.mustCall(0, 0)
				time.Sleep(time.Hour)
				s.mustCall(test.starts, 0)
				s.apply(full(6)) // a leader answers, and knows better
				if s.mustCall(test.starts, test.starts+1); s.pods.Count() != 0 {
					t.Errorf("%d instances are left", s.pods.Count())
				}
			})
		})
	}
}

func TestAfterARebootWithoutAnyServerNothingIsStartedBesideItsPredecessor(t *testing.T) {
	old, next := workload("web"), workload("web", config("image: new"))
	remembered := assignments.Change{
		Full: true, Revision: 6, Upserts: []*argosyv1.Workload{next},
		Leaving: []assignments.Leaving{{Runtime: "pods", Instance: argosyv1.InstanceOf(old)}},
	}
	play(t, func(s *stage) {
		// Podman starts with the machine what asks for that.
		s.pods.Put(runtime.Instance{Name: argosyv1.InstanceOf(old), Status: runtime.StatusRunning, StartedAt: time.Now()})
		s.reborn(remembered, func(c *Config) { c.Rebooted = true })
		time.Sleep(time.Hour)
		s.mustCall(0, 0)
		s.pods.Vanish(argosyv1.InstanceOf(old))
		s.mustCall(1, 0)
	})
}

func TestAfterARebootWithoutAnyServerWhatWasOnlyCreatedIsStarted(t *testing.T) {
	play(t, func(s *stage) {
		s.pods.Put(runtime.Instance{Name: argosyv1.InstanceOf(workload("web")), Status: runtime.StatusStarting})
		s.reborn(assignments.Change{Full: true, Revision: 5, Upserts: []*argosyv1.Workload{workload("web")}}, func(c *Config) { c.Rebooted = true })
		s.mustCall(0, 0)
		time.Sleep(time.Minute)
		s.mustCall(1, 0)
	})
}

// A machine without a clock that runs on by itself begins in the past.
func TestAfterARebootThatSetTheClockBackEverythingIsStartedAgainToo(t *testing.T) {
	play(t, func(s *stage) {
		job := workload("job")
		s.pods.Put(runtime.Instance{Name: argosyv1.InstanceOf(job), RuntimeID: "1", Status: runtime.StatusExited, StartedAt: time.Now().AddDate(20, 0, 0)})
		s.reborn(assignments.Change{Full: true, Revision: 5, Upserts: []*argosyv1.Workload{job}}, func(c *Config) { c.Rebooted = true })
		s.m.Confirm()
		s.mustState("job", "Running(Ok)")
		s.mustCall(1, 0)
	})
}
