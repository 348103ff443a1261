package reconcile

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// update plays a change of a workload that runs. Pulling is held up until it is
// ended with what becomes of it, removing until it is let go.
type update struct {
	*stage
	old, new *argosyv1.Workload
	pulled   chan error
	removing chan struct{}
	order    []string
}

func playUpdate(t *testing.T, scenario func(u *update)) {
	t.Helper()
	play(t, func(s *stage) {
		u := &update{
			stage: s, old: workload("web"), new: workload("web", config("image: new")),
			pulled: make(chan error), removing: make(chan struct{}),
		}
		s.apply(full(5, u.old))
		s.mustTell("web: "+triggered, "web: Running(Ok)")
		s.pods.OnCreate(func(ctx context.Context, _ *argosyv1.Workload) error {
			u.order = append(u.order, "create")
			select {
			case err := <-u.pulled:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		s.pods.OnRemove(func(ctx context.Context, _ *argosyv1.InstanceName) error {
			u.order = append(u.order, "remove")
			select {
			case <-u.removing:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		s.pods.OnStart(func(context.Context, *argosyv1.Workload) error { u.order = append(u.order, "start"); return nil })
		s.apply(diff(6, []*argosyv1.Workload{u.new}))
		scenario(u)
	})
}

// pull ends the pull that is under way.
func (u *update) pull(err error) {
	u.pulled <- err
	synctest.Wait()
}

func (u *update) mustOrder(want ...string) {
	u.t.Helper()
	synctest.Wait()
	if !slices.Equal(u.order, want) {
		u.t.Fatalf("the runtime was asked for %v, want %v", u.order, want)
	}
}

// mustHave checks which instances there are, and that each is in a status.
func (u *update) mustHave(want map[*argosyv1.Workload]runtime.Status) {
	u.t.Helper()
	synctest.Wait()
	for w, status := range want {
		if i, ok := u.pods.Get(argosyv1.InstanceOf(w)); !ok || i.Status != status {
			u.t.Fatalf("instance of %q is %+v, want status %d", w.GetRuntimeConfig(), i, status)
		}
	}
	if u.pods.Count() != len(want) {
		u.t.Fatalf("%d instances, want %d", u.pods.Count(), len(want))
	}
}

type statuses = map[*argosyv1.Workload]runtime.Status

func TestAnUpdateCreatesTheNewWhileTheOldStillRuns(t *testing.T) {
	playUpdate(t, func(u *update) {
		time.Sleep(5 * time.Minute) // until the image is there
		u.mustHave(statuses{u.old: runtime.StatusRunning})
		u.mustTell()
		u.mustConverge(5)
		u.pull(nil)
		u.mustHave(statuses{u.old: runtime.StatusRunning, u.new: runtime.StatusStarting})
		created, _ := u.pods.Get(argosyv1.InstanceOf(u.new))
		u.mustTell("web: Stopping(RequestedAtRuntime)")
		close(u.removing)
		u.mustTell("web: Removed", "web: "+triggered, "web: Running(Ok)")
		u.mustOrder("create", "remove", "start")
		u.mustHave(statuses{u.new: runtime.StatusRunning})
		if started, _ := u.pods.Get(argosyv1.InstanceOf(u.new)); started.RuntimeID != created.RuntimeID {
			t.Errorf("%s was started, want what was created: %s", started.RuntimeID, created.RuntimeID)
		}
		u.mustConverge(6)
	})
}

func TestACreationAheadThatFailsKeepsNothingFromItsEnd(t *testing.T) {
	for _, err := range []error{errors.New("pull image: not found"), errors.ErrUnsupported} {
		t.Run(err.Error(), func(t *testing.T) {
			playUpdate(t, func(u *update) {
				u.pods.OnStart(func(context.Context, *argosyv1.Workload) error { return errors.New("pull image: not found") })
				u.pull(err)
				u.mustHave(statuses{u.old: runtime.StatusRunning})
				close(u.removing)
				u.mustTell("web: Stopping(RequestedAtRuntime)", "web: Removed", "web: "+triggered, "web: Pending(Starting) Retry 1: pull image: not found")
				u.mustOrder("create", "remove") // and is not tried ahead again
				u.pods.OnStart(nil)
				time.Sleep(time.Hour)
				u.mustHave(statuses{u.new: runtime.StatusRunning})
			})
		})
	}
}

func TestARuntimeThatFailsMeanwhileLeavesTheOldAlone(t *testing.T) {
	playUpdate(t, func(u *update) {
		u.pods.SetDown(true)
		u.pull(runtime.ErrUnavailable)
		time.Sleep(time.Minute)
		u.mustTell()
		u.mustOrder("create")
		close(u.removing)
		u.pods.SetDown(false)
		u.mustTell("web: Stopping(RequestedAtRuntime)", "web: Removed", "web: "+triggered, "web: Running(Ok)")
		u.mustOrder("create", "remove", "start")
	})
}

func TestWhatWasCreatedInVainIsRemoved(t *testing.T) {
	other := workload("web", config("image: other"))
	for _, test := range []struct {
		name string
		// change is what happens before the old is gone; runs is what is left of it.
		change assignments.Change
		runs   *argosyv1.Workload
	}{
		{"changed again", diff(7, []*argosyv1.Workload{other}), other},
		{"changed back", diff(7, []*argosyv1.Workload{workload("web")}), workload("web")},
		{"deleted", diff(7, nil, "web"), nil},
	} {
		for _, when := range []string{"while it is created", "while the old is removed"} {
			t.Run(test.name+" "+when, func(t *testing.T) {
				playUpdate(t, func(u *update) {
					if when == "while the old is removed" {
						u.pull(nil)
					}
					u.apply(test.change)
					u.pods.OnCreate(nil)
					close(u.pulled)
					close(u.removing)
					time.Sleep(time.Minute)
					want := statuses{}
					if test.runs != nil {
						want[test.runs] = runtime.StatusRunning
					}
					u.mustHave(want)
					if len(u.leaving) > 0 {
						t.Errorf("remembered as leaving: %v", u.leaving)
					}
					u.mustConverge(7)
				})
			})
		}
	}
}

func TestWhatWasCreatedAndCutOffIsLookedForAndRemoved(t *testing.T) {
	playUpdate(t, func(u *update) {
		// The runtime goes on by itself with what nobody waits for any more.
		u.pods.SetMuted(true)
		u.pods.OnCreate(nil)
		u.pods.Put(runtime.Instance{Name: argosyv1.InstanceOf(u.new), Status: runtime.StatusStarting})
		close(u.removing)
		u.apply(diff(7, nil, "web"))
		u.mustHave(statuses{})
		u.mustConverge(7)
	})
}

func TestChangesOneAfterTheOtherCreateNoMoreThanOneInVain(t *testing.T) {
	playUpdate(t, func(u *update) {
		u.pull(nil)
		for n := range 20 {
			u.apply(diff(uint64(7+n), []*argosyv1.Workload{workload("web", config("image: "+string(rune('a'+n))))}))
		}
		if n := u.pods.Calls().Creates; n != 1 {
			t.Errorf("%d creations, want 1", n)
		}
		close(u.removing)
		synctest.Wait()
		u.mustHave(statuses{workload("web", config("image: t")): runtime.StatusRunning})
	})
}

func TestAnAgentThatDiesBetweenCreationAndStartStartsOnce(t *testing.T) {
	playUpdate(t, func(u *update) {
		u.pull(nil)
		u.mustTell("web: Stopping(RequestedAtRuntime)")
		remembered := assignments.Change{Full: true, Revision: 6, Upserts: []*argosyv1.Workload{u.new}, Leaving: slices.Collect(maps.Values(u.leaving))}
		u.reborn(remembered)
		u.mustOrder("create", "remove")
		u.mustTell("web: Stopping(RequestedAtRuntime)")
		u.m.Confirm()
		close(u.removing)
		// Once more with its id, which is known again.
		u.mustTell("web: Stopping(RequestedAtRuntime)", "web: Removed", "web: "+triggered, "web: Running(Ok)")
		u.mustOrder("create", "remove", "remove", "start")
		u.mustHave(statuses{u.new: runtime.StatusRunning})
	})
}

func TestNothingIsCreatedAheadOfAnOrderedStop(t *testing.T) {
	play(t, func(s *stage) {
		s.others.dependents["db"] = []string{"app"}
		s.apply(full(5, workload("db")))
		s.runs("app")
		s.apply(diff(6, []*argosyv1.Workload{workload("db", config("image: new"))}))
		s.mustTell("db: "+triggered, "db: Running(Ok)", "db: Stopping(WaitingToStop) Waits until app has stopped")
		if n := s.pods.Calls().Creates; n != 0 {
			t.Errorf("%d creations while others are in the way, want 0", n)
		}
		s.goes("app")
		s.mustTell("db: Stopping(RequestedAtRuntime)", "db: Removed", "db: "+triggered, "db: Running(Ok)")
		if n := s.pods.Calls().Creates; n != 1 {
			t.Errorf("%d creations, want 1", n)
		}
	})
}

func TestWhatHasToWaitForOthersIsNotCreatedAhead(t *testing.T) {
	play(t, func(s *stage) {
		s.apply(full(5, workload("web")))
		s.apply(diff(6, []*argosyv1.Workload{workload("web", config("image: new"), needs("db"))}))
		s.mustState("web", "Pending(WaitingToStart) Waits for db (running)")
		if n := s.pods.Calls().Creates; n != 0 {
			t.Errorf("%d creations, want 0", n)
		}
	})
}

func TestWhatWasCreatedAheadWaitsForWhatItDependsOnAllTheSame(t *testing.T) {
	play(t, func(s *stage) {
		s.runs("db")
		s.apply(full(5, workload("web")))
		removing := make(chan struct{})
		s.pods.OnRemove(func(context.Context, *argosyv1.InstanceName) error { <-removing; return nil })
		web := workload("web", config("image: new"), needs("db"))
		s.apply(diff(6, []*argosyv1.Workload{web}))
		s.goes("db")
		close(removing)
		s.mustState("web", "Pending(WaitingToStart) Waits for db (running)")
		if i, ok := s.pods.Get(argosyv1.InstanceOf(web)); !ok || i.Status != runtime.StatusStarting {
			t.Errorf("instance is %+v, want it created", i)
		}
		s.runs("db")
		s.mustState("web", "Running(Ok)")
		s.mustCall(2, 1)
	})
}

func TestWhatIsCreatedAheadIsShownWhatItWasPreparedFor(t *testing.T) {
	playShown(t, func(s *stage, p *workshop) {
		s.apply(full(5, workload("web", file("one"))))
		p.mustDo(t, "prepare web")
		web := workload("web", file("two"), config("image: new"))
		removing := make(chan struct{})
		s.pods.OnRemove(func(context.Context, *argosyv1.InstanceName) error { <-removing; return nil })
		s.apply(diff(6, []*argosyv1.Workload{web}))
		p.mustDo(t, "prepare web")
		created, _ := s.pods.Get(argosyv1.InstanceOf(web))
		close(removing)
		p.mustDo(t, "release web", "prepare web")
		if started, _ := s.pods.Get(argosyv1.InstanceOf(web)); started.RuntimeID != created.RuntimeID || started.Status != runtime.StatusRunning {
			t.Errorf("%+v was started, want what was created: %+v", started, created)
		}
		s.apply(diff(7, nil, "web"))
		p.mustDo(t, "release web")
	})
}

func TestWhatWasPreparedInVainIsReleased(t *testing.T) {
	playShown(t, func(s *stage, p *workshop) {
		s.apply(full(5, workload("web", file("one"))))
		removing := make(chan struct{})
		s.pods.OnRemove(func(context.Context, *argosyv1.InstanceName) error { <-removing; return nil })
		s.apply(diff(6, []*argosyv1.Workload{workload("web", file("two"), config("image: new"))}))
		p.mustDo(t, "prepare web", "prepare web")
		s.apply(diff(7, nil, "web"))
		close(removing)
		p.mustDo(t, "release web", "release web")
		s.mustConverge(7)
	})
}
