package trial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// fakes are faults that only note what is done.
type fakes struct {
	mu     sync.Mutex
	began  time.Time
	events []string
	// inject and heal fail with these, by kind.
	inject, heal map[plan.Kind]error
	harm         map[plan.Kind]fault.Harm
	changes      int
}

func (f *fakes) note(what string, kind plan.Kind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, fmt.Sprintf("%v %s %s", time.Since(f.began), what, kind))
}

func (f *fakes) find(kind plan.Kind) (fault.Fault, bool) {
	return fault.Fault{Kind: kind, Changes: f.changes, Inject: func(_ context.Context, w *fault.World, step plan.Step) (*fault.Active, error) {
		if err := f.inject[kind]; err != nil {
			return nil, err
		}
		hold, err := w.Ledger.Take(f.harm[kind])
		if err != nil {
			return nil, err
		}
		f.note("inject", kind)
		return &fault.Active{Targets: []string{"server-1"}, Leader: "server-1", Heal: func(ctx context.Context) error {
			defer hold.Release()
			f.note("heal", kind)
			return errors.Join(f.heal[kind], ctx.Err())
		}}, nil
	}}, true
}

// perform carries steps out in virtual time and returns what was recorded.
func (f *fakes) perform(t *testing.T, ctx context.Context, steps ...plan.Step) ([]history.Fault, string, error) {
	t.Helper()
	f.began = time.Now()
	for i := range steps {
		steps[i].N = i + 1
	}
	ledger := fault.NewLedger([]string{"server-1", "server-2", "server-3"})
	defer ledger.Close()
	recorder := history.InMemory(history.Meta{})
	var told strings.Builder
	var telling sync.Mutex
	p := &performance{
		plan: &plan.Plan{Seed: 1, DurationMs: 10_000, Steps: steps}, world: fault.World{Ledger: ledger}, find: f.find,
		recorder: recorder, clock: history.ClockSince(f.began), patience: time.Second,
		tell: func(format string, args ...any) {
			telling.Lock()
			defer telling.Unlock()
			fmt.Fprintf(&told, format+"\n", args...)
		},
	}
	err := p.run(ctx)
	h, closed := recorder.Close()
	if closed != nil {
		t.Fatal(closed)
	}
	return h.Faults, told.String(), err
}

func TestStepsAreDoneAndHealedAtTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{changes: 1, harm: map[plan.Kind]fault.Harm{
			plan.KillLeader: {Down: []string{"server-1"}}, plan.CutLeader: {Slow: []string{"server-2"}},
		}}
		faults, _, err := f.perform(t, t.Context(),
			plan.Step{AtMs: 1000, ForMs: 2000, Fault: plan.KillLeader},
			plan.Step{AtMs: 2000, ForMs: 3000, Fault: plan.CutLeader},
			plan.Step{AtMs: 7000, ForMs: 1000, Fault: plan.Swizzle})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"1s inject kill-leader", "2s inject cut-leader", "3s heal kill-leader", "5s heal cut-leader", "7s inject swizzle", "8s heal swizzle"}
		if !slices.Equal(f.events, want) {
			t.Errorf("%q", f.events)
		}
		if time.Since(f.began) != 10*time.Second {
			t.Errorf("it took %v", time.Since(f.began))
		}
		if len(faults) != 3 {
			t.Fatalf("%+v", faults)
		}
		for i, quorum := range []bool{false, false, true} {
			r := faults[i]
			if r.Step != i+1 || r.Quorum != quorum || r.Changes != 1 || r.Leader != "server-1" || r.Targets[0] != "server-1" || r.Error != "" || r.Healed == 0 || r.Healed != r.Healing {
				t.Errorf("%+v", r)
			}
		}
		if faults[0].Begun != history.Micros(1_000_001) || faults[0].Healed != history.Micros(3_000_001) {
			t.Errorf("%+v", faults[0])
		}
	})
}

func TestFaultThatIsNotToBeIsLeftOut(t *testing.T) {
	for _, reason := range []error{fault.ErrUnavailable, fault.ErrNoTarget, fault.ErrBudget} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakes{inject: map[plan.Kind]error{plan.KillLeader: fmt.Errorf("kill: %w", reason)}}
			faults, told, err := f.perform(t, t.Context(), plan.Step{Fault: plan.KillLeader}, plan.Step{AtMs: 1, Fault: plan.Swizzle})
			if err != nil || len(faults) != 2 || !faults[0].Skipped || faults[0].Error == "" || faults[1].Skipped || faults[1].Error != "" {
				t.Errorf("%+v, error %v", faults, err)
			}
			if !strings.Contains(told, "left out") {
				t.Errorf("told %q", told)
			}
		})
	}
}

func TestFaultThatFailsEndsTheTrialAndTheOthersAreHealed(t *testing.T) {
	broken := errors.New("broken")
	for name, f := range map[string]*fakes{
		"to be done":   {inject: map[plan.Kind]error{plan.CutLeader: broken}},
		"to be healed": {heal: map[plan.Kind]error{plan.CutLeader: broken}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faults, told, err := f.perform(t, t.Context(),
					plan.Step{AtMs: 0, ForMs: 9000, Fault: plan.KillLeader},
					plan.Step{AtMs: 1000, ForMs: 1000, Fault: plan.CutLeader},
					plan.Step{AtMs: 5000, ForMs: 1000, Fault: plan.Swizzle})
				if !errors.Is(err, broken) || !strings.Contains(err.Error(), "step 2, cut-leader") {
					t.Errorf("error %v", err)
				}
				if time.Since(f.began) > 3*time.Second {
					t.Errorf("it went on for %v", time.Since(f.began))
				}
				if len(faults) != 2 || faults[0].Healed == 0 || faults[1].Healed != 0 || faults[1].Error == "" || faults[1].Skipped {
					t.Errorf("%+v", faults)
				}
				if !strings.Contains(told, "FAILED") {
					t.Errorf("told %q", told)
				}
			})
		})
	}
}

func TestBreakingOffHealsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("somebody pressed Ctrl-C")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(2*time.Second, func() { cancel(why) })
		f := &fakes{}
		faults, _, err := f.perform(t, ctx, plan.Step{AtMs: 0, ForMs: 8000, Fault: plan.KillLeader}, plan.Step{AtMs: 5000, Fault: plan.Swizzle})
		if !errors.Is(err, why) || time.Since(f.began) != 2*time.Second {
			t.Errorf("after %v: %v", time.Since(f.began), err)
		}
		if len(faults) != 1 || faults[0].Healed == 0 || faults[0].Error != "" {
			t.Errorf("%+v", faults)
		}
	})
}
