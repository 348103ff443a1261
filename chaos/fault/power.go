package fault

import (
	"context"
	"errors"
	"fmt"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// powerLost turns a server's machine off as a cut cable does: nobody hears of it
// again, nothing more reaches its disk, and what was not flushed is lost.
func powerLost(_ context.Context, w *World, _ plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	disk := w.Site.Disk(p)
	if disk == nil {
		return "", nil, fmt.Errorf("turn %s off: it has no disk of its own", p.Name)
	}
	// In this order nothing that the dying process does is heard by anybody.
	heal, err := w.Ledger.links.cut(w.Site.Lab, alone(p.Name, w.everybody()))
	if err != nil {
		return "", nil, err
	}
	undo := func(context.Context) error { return errors.Join(kill(p), disk.PowerOn(), heal()) }
	if err := errors.Join(disk.PowerOff(), kill(p)); err != nil {
		return "", undo, err
	}
	return p.Name + " lost its power", undo, nil
}

// agentPowerLost takes the machine of an agent away, with all that runs on it.
func agentPowerLost(_ context.Context, w *World, _ plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	heal, err := w.Ledger.links.cut(w.Site.Lab, alone(p.Name, w.everybody()))
	if err != nil {
		return "", nil, err
	}
	undo := func(context.Context) error { return heal() }
	if err := kill(p); err != nil {
		return "", undo, err
	}
	cluster.EndHolders(p.DataDir)
	return p.Name + " lost its power, with all that it ran", undo, nil
}

// ownDisks is for what happens to a server's disk.
func ownDisks(w *World) error {
	if w.Site == nil || w.Cluster == nil {
		return nil
	}
	for _, p := range w.Cluster.Servers {
		if w.Site.Disk(p) == nil {
			return fmt.Errorf("%w: %s has no disk of its own: give the site's disks a size", ErrUnavailable, p.Name)
		}
	}
	return nil
}
