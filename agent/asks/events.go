package asks

import (
	"context"
	"fmt"

	"github.com/argosy-cluster/argosy/manifest/mask"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// events answers with the state, and then with every change of it. It ends when
// the workload does not want any more of it, or may not have it.
func (h *Handler) events(ctx context.Context, instance *argosyv1.InstanceName, masks *mask.Set, reply reply) error {
	if n := len(masks.Masks()); n > maxMasks {
		return fmt.Errorf("%w: a subscription with %d masks, at most %d are allowed: select a field above them, or subscribe several times", ErrRequest, n, maxMasks)
	}
	s := h.feed.join(masks)
	defer h.feed.leave(s)
	patience, cancel := context.WithTimeoutCause(ctx, h.cfg.Timeout, ErrUnreachable)
	defer cancel()
	event, err := s.next(patience)
	if err != nil && ctx.Err() == nil {
		return h.feed.excuse()
	}
	for ; err == nil; event, err = s.next(ctx) {
		// The rules may have changed since it subscribed.
		if err := h.mayRead(instance, masks); err != nil {
			return err
		}

		if err := reply(stateResponse(event.ToWire())); err != nil {
			return err
		}
	}
	return err
}
