package asks

import (
	"context"
	"fmt"
	"log/slog"

	"golang.org/x/sync/semaphore"

	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest/access"
	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var _ control.Handler = (*Handler)(nil)

// Handler does what workloads ask for.
type Handler struct {
	cfg     Config
	rules   rulebook
	servers *servers
	feed    *feed
	atOnce  *semaphore.Weighted
}

// New makes a handler. It starts nothing.
func New(cfg Config) (*Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		cfg: cfg, rules: rulebook{workloads: cfg.Workloads},
		servers: &servers{cfg: cfg, patience: logsPatience}, feed: newFeed(cfg), atOnce: semaphore.NewWeighted(int64(cfg.MaxAtOnce)),
	}, nil
}

// Run feeds subscriptions until the context ends. Requests that come afterwards
// fail.
func (h *Handler) Run(ctx context.Context) error {
	defer h.servers.close()
	defer h.feed.servers.close()
	h.feed.run(ctx)
	return nil
}

// reply sends one response of a request.
type reply func(*ankaios.Response) error

// Handle does what one request asks for.
func (h *Handler) Handle(ctx context.Context, instance *argosyv1.InstanceName, request *ankaios.Request, reply func(*ankaios.Response) error) error {
	switch content := request.GetRequestContent().(type) {
	case *ankaios.Request_CompleteStateRequest:
		masks, err := parseMasks(content.CompleteStateRequest.GetFieldMask())
		if err != nil {
			return err
		}
		if err := h.mayRead(instance, masks); err != nil {
			return err
		}
		if content.CompleteStateRequest.GetSubscribeForEvents() {
			return h.events(ctx, instance, masks, reply)
		}
		return h.state(ctx, masks, reply)
	case *ankaios.Request_UpdateStateRequest:
		return h.update(ctx, instance, content.UpdateStateRequest, reply)
	case *ankaios.Request_LogsRequest:
		return h.logs(ctx, instance, content.LogsRequest, reply)
	}
	return fmt.Errorf("%w: The Request does not contain any content", ErrRequest)
}

func parseMasks(texts []string) (*mask.Set, error) {
	masks, err := mask.ParseSet(texts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return masks, nil
}

// mayRead returns ErrDenied when an instance may not read what the masks select.
func (h *Handler) mayRead(instance *argosyv1.InstanceName, masks *mask.Set) error {
	return h.may(instance, func(rules *access.Rules) bool { return rules.MayRead(masks) })
}

func (h *Handler) may(instance *argosyv1.InstanceName, may func(*access.Rules) bool) error {
	if rules, ok := h.rules.of(instance); !ok || !may(rules) {
		return control.ErrDenied
	}
	return nil
}

// state answers with the part of the state that the masks select.
func (h *Handler) state(ctx context.Context, masks *mask.Set, reply reply) error {
	return h.ask(ctx, func(ctx context.Context, c *client.Client) error {
		state, err := c.GetState(ctx, complete.StateRequest(masks))
		if err != nil {
			return failed(err)
		}
		part := complete.ToWire(mask.Filter(complete.Of(state).Tree(), masks))
		return reply(stateResponse(&ankaios.CompleteStateResponse{CompleteState: part}))
	})
}

func stateResponse(response *ankaios.CompleteStateResponse) *ankaios.Response {
	return &ankaios.Response{ResponseContent: &ankaios.Response_CompleteStateResponse{CompleteStateResponse: response}}
}

// ask asks the servers, within the time that a request has, when it is its turn.
func (h *Handler) ask(ctx context.Context, do func(context.Context, *client.Client) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, h.cfg.Timeout, control.ErrTimeout)
	defer cancel()
	if err := h.atOnce.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("%w: %d requests of this agent's workloads wait for the servers already: %w",
			ErrUnreachable, h.cfg.MaxAtOnce, context.Cause(ctx))
	}
	defer h.atOnce.Release(1)
	c, err := h.servers.take()
	if err != nil {
		return err
	}
	defer h.servers.giveBack(c)
	return do(ctx, c.Client)
}

// failed returns an error of a call in the words that are for a workload.
func failed(err error) error {
	if unreachable(err) {
		return fmt.Errorf("%w: %s", ErrUnreachable, client.Reason(err))
	}
	return fmt.Errorf("%w: %s", ErrRequest, client.Reason(err))
}
