package asks

import (
	"context"
	"errors"
	"fmt"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest/access"
	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
	"github.com/argosy-cluster/argosy/planted"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// update changes the state, and answers with the instances that are new and those
// that are gone.
func (h *Handler) update(ctx context.Context, instance *argosyv1.InstanceName, request *ankaios.UpdateStateRequest, reply reply) error {
	masks, err := parseMasks(request.GetUpdateMask())
	if err != nil {
		return err
	}
	if err := h.may(instance, func(rules *access.Rules) bool { return rules.MayWrite(masks) }); err != nil {
		return err
	}
	if request.GetNewState() == nil {
		return fmt.Errorf("%w: The UpdateStateRequest does not contain a new state", ErrRequest)
	}
	wanted, err := complete.FromWire(request.GetNewState())
	if err != nil {
		return rejected(err)
	}
	return h.ask(ctx, func(ctx context.Context, c *client.Client) error {
		result, err := put(ctx, c, instance, wanted, masks)
		if err != nil {
			return err
		}
		return reply(&ankaios.Response{ResponseContent: &ankaios.Response_UpdateStateSuccess{UpdateStateSuccess: complete.ToSuccess(result)}})
	})
}

// put lays what the masks name over the state as it is, and has it written if that
// has not changed; again and again, while others were faster.
func put(ctx context.Context, c *client.Client, instance *argosyv1.InstanceName, wanted *tree.Node, masks *mask.Set) (*argosyv1.WriteResult, error) {
	for {
		state, err := c.GetState(ctx, complete.StateRequest(masks))
		if err != nil {
			return nil, failed(err)
		}
		write, err := complete.Of(state).Update(wanted, masks)
		if err != nil {
			return nil, rejected(err)
		}
		if write == nil {
			return nil, nil
		}
		// Every attempt is a write of its own: the one before was refused.
		write.RequestId, write.OnBehalfOf = client.NewRequestID(), instance
		if planted.On(planted.RashAgent) {
			go func() { _, _ = c.Apply(context.WithoutCancel(ctx), write) }()
			return nil, nil
		}
		response, err := c.Apply(ctx, write)
		switch {
		case err == nil:
			return response.GetResult(), nil
		case argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_CONFLICT && ctx.Err() == nil:
		case unreachable(err) || argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_CONFLICT:
			return nil, failed(err)
		default:
			return nil, rejected(errors.New(client.Reason(err)))
		}
	}
}

func rejected(err error) error { return fmt.Errorf("%w: '%w'", ErrRejected, err) }
