package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/damage"
	"github.com/argosy-cluster/argosy/chaos/plan"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// removeLimit is how long an operator tries to remove a server that is gone.
const removeLimit = 10 * time.Second

func spoilt(names []string) Harm { return Harm{Down: names, Spoiled: names, Busy: names} }

// rebuilding is the harm of those whose data was spoiled, until they are level
// again: nothing else is done to them meanwhile.
func rebuilding(names []string) Harm { return Harm{Spoiled: names, Busy: names} }

// spoil does something to the data directory of a server that does not run.
type spoil func(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (detail string, err error)

// spoiling kills a server, spoils its data and lets it find out by itself.
func spoiling(do spoil) inject {
	return to(leaderOrServer, spoilt, rebuilding, func(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
		if err := kill(p); err != nil {
			return "", nil, err
		}
		if err := damage.Forgive(w.Site.Data(p)); err != nil {
			return "", nil, err
		}
		detail, err := do(ctx, w, step, p)
		return p.Name + ": " + detail, nil, errors.Join(err, flush(w.Site.Data(p)))
	})
}

// flipBits changes bits in one file.
func flipBits(_ context.Context, w *World, step plan.Step, p *cluster.Process) (string, error) {
	detail, err := damage.FlipBits(w.Rand, w.Site.Data(p), step.Strength)
	return detail, undamaged(err)
}

// cutFile cuts the end of what is in one file off.
func cutFile(_ context.Context, w *World, step plan.Step, p *cluster.Process) (string, error) {
	detail, err := damage.CutFile(w.Rand, w.Site.Data(p), step.Strength)
	return detail, undamaged(err)
}

// undamaged makes ErrNoTarget of the error that there is nothing to damage.
func undamaged(err error) error {
	if errors.Is(err, damage.ErrNothing) {
		return fmt.Errorf("%w: %w", ErrNoTarget, err)
	}
	return err
}

// wipe removes what a server has: all of it, after an operator has removed the
// server from the cluster, as one does who puts a new disk in; or Raft's data
// alone, which the server has to find out by itself.
func wipe(ctx context.Context, w *World, _ plan.Step, p *cluster.Process) (string, error) {
	dir := w.Site.Data(p)
	if w.Rand.IntN(2) == 0 {
		return "removed Raft's data", damage.Forget(dir)
	}
	old, err := damage.ServerID(dir)
	if err != nil {
		return "", err
	}
	removing, cancel := context.WithTimeout(ctx, removeLimit)
	defer cancel()
	_, err = w.Client.RemoveServer(removing, &argosyv1.RemoveServerRequest{Server: old})
	if err != nil && argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
		return fmt.Sprintf("removed Raft's data (the server could not be removed from the cluster: %v)", err), damage.Forget(dir)
	}
	return "removed server " + old + " from the cluster, and all its data", damage.Empty(dir)
}
