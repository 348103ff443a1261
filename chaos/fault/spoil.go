package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/damage"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/wait"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// How many changes of leader it may cost to remove a server's data, and to kill it.
const wipeCosts, killCosts = 2, 1

// removeLimit is how long an operator tries to remove a server that is gone.
const removeLimit = 10 * time.Second

func spoilt(names []string) Harm { return Harm{Down: names, Spoiled: names, Busy: names} }

// rebuilding is the harm of those whose data was spoiled, until they are level
// again: nothing else is done to them meanwhile.
func rebuilding(names []string) Harm { return Harm{Spoiled: names, Busy: names} }

// spoil does something to the data directory of a server that does not run.
type spoil func(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (detail string, err error)

// spoiling kills a server, spoils its data and lets it find out by itself. Where there
// is nothing to spoil the world's Did is told that it was killed: it has not run on.
func spoiling(do spoil) inject { return to(leaderOrServer, spoilt, rebuilding, spoils(do)) }

func spoils(do spoil) deed {
	return func(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
		begun, losses, had := time.Now(), w.Ledger.Losses(), w.Ledger.Quorum()
		if err := kill(p); err != nil {
			return "", nil, err
		}
		if err := damage.Forgive(w.Site.Data(p)); err != nil {
			return "", nil, err
		}
		detail, err := do(ctx, w, step, p)
		if err = errors.Join(err, flush(w.Site.Data(p))); err == nil {
			return p.Name + ": " + detail, nil, nil
		}
		return "", func(context.Context) error {
			deed := Deed{
				Step: step.N, Kind: plan.KillServer, Changes: killCosts, Target: p.Name, Begun: begun,
				Detail: fmt.Sprintf("%s was given up: %v", step.Fault, err), Err: w.start(p),
			}
			deed.Ended, deed.Quorum = time.Now(), had && w.Ledger.Quorum() && w.Ledger.Losses() == losses
			w.did(deed)
			return deed.Err
		}, err
	}
}

// did tells who wants to know what was done beside the steps.
func (w *World) did(deed Deed) {
	if w.Did != nil {
		w.Did(deed)
	}
}

// damaging is spoiling in a way that a server may not notice for long: it reads
// little of what it has while it runs. Until it has begun anew, as another server,
// it goes on counting.
func damaging(do spoil) inject {
	return func(ctx context.Context, w *World, step plan.Step) (*Active, error) {
		var id string
		return toThen(leaderOrServer, spoilt, rebuilding, spoils(func(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (detail string, err error) {
			before, err := damage.ServerID(w.Site.Data(p))
			if err != nil {
				return "", err
			}
			if detail, err = do(ctx, w, step, p); err == nil {
				id = before // What was not damaged has nothing to notice.
			}
			return detail, err
		}), func(h *Hold, targets []*cluster.Process) { w.unnoticed(h, step, targets[0], id) })(ctx, w, step)
	}
}

const (
	// unnoticedLimit is for how long a server may have damaged data without knowing
	// it, until its operator has it begin anew: no other server may lose its data
	// meanwhile.
	unnoticedLimit = 20 * time.Second
	// noticeEvery is how often it is looked whether it knows.
	noticeEvery = 500 * time.Millisecond
)

// unnoticed waits until a server that had one id knows that its data is damaged,
// and is level again after that; the hold is given back then.
func (w *World) unnoticed(h *Hold, step plan.Step, p *cluster.Process, id string) {
	if w.noticed(p, id) {
		h.Release()
		return
	}
	servers := []*cluster.Process{p}
	h.Become(late(names(servers)))
	w.Ledger.later(func(ctx context.Context) {
		for since := time.Now(); wait.For(ctx, noticeEvery) == nil; {
			if w.noticed(p, id) {
				w.returning(h, late, servers...)
				return
			}
			if time.Since(since) < unnoticedLimit || h.Grow(spoilt(names(servers))) != nil {
				continue
			}
			if !w.Ledger.operate("have "+p.Name+" begin anew", func() error { return w.renew(ctx, h, step, p) }) {
				h.Become(late(names(servers)))
				return
			}
			return
		}
	})
}

// noticed tells whether a server that had one id has begun anew since. One that
// nothing can be read of has not.
func (w *World) noticed(p *cluster.Process, id string) bool {
	now, err := damage.ServerID(w.Site.Data(p))
	return err == nil && now != id
}

// renew has a server begin anew, as its operator does who knows that its data is
// damaged.
func (w *World) renew(ctx context.Context, h *Hold, step plan.Step, p *cluster.Process) error {
	losses, had := w.Ledger.Losses(), w.Ledger.Quorum()
	deed := Deed{
		Step: step.N, Kind: plan.WipeServer, Changes: wipeCosts, Target: p.Name, Leader: w.leading(ctx), Begun: time.Now(),
		Detail: fmt.Sprintf("had not noticed within %v what was wrong with its data; its operator has it begin anew", unnoticedLimit),
	}
	dir := w.Site.Data(p)
	deed.Err = errors.Join(kill(p), damage.Forgive(dir), damage.Forget(dir), flush(dir), w.start(p))
	deed.Ended, deed.Quorum = time.Now(), had && w.Ledger.Quorum() && w.Ledger.Losses() == losses
	w.did(deed)
	if deed.Err == nil {
		w.returning(h, rebuilding, p)
	}
	return deed.Err
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
