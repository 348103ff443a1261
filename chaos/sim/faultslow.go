package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/sim/fabric"
)

func resetAll(_ context.Context, w *world, _ plan.Step, _ *rand.Rand) (*effect, error) {
	count := 0
	var targets []string
	for _, r := range w.servers {
		if l := r.life.Load(); l != nil {
			count += l.host.ResetConnections()
			targets = append(targets, r.name)
		}
	}
	return &effect{targets: targets, detail: fmt.Sprintf("%d connections", count)}, nil
}

// shape makes links what they are not, in both directions.
func (w *world) shape(harm fault.Harm, targets []string, link fabric.Link, between [][2]side) (*effect, error) {
	return w.take(harm, func() (*effect, error) {
		each := func(do func(from, to side)) {
			for _, pair := range between {
				do(pair[0], pair[1])
				do(pair[1], pair[0])
			}
		}
		each(func(from, to side) {
			for _, a := range from {
				for _, b := range to {
					w.fabric.Shape(a, b, link)
				}
			}
		})
		return &effect{
			targets: targets,
			detail: fmt.Sprintf("delay %v and up to %v, loss %.2f, duplicate %.2f, reorder %.2f, largest %d",
				link.Delay, link.Jitter, link.Loss, link.Duplicate, link.Reorder, link.Largest),
			heal: func(context.Context) error {
				each(func(from, to side) {
					for _, a := range from {
						for _, b := range to {
							w.fabric.Unshape(a, b)
						}
					}
				})
				return nil
			},
		}, nil
	})
}

// slowNetwork delays, loses, repeats and reorders between all servers.
func slowNetwork(_ context.Context, w *world, step plan.Step, _ *rand.Rand) (*effect, error) {
	link := fabric.Link{
		Delay: w.pace(time.Duration(float64(10*time.Millisecond) * step.Strength)), Jitter: w.pace(time.Duration(float64(20*time.Millisecond) * step.Strength)),
		Loss: 0.3 * step.Strength, Duplicate: 0.1 * step.Strength, Reorder: 0.2 * step.Strength,
	}
	var harm fault.Harm
	var all side
	for _, r := range w.servers {
		harm.Slow = append(harm.Slow, r.name)
		all = append(all, r.addr)
	}
	return w.shape(harm, harm.Slow, link, [][2]side{{all, all}})
}

// blackHole lets nothing large reach or leave a server.
func blackHole(_ context.Context, w *world, r *replica, _ plan.Step, _ *rand.Rand) (*effect, error) {
	link := usualLink
	link.Largest = 1000
	return w.shape(fault.Harm{Slow: []string{r.name}}, []string{r.name}, link, [][2]side{{{r.addr}, w.others(r.addr)}})
}

func stallDisk(_ context.Context, w *world, r *replica, _ plan.Step, _ *rand.Rand) (*effect, error) {
	return w.take(fault.Harm{Slow: []string{r.name}}, func() (*effect, error) {
		again := r.disk.stall()
		return &effect{targets: []string{r.name}, heal: func(context.Context) error { again(); return nil }}, nil
	})
}

func slowDisk(_ context.Context, w *world, r *replica, step plan.Step, _ *rand.Rand) (*effect, error) {
	return w.take(fault.Harm{Slow: []string{r.name}}, func() (*effect, error) {
		slow := w.pace(time.Duration(float64(50*time.Millisecond) * step.Strength))
		r.disk.setSlow(slow)
		return &effect{
			targets: []string{r.name}, detail: fmt.Sprintf("%v a write", slow),
			heal: func(context.Context) error { r.disk.setSlow(0); return nil },
		}, nil
	})
}

// breakDisk lets writes to the log fail. A server that ends because of it is
// started again.
func breakDisk(_ context.Context, w *world, r *replica, step plan.Step, _ *rand.Rand) (*effect, error) {
	return w.take(fault.Harm{Down: []string{r.name}}, func() (*effect, error) {
		broken := diskErrors[step.Choice%uint64(len(diskErrors))]
		r.disk.setBroken(broken)
		return &effect{targets: []string{r.name}, detail: broken.Error(), heal: func(context.Context) error {
			r.disk.setBroken(nil)
			if r.up() == nil {
				return nil
			}
			if err := r.kill(false); err != nil {
				return err
			}
			r.start()
			return nil
		}}, nil
	}, r)
}

func downAgent(power bool) func(w *world, n *node, step plan.Step) (*effect, error) {
	return func(_ *world, n *node, _ plan.Step) (*effect, error) {
		if !n.busy.CompareAndSwap(false, true) {
			return nil, fmt.Errorf("%w: another fault has %s", fault.ErrBudget, n.name)
		}
		if err := n.kill(power); err != nil {
			return nil, err
		}
		return &effect{targets: []string{n.name}, heal: func(context.Context) error {
			n.start()
			n.busy.Store(false)
			return nil
		}}, nil
	}
}

func cutAgent(w *world, n *node, _ plan.Step) (*effect, error) {
	return w.cut([]string{n.name}, "", bothWays(side{n.addr}, w.others(n.addr))...)
}

func killWorkload(_ *world, n *node, step plan.Step) (*effect, error) {
	name, ok := n.machine.kill(step.Choice)
	if !ok {
		return nil, fmt.Errorf("%w: nothing runs on %s", fault.ErrNoTarget, n.name)
	}
	return &effect{targets: []string{name, n.name}}, nil
}
