package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/wait"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// upgradeLimit is for how long servers are waited for that other faults have; a time
// of the cluster.
const upgradeLimit = 30 * time.Second

// upgrade restarts one server after the other as one of the newest version. That is
// installed everywhere before the first is restarted: one that another fault starts,
// or makes a new member of the cluster meanwhile, is of it, too. (One of the old
// version could not join a cluster that has made use of the new one.) Those that
// another fault has come later, or stay what they are.
func upgrade(ctx context.Context, w *world, step plan.Step, _ *rand.Rand) (*effect, error) {
	var left []*replica
	for i := range w.servers {
		if r := w.servers[(int(step.Choice)+i)%len(w.servers)]; r.level.Load() < argosyv1.FeatureLevel {
			left = append(left, r)
		}
	}
	if len(left) == 0 {
		return nil, fmt.Errorf("%w: all servers are of the newest version", fault.ErrNoTarget)
	}
	w.record.Update(func(m *history.Meta) {
		m.Versions = []string{levelText(w.plan.Settings.OldLevel), levelText(argosyv1.FeatureLevel)}
	})
	w.upgraded.Store(true)
	var targets []string
	for began := time.Now(); len(left) > 0 && time.Since(began) < w.pace(upgradeLimit); {
		r := left[0]
		left = left[1:]
		if r.level.Load() == argosyv1.FeatureLevel {
			continue
		}
		e, err := w.takeDown([]*replica{r}, "", (*replica).halt)
		if errors.Is(err, fault.ErrBudget) {
			left = append(left, r)
			if err := wait.For(ctx, w.pace(100*time.Millisecond)); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		targets = append(targets, r.name)
		_ = wait.For(ctx, step.For())
		if err := e.heal(ctx); err != nil {
			return nil, err
		}
		_ = wait.For(ctx, w.pace(500*time.Millisecond))
	}
	return &effect{targets: targets, detail: "upgraded from " + levelText(w.plan.Settings.OldLevel)}, nil
}

func levelText(level uint32) string { return fmt.Sprint("feature level ", level) }
