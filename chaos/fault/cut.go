package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/wait"
)

// ways says which ways a fault cuts, and whom that strikes.
type ways func(ctx context.Context, w *World, step plan.Step) (targets []*cluster.Process, cut []direction, err error)

// cutting cuts ways between hosts.
func cutting(which ways) inject {
	return func(ctx context.Context, w *World, step plan.Step) (*Active, error) {
		targets, cut, err := which(ctx, w, step)
		if err != nil {
			return nil, err
		}
		leader := w.leading(ctx)
		h, err := w.Ledger.Take(harmOf(cut, w.servers()))
		if err != nil {
			return nil, err
		}
		heal, err := w.Ledger.links.cut(w.Site.Lab, cut)
		if err != nil {
			h.Release()
			return nil, failed(step, err)
		}
		return &Active{Targets: names(targets), Leader: leader, Detail: "cut " + text(cut), Heal: func(ctx context.Context) error {
			behind := w.behind(ctx, cut, targets)
			if err := heal(); err != nil {
				return fmt.Errorf("heal %s: %w: %w", step.Fault, ErrStuck, err)
			}
			w.returning(h, late, behind...)
			return nil
		}}, nil
	}
}

// behind are those that have to catch up when ways are healed: all that the
// leader did not reach both ways, everybody when it is not known who leads.
func (w *World) behind(ctx context.Context, cut []direction, targets []*cluster.Process) []*cluster.Process {
	leader := w.leading(ctx)
	return slices.DeleteFunc(slices.Clone(targets), func(p *cluster.Process) bool {
		return leader != "" && !slices.Contains(cut, direction{leader, p.Name}) && !slices.Contains(cut, direction{p.Name, leader})
	})
}

// fromAll cuts one off from everybody.
func fromAll(target who) ways {
	return func(ctx context.Context, w *World, step plan.Step) ([]*cluster.Process, []direction, error) {
		targets, err := target(ctx, w, step)
		if err != nil {
			return nil, nil, err
		}
		return targets, alone(targets[0].Name, w.everybody()), nil
	}
}

// oneWay cuts what a server is sent by everybody, or sends to everybody.
func oneWay(cut func(host string, all []string) []direction) ways {
	return func(ctx context.Context, w *World, step plan.Step) ([]*cluster.Process, []direction, error) {
		targets, err := aHost(ctx, w, step)
		if err != nil {
			return nil, nil, err
		}
		return targets, cut(targets[0].Name, w.everybody()), nil
	}
}

// anyServer is any of the servers, whatever else is wrong with it.
func anyServer(_ context.Context, w *World, step plan.Step) ([]*cluster.Process, error) {
	return w.Cluster.Servers[step.Choice%uint64(len(w.Cluster.Servers)):][:1], nil
}

// pair cuts what one server sends another.
func pair(_ context.Context, w *World, step plan.Step) ([]*cluster.Process, []direction, error) {
	both := shuffled(w, w.Cluster.Servers)[:2]
	return both, []direction{{both[0].Name, both[1].Name}}, nil
}

// halves cuts everything in two, with servers on both sides.
func halves(_ context.Context, w *World, _ plan.Step) ([]*cluster.Process, []direction, error) {
	servers := shuffled(w, w.Cluster.Servers)
	at := 1 + w.Rand.IntN(len(servers)-1)
	one, other := names(servers[:at]), names(servers[at:])
	for _, name := range append(names(w.Cluster.Agents), ClientHost) {
		if w.Rand.IntN(2) == 0 {
			one = append(one, name)
		} else {
			other = append(other, name)
		}
	}
	return servers, apart(one, other), nil
}

// bridge leaves one server as the only one that reaches both halves of the
// others.
func bridge(_ context.Context, w *World, _ plan.Step) ([]*cluster.Process, []direction, error) {
	servers := shuffled(w, w.Cluster.Servers)
	rest := names(servers[1:])
	return servers, apart(rest[:len(rest)/2], rest[len(rest)/2:]), nil
}

// ring lets each server reach just as many neighbours on a ring as it needs for a
// majority.
func ring(_ context.Context, w *World, _ plan.Step) ([]*cluster.Process, []direction, error) {
	servers := shuffled(w, w.Cluster.Servers)
	n := len(servers)
	reach := n / 2 / 2 // on each side; with its own vote that is a majority of 5
	var cut []direction
	for i, one := range servers {
		for j, other := range servers {
			distance := (j - i + n) % n
			if i != j && distance > reach && n-distance > reach {
				cut = append(cut, direction{one.Name, other.Name})
			}
		}
	}
	return servers, cut, nil
}

// fiveServers is for what means nothing with fewer.
func fiveServers(w *World) error {
	if w.Cluster != nil && len(w.Cluster.Servers) < 5 {
		return fmt.Errorf("%w: with %d servers there is no such ring: it takes 5", ErrUnavailable, len(w.Cluster.Servers))
	}
	return nil
}

// isolated cuts every server off from every other; clients and agents reach all.
func isolated(_ context.Context, w *World, _ plan.Step) ([]*cluster.Process, []direction, error) {
	var cut []direction
	for i, p := range w.Cluster.Servers {
		cut = append(cut, apart([]string{p.Name}, names(w.Cluster.Servers[i+1:]))...)
	}
	return w.Cluster.Servers, cut, nil
}

func shuffled(w *World, processes []*cluster.Process) []*cluster.Process {
	all := slices.Clone(processes)
	w.Rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// swizzle cuts servers off one after the other, over half of the time that it is
// in effect, and heals them in another order.
func swizzle(ctx context.Context, w *World, step plan.Step) (*Active, error) {
	leader := w.leading(ctx)
	order := shuffled(w, w.Cluster.Servers)
	order = order[:1+w.Rand.IntN(len(order))]
	back := shuffled(w, order)
	var all []direction
	for _, p := range order {
		all = append(all, alone(p.Name, w.everybody())...)
	}
	h, err := w.Ledger.Take(harmOf(all, w.servers()))
	if err != nil {
		return nil, err
	}
	between := step.For() / time.Duration(2*len(order))
	heals := map[*cluster.Process]func() error{}
	cutting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() {
		for _, p := range order {
			heal, err := w.Ledger.links.cut(w.Site.Lab, alone(p.Name, w.everybody()))
			if err != nil {
				done <- err
				return
			}
			heals[p] = heal
			if wait.For(cutting, between) != nil {
				break
			}
		}
		done <- nil
	}()
	return &Active{Targets: names(order), Leader: leader, Detail: fmt.Sprintf("cut off %v in turn, %v apart; they come back as %v", names(order), between, names(back)), Heal: func(ctx context.Context) error {
		cancel()
		errs := []error{<-done}
		behind := w.behind(ctx, all, order)
		for _, p := range back {
			if heals[p] == nil {
				continue
			}
			errs = append(errs, heals[p]())
			_ = wait.For(ctx, between/2)
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("heal %s: %w: %w", step.Fault, ErrStuck, err)
		}
		w.returning(h, late, behind...)
		return nil
	}}, nil
}
