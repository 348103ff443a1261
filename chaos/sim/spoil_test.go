package sim

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// A fault that kills a server to spoil its data, and is given up then, was a kill:
// whoever judges what the server says after it must know. Until the server is level
// nobody else may lose what it has.
func TestAFaultThatIsGivenUpHalfWayWasAKill(t *testing.T) {
	for _, c := range []struct {
		what string
		// away are servers that do not run, by their places.
		away []int
	}{
		{"the server does not become level after its data was copied", []int{1, 2}},
		{"the others do not become level after it was killed again", []int{1}},
	} {
		t.Run(c.what, func(t *testing.T) {
			inWorld(t, func(w *world) {
				victim := w.servers[0]
				for _, i := range c.away {
					if err := w.servers[i].kill(false); err != nil {
						t.Fatal(err)
					}
				}
				killed := victim.life.Load()
				begun := w.clock()
				if w.carry(context.Background(), plan.Step{N: 7, Fault: plan.OldFile, ForMs: 100}) {
					t.Error("it was done")
				}
				if now := victim.life.Load(); now == killed || now == nil {
					t.Error("the server was not killed, or does not run")
				}
				if err := spoiledBeside(w, w.servers[1]); !errors.Is(err, fault.ErrBudget) {
					t.Errorf("beside the one that was killed: %v", err)
				}
				for _, i := range c.away {
					w.servers[i].start()
				}
				w.comings.Wait()
				w.returns.Wait()
				if err := spoiledBeside(w, w.servers[1]); err != nil {
					t.Errorf("when it was level: %v", err)
				}

				h, err := w.record.Close()
				if err != nil {
					t.Fatal(err)
				}
				at := slices.IndexFunc(h.Faults, func(f history.Fault) bool { return !f.Skipped })
				if len(h.Faults) != 2 || at < 0 {
					t.Errorf("recorded %+v", h.Faults)
					return
				}
				given, kill := h.Faults[1-at], h.Faults[at]
				if !given.Skipped || given.Kind != string(plan.OldFile) || given.Struck != 0 {
					t.Errorf("the fault is recorded as %+v", given)
				}
				if kill.Step != 7 || kill.Kind != string(plan.KillServer) || !slices.Equal(kill.Targets, []string{victim.name}) || kill.Changes == 0 ||
					kill.Begun < begun || kill.Healed < kill.Begun.Add(time.Second) || kill.Error != "" || kill.Detail == "" {
					t.Errorf("the kill is recorded as %+v", kill)
				}
			})
		})
	}
}
