package podman

import (
	"context"
	"fmt"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Logs implements runtime.LogReader. Following ends when the container ends.
func (p *Podman) Logs(ctx context.Context, name *argosyv1.InstanceName, options runtime.LogOptions, emit func(runtime.LogLine) error) error {
	// Asked for, not from the index: it may be another client's, made just now.
	found, err := p.look(ctx, name)
	if err != nil {
		return fmt.Errorf("read logs of %s: %w", name.Key(), err)
	}
	if len(found) == 0 {
		return fmt.Errorf("read logs of %s: %w", name.Key(), runtime.ErrNotFound)
	}
	if err := p.client.Log(ctx, found[0].RuntimeID, options, emit); err != nil {
		return fmt.Errorf("read logs of %s: %w", name.Key(), err)
	}
	return nil
}
