package fault

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/wait"
)

// secondKill is how long after the first the second of two is killed at most.
const secondKill = 100 * time.Millisecond

// stopLimit is how long an orderly stop may take before it becomes a kill.
const stopLimit = 60 * time.Second

func killed(_ context.Context, _ *World, _ plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	return fmt.Sprintf("killed %s (%d)", p.Name, p.PID()), nil, kill(p)
}

// kill ends a process that may have ended by itself.
func kill(p *cluster.Process) error {
	if err := p.Kill(); err != nil && !errors.Is(err, cluster.ErrNotRunning) {
		return err
	}
	return nil
}

// killedInTurn kills the second of two a moment after the first.
func killedInTurn() inject {
	return func(ctx context.Context, w *World, step plan.Step) (*Active, error) {
		after := time.Duration(step.Strength * float64(secondKill))
		var mu sync.Mutex
		first := true
		return to(twoServers, down, late, func(ctx context.Context, w *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
			mu.Lock()
			waits := !first
			first = false
			mu.Unlock()
			if waits && wait.For(ctx, after) != nil {
				return "", nil, context.Cause(ctx)
			}
			return killed(ctx, w, step, p)
		})(ctx, w, step)
	}
}

// stopped ends a process as an operator does.
func stopped(ctx context.Context, _ *World, _ plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	begun := time.Now()
	err := p.Stop(ctx)
	took := time.Since(begun).Round(time.Millisecond)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return fmt.Sprintf("stopped %s within %v", p.Name, took), nil, nil
	case errors.As(err, &exit):
		// One that was told so while it started knew nothing of it yet.
		return fmt.Sprintf("stopped %s within %v: %v", p.Name, took, exit), nil, nil
	}
	return "", nil, err
}

func paused(_ context.Context, _ *World, _ plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	thaw := func(context.Context) error {
		if err := p.Thaw(); err != nil && !errors.Is(err, cluster.ErrNotRunning) {
			return err
		}
		return nil
	}
	return fmt.Sprintf("froze %s (%d)", p.Name, p.PID()), thaw, p.Freeze()
}

// transferLeader has the leader give leadership away.
func transferLeader(ctx context.Context, w *World, _ plan.Step) (*Active, error) {
	leader, err := w.leader(ctx)
	if err != nil {
		return nil, err
	}
	response, err := w.Client.TransferLeadership(ctx, "")
	if err != nil {
		// Another fault may be in its way: nobody was asked to do the impossible.
		return nil, fmt.Errorf("%w: nobody takes over from %s: %w", ErrNoTarget, leader.Name, err)
	}
	return &Active{Targets: []string{leader.Name}, Leader: leader.Name, Detail: "leadership went from " + leader.Name + " to server " + response.GetHeader().GetLeaderId()}, nil
}

// rollServers restarts one server after the other, the leader last, as an
// operator does for an upgrade. Another fault may be in its way: then that server
// is left out.
func rollServers(ctx context.Context, w *World, step plan.Step) (*Active, error) {
	return rolling(ctx, w, step, stopped, "restarting")
}

// upgradeServers is rollServers of servers that come back as those of the newest
// version. That is installed everywhere before the first is restarted: one that
// another fault starts, or makes a new member of the cluster meanwhile, is of it, too.
// (One of the old version could not join a cluster that has made use of the new one.)
func upgradeServers(ctx context.Context, w *World, step plan.Step) (*Active, error) {
	if w.Upgrade == nil {
		return nil, fmt.Errorf("%w: all servers are of the newest version", ErrNoTarget)
	}
	for _, p := range w.Cluster.Servers {
		w.Upgrade(p)
	}
	return rolling(ctx, w, step, stopped, "upgrading")
}

// rolling does something that ends it to one server after the other, the leader
// last.
func rolling(ctx context.Context, w *World, step plan.Step, do deed, what string) (*Active, error) {
	leader, err := w.leader(ctx)
	if err != nil {
		return nil, err
	}
	order := append(without(w.Cluster.Servers, leader), leader)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- roll(ctx, w, step, order, do) }()
	return &Active{Targets: names(order), Leader: leader.Name, Detail: fmt.Sprintf("%s %v in turn", what, names(order)), Heal: func(healing context.Context) error {
		defer cancel()
		select {
		case err := <-done:
			return err
		case <-healing.Done():
			cancel()
			return errors.Join(fmt.Errorf("restart servers in turn: %w: %w", ErrStuck, context.Cause(healing)), <-done)
		}
	}}, nil
}

func roll(ctx context.Context, w *World, step plan.Step, order []*cluster.Process, do deed) error {
	for _, p := range order {
		restart := to(func(context.Context, *World, plan.Step) ([]*cluster.Process, error) {
			return []*cluster.Process{p}, nil
		}, down, late, do)
		active, err := restart(ctx, w, step)
		switch {
		case errors.Is(err, ErrBudget):
			continue
		case err != nil:
			return err
		}
		if err := active.Heal(ctx); err != nil {
			return err
		}
		if err := w.Ledger.wait(ctx, w.areLevel([]*cluster.Process{p})); err != nil {
			return fmt.Errorf("restart servers in turn: %w: %w", ErrStuck, err)
		}
	}
	return nil
}
