package sim

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/history"
)

// inWorld does something to a cluster that is up and level.
func inWorld(t *testing.T, do func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		p := MakePlan(3, time.Minute)
		p.Settings.Servers, p.Settings.Agents = 3, 0
		record := history.InMemory(history.Meta{})
		w := newWorld(p, t.TempDir(), slog.DiscardHandler, record)
		s := newStage(record, w.clock)
		ctx, cancel := context.WithCancel(t.Context())
		var along sync.WaitGroup
		along.Go(func() { s.run(ctx, func() {}) })
		w.start(s)
		cl, err := w.connect()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.level(ctx, cl); err != nil {
			t.Fatal(err)
		}
		do(w)
		cancel()
		along.Wait()
		w.fail(cl.Close())
		w.stop()
		time.Sleep(afterglow)
		if err := w.failed(); err != nil {
			t.Error(err)
		}
	})
}

func spoiledBeside(w *world, r *replica) error {
	hold, err := w.ledger.Take(fault.Harm{Spoiled: []string{r.name}})
	if err == nil {
		hold.Release()
	}
	return err
}

// A server that ended by itself, or that a fault had down, may come back with
// nothing: until it is seen to be as good as the others nobody else may lose what it
// has. One that never is does not stop all faults for ever, and the simulation says
// so.
func TestAServerThatWasAwayCountsUntilItIsLevel(t *testing.T) {
	inWorld(t, func(w *world) {
		victim, other := w.servers[0], w.servers[1]
		asFarAs := func(what string, want error) {
			t.Helper()
			if err := spoiledBeside(w, other); !errors.Is(err, want) {
				t.Errorf("%s: %v", what, err)
			}
		}

		if err := victim.kill(false); err != nil {
			t.Fatal(err)
		}
		victim.lives++
		ended := newLife(w.fabric.Boot(victim.addr))
		victim.life.Store(ended)
		w.graves.Go(func() { victim.supervise(ended) })
		ended.err = errEnded
		close(ended.done)
		synctest.Wait()
		asFarAs("when it had ended by itself", fault.ErrBudget)
		for victim.life.Load() == ended || victim.life.Load() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		asFarAs("when it was started again", fault.ErrBudget)
		w.comings.Wait()
		asFarAs("when it was level", nil)

		e, err := w.takeDown([]*replica{victim}, "", func(r *replica) error { return r.kill(false) })
		if err != nil {
			t.Fatal(err)
		}
		asFarAs("while it was down, and whole", nil)
		if err := e.heal(t.Context()); err != nil {
			t.Fatal(err)
		}
		asFarAs("when it was let back", fault.ErrBudget)
		w.comings.Wait()
		asFarAs("when it was level again", nil)

		w.patience = time.Second
		w.comeBack(w.ledger.Note(fault.Harm{}), &replica{name: "server-4"})
		asFarAs("when one does not come", fault.ErrBudget)
		w.comings.Wait()
		asFarAs("when that was given up", nil)
		if err := w.failed(); !errors.Is(err, fault.ErrStuck) {
			t.Errorf("the simulation says %v", err)
		}
		w.mu.Lock()
		w.problems = nil
		w.mu.Unlock()
	})
}
