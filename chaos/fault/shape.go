package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

const (
	// worstDelay and worstLoss are what a bad network does at its worst: each
	// message between servers takes longer than their timers.
	worstDelay = 100 * time.Millisecond
	worstLoss  = 0.3
	// A narrow link lets so many bytes pass in a second.
	leastRate, mostRate = 16 << 10, 256 << 10
	// largest is the size of the packets that pass a black hole at most: gossip
	// and heartbeats do, the entries of a log do not.
	leastSize, mostSize = 300, 1000
)

// shape says how packets travel, from how bad it shall be.
type shape func(w *World, strength float64) lab.Link

func bad(w *World, strength float64) lab.Link {
	return lab.Link{
		Delay:     time.Duration(strength * float64(worstDelay) / 2),
		Jitter:    time.Duration(strength * float64(worstDelay) / 2),
		Loss:      strength * worstLoss * w.Rand.Float64(),
		Duplicate: 0.1 * w.Rand.Float64(),
		Reorder:   0.2 * w.Rand.Float64(),
	}
}

func narrow(_ *World, strength float64) lab.Link {
	return lab.Link{Rate: leastRate + int64((1-strength)*(mostRate-leastRate))}
}

func hole(_ *World, strength float64) lab.Link {
	return lab.Link{MaxSize: leastSize + int((1-strength)*(mostSize-leastSize))}
}

// shapedHosts is for what happens to packets one by one.
func shapedHosts(w *World) error {
	if w.Site != nil && !w.Site.Shaped() {
		return fmt.Errorf("%w: the hosts are joined by the kernel, which loses all packets or none: ask for a shaped network", ErrUnavailable)
	}
	return nil
}

// shaping lets packets travel in another way.
func shaping(which ways, how shape) inject {
	return func(ctx context.Context, w *World, step plan.Step) (*Active, error) {
		targets, shaped, err := which(ctx, w, step)
		if err != nil {
			return nil, err
		}
		leader := w.leading(ctx)
		link := how(w, step.Strength)
		harm := harmOf(shaped, w.servers())
		for _, way := range shaped {
			// A way has one shape at a time.
			harm.Busy = append(harm.Busy, "the way from "+way.from+" to "+way.to)
		}
		h, err := w.Ledger.Take(harm)
		if err != nil {
			return nil, err
		}
		travel := func(link lab.Link) error {
			for _, way := range shaped {
				err := between(w.Site.Lab, way, func(from, to *lab.Host) error { return w.Site.Lab.Shape(from, to, link) })
				if err != nil {
					return err
				}
			}
			return nil
		}
		heal := func(ctx context.Context) error {
			behind := w.behind(ctx, shaped, targets)
			if err := travel(lab.Link{}); err != nil {
				return fmt.Errorf("heal %s: %w: %w", step.Fault, ErrStuck, err)
			}
			w.returning(h, late, behind...)
			return nil
		}
		active := &Active{Targets: names(targets), Leader: leader, Detail: describe(link) + ": " + text(shaped), Heal: heal}
		if err := travel(link); err != nil {
			return nil, errors.Join(failed(step, err), heal(ctx))
		}
		return active, nil
	}
}

func describe(l lab.Link) string {
	switch {
	case l.Rate > 0:
		return fmt.Sprintf("%d bytes a second", l.Rate)
	case l.MaxSize > 0:
		return fmt.Sprintf("no packets of more than %d bytes", l.MaxSize)
	}
	return fmt.Sprintf("%v and up to %v late, %.0f %% lost, %.0f %% twice, %.0f %% overtaken",
		l.Delay.Round(time.Millisecond), l.Jitter.Round(time.Millisecond), 100*l.Loss, 100*l.Duplicate, 100*l.Reorder)
}

// ofOne are the ways from and to one server, ofOneOrAll those or all that there
// are.
func ofOne(ctx context.Context, w *World, step plan.Step) ([]*cluster.Process, []direction, error) {
	targets, err := aHost(ctx, w, step)
	if err != nil {
		return nil, nil, err
	}
	return targets, alone(targets[0].Name, w.everybody()), nil
}

func ofOneOrAll(ctx context.Context, w *World, step plan.Step) ([]*cluster.Process, []direction, error) {
	if w.Rand.IntN(2) == 0 {
		return ofOne(ctx, w, step)
	}
	var all []direction
	everybody := w.everybody()
	for i, host := range everybody {
		all = append(all, alone(host, everybody[i+1:])...)
	}
	return w.Cluster.Servers, all, nil
}

// aHost is that of the leader in half of all cases, else that of any server,
// whatever else is wrong with it.
func aHost(ctx context.Context, w *World, step plan.Step) ([]*cluster.Process, error) {
	if w.Rand.IntN(2) == 0 {
		return theLeader(ctx, w, step)
	}
	return anyServer(ctx, w, step)
}
