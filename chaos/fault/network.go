package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/wait"
)

// flapEvery is how long a link that flaps is down, and then up, at the least: the
// kernel takes as long to see it.
const flapEvery = 30 * time.Millisecond

// resetConnections breaks every connection that there is, with a reset to both
// ends.
func resetConnections(ctx context.Context, w *World, step plan.Step) (*Active, error) {
	leader := w.leading(ctx)
	broken := 0
	for _, name := range w.everybody() {
		host, err := w.Site.Lab.Host(name)
		if err != nil {
			return nil, err
		}
		n, err := host.ResetConnections()
		if err != nil {
			return nil, failed(step, err)
		}
		broken += n
	}
	return &Active{Targets: w.servers(), Leader: leader, Detail: fmt.Sprintf("broke %d connections", broken)}, nil
}

// flap pulls the cable of a server's host and puts it back, again and again, for
// as long as the fault is in effect.
func flap(ctx context.Context, w *World, step plan.Step) (*Active, error) {
	targets, err := aHost(ctx, w, step)
	if err != nil {
		return nil, err
	}
	host, err := w.Site.Host(targets[0])
	if err != nil {
		return nil, err
	}
	leader := w.leading(ctx)
	harm := harmOf(alone(host.Name, w.everybody()), w.servers())
	// Two that pull the same cable would put it back for each other.
	harm.Busy = []string{"the cable of " + host.Name}
	h, err := w.Ledger.Take(harm)
	if err != nil {
		return nil, err
	}
	every := max(flapEvery, time.Duration((0.5+w.Rand.Float64())*float64(step.For())/6))
	flapping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- toggle(flapping, every, host.Unplug, host.Plug) }()
	return &Active{Targets: names(targets), Leader: leader, Detail: fmt.Sprintf("the link of %s goes down and up every %v", host.Name, every.Round(time.Millisecond)), Heal: func(context.Context) error {
		cancel()
		if err := errors.Join(<-done, host.Plug()); err != nil {
			return fmt.Errorf("heal %s: %w: %w", step.Fault, ErrStuck, err)
		}
		w.returning(h, late, targets...)
		return nil
	}}, nil
}

// toggle does one thing and the other in turn until the context ends.
func toggle(ctx context.Context, every time.Duration, one, other func() error) error {
	for {
		for _, do := range []func() error{one, other} {
			if err := do(); err != nil {
				return err
			}
			if wait.For(ctx, every) != nil {
				return nil
			}
		}
	}
}
