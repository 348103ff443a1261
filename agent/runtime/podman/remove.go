package podman

import (
	"context"
	"fmt"
	"net/http"

	"github.com/containers/podman/v5/pkg/bindings/containers"
	"github.com/containers/podman/v5/pkg/domain/entities/reports"

	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Remove implements runtime.Starter. Volumes without a name stay, as with
// podman's own rm.
func (p *Podman) Remove(ctx context.Context, name *argosyv1.InstanceName) error {
	leave, err := p.lanes.Enter(ctx, name.Key())
	if err != nil {
		return fmt.Errorf("remove %s: %w", name.Key(), err)
	}
	defer leave()
	p.ahead.take(name.Key())
	// Always asked for, never from the index: what is overlooked runs for ever.
	existing, err := p.look(ctx, name)
	if err != nil {
		return fmt.Errorf("remove %s: %w", name.Key(), err)
	}
	for _, c := range existing {
		if err := p.stop(ctx, c); err != nil {
			return fmt.Errorf("remove %s: %w", name.Key(), err)
		}
		if err := p.remove(ctx, c.RuntimeID, false); err != nil {
			return fmt.Errorf("remove %s: %w", name.Key(), err)
		}
	}
	return nil
}

// remove removes a container. By force: what could be stopped was stopped
// before. Who follows the log may read it to its end first.
func (p *Podman) remove(ctx context.Context, id string, volumes bool) error {
	p.client.Drain(ctx, id)
	options := new(containers.RemoveOptions).WithForce(true).WithIgnore(true).WithVolumes(volumes)
	var removed []*reports.RmReport
	err := p.client.Do(ctx, p.cfg.StartTimeout, "remove container", func(ctx context.Context) (err error) {
		removed, err = containers.Remove(ctx, id, options)
		return err
	})
	if err != nil && !libpod.IsCode(err, http.StatusNotFound) {
		p.mayHaveDone(err)
		return err
	}
	for _, report := range removed {
		if report.Id == id && report.Err != nil {
			return fmt.Errorf("remove container: %w", report.Err)
		}
	}
	p.index.Removed(id)
	return nil
}
