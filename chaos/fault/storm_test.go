package fault_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// Faults that overlap are each healed without undoing another, and the cluster
// is whole in the end.
func TestFaultsThatOverlapAreHealedEachByItself(t *testing.T) {
	a := mustArena(t, 5, lab.SiteConfig{DiskSize: diskSize, Shaped: true})
	count := 20
	if more, err := strconv.Atoi(os.Getenv("ARGOSY_FAULT_ROUNDS")); err == nil {
		count = more
	}
	all := fault.All()
	if only := os.Getenv("ARGOSY_FAULT_KINDS"); only != "" {
		all = slices.DeleteFunc(all, func(f fault.Fault) bool { return !slices.Contains(strings.Split(only, ","), string(f.Kind)) })
	}
	var storm sync.WaitGroup
	var mu sync.Mutex
	told := map[string]int{}
	tell := func(kind plan.Kind, what string) {
		mu.Lock()
		defer mu.Unlock()
		told[what]++
		t.Logf("%s %s", kind, what)
	}
	began := time.Now()
	for n := range count {
		step := plan.Step{N: n + 1, Fault: all[a.Rand.IntN(len(all))].Kind, Choice: a.Rand.Uint64(), ForMs: a.Rand.Int64N(800), Strength: a.Rand.Float64()}
		world := *a.World
		world.Rand = rand.New(rand.NewPCG(a.Rand.Uint64(), uint64(n)))
		storm.Go(func() { tell(step.Fault, a.do(&world, step)) })
		select {
		case <-time.After(time.Duration(a.Rand.IntN(400)) * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	storm.Wait()
	t.Logf("%d faults in %v: %v, restarts %v", count, time.Since(began), told, a.supervisor.Restarts())
	for _, restart := range a.supervisor.Restarts() {
		t.Logf("%s had ended: %v: %v", restart.Name, restart.Err, a.lastWords(restart.Name))
	}
	if told["done"] == 0 {
		t.Error("none was done")
	}
	a.settles()
	a.ends()
}

// lastWords are why a process says that it ended, over all its lives.
func (a *arena) lastWords(name string) []string {
	var words []string
	for _, p := range append(a.Cluster.Servers, a.Cluster.Agents...) {
		text, err := os.ReadFile(p.LogPath)
		if p.Name != name || err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "error: ") {
				words = append(words, strings.TrimSpace(line))
			}
		}
	}
	return words
}

// do does a fault and heals it at its time, and returns what became of it.
func (a *arena) do(world *fault.World, step plan.Step) string {
	ctx, cancel := context.WithTimeout(a.Context(), patience)
	defer cancel()
	f := mustFault(a.T, step.Fault)
	if err := f.Available(world); err != nil {
		return "is not available"
	}
	active, err := f.Inject(ctx, world, step)
	switch {
	case errors.Is(err, fault.ErrUnavailable), errors.Is(err, fault.ErrNoTarget), errors.Is(err, fault.ErrBudget):
		return "was not to be done"
	case err != nil:
		a.Errorf("%s: %v", step.Fault, err)
		return "failed"
	}
	select {
	case <-time.After(step.For()):
	case <-ctx.Done():
	}
	if active.Heal == nil {
		return "done"
	}
	if err := active.Heal(ctx); err != nil {
		a.Errorf("heal %s (%s): %v", step.Fault, active.Detail, err)
		return fmt.Sprintf("failed to be healed: %v", err)
	}
	return "done"
}
