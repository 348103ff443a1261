package fault

import (
	"context"
	"errors"
	"fmt"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// powerLost turns a machine off as a cut cable does: nobody hears of it again,
// nothing more reaches its disk, what was not flushed is lost, and all that ran
// on it is gone.
func powerLost(_ context.Context, w *World, _ plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	undo := func(context.Context) error { return w.Site.PowerOn(p) }
	if err := w.Site.PowerOff(p); err != nil {
		return "", func(ctx context.Context) error { return errors.Join(kill(p), undo(ctx)) }, err
	}
	return p.Name + " lost its power", undo, nil
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
