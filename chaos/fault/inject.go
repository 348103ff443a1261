package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// inject does a fault; see Fault.Inject.
type inject func(ctx context.Context, w *World, step plan.Step) (*Active, error)

// deed is what is done to one server or agent. What it returns to undo it is
// called even when it failed half-way.
type deed func(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (detail string, undo func(context.Context) error, err error)

// harms are what a deed takes of those that it is done to.
type harms func(names []string) Harm

func down(names []string) Harm { return Harm{Down: names, Busy: names} }

func slow(names []string) Harm { return Harm{Slow: names, Busy: names} }

// late is the harm of those that were healed and have to catch up.
func late(names []string) Harm { return Harm{Doubtful: names} }

// to does something to one or more processes at once, and in the end undoes it,
// starts those that do not run, and lets them catch up.
func to(target who, during, after harms, do deed) inject {
	return toThen(target, during, after, do, func(h *Hold, _ []*cluster.Process) { h.Release() })
}

// toThen is like to; what was taken is in the hands of then when those that it was
// done to have caught up.
func toThen(target who, during, after harms, do deed, then func(h *Hold, targets []*cluster.Process)) inject {
	return func(ctx context.Context, w *World, step plan.Step) (*Active, error) {
		targets, err := target(ctx, w, step)
		if err != nil {
			return nil, err
		}
		leader := w.leading(ctx)
		h, err := w.Ledger.Take(during(names(targets)))
		if err != nil {
			return nil, err
		}
		details := make([]string, len(targets))
		undos := make([]func(context.Context) error, len(targets))
		heal := func(ctx context.Context) error {
			var errs []error
			for _, undo := range undos {
				if undo != nil {
					errs = append(errs, undo(ctx))
				}
			}
			errs = append(errs, w.start(targets...))
			if err := errors.Join(errs...); err != nil {
				return fmt.Errorf("heal %s: %w: %w", step.Fault, ErrStuck, err)
			}
			w.returningThen(h, after, func() { then(h, targets) }, targets...)
			return nil
		}
		err = each(targets, func(i int, p *cluster.Process) (err error) {
			details[i], undos[i], err = do(ctx, w, step, p)
			return err
		})
		if err != nil {
			return nil, errors.Join(failed(step, err), heal(ctx))
		}
		return &Active{Targets: names(targets), Leader: leader, Detail: strings.Join(details, "; "), Heal: heal}, nil
	}
}

// each does something to all processes at once.
func each(processes []*cluster.Process, do func(i int, p *cluster.Process) error) error {
	errs := make([]error, len(processes))
	var group sync.WaitGroup
	for i, p := range processes {
		group.Go(func() { errs[i] = do(i, p) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// always is for what can be done anywhere.
func always(*World) error { return nil }

// failed is the error of a fault that could not be done. What the machine does
// not have is nobody's fault, nor is a process that has just ended by itself.
func failed(step plan.Step, err error) error {
	switch {
	case errors.Is(err, lab.ErrUnable):
		return fmt.Errorf("do %s: %w: %w", step.Fault, ErrUnavailable, err)
	case errors.Is(err, cluster.ErrNotRunning), errors.Is(err, os.ErrProcessDone):
		return fmt.Errorf("do %s: %w: %w", step.Fault, ErrNoTarget, err)
	}
	return fmt.Errorf("do %s: %w", step.Fault, err)
}
