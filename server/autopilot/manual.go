package autopilot

import (
	"context"
	"errors"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

// find returns the newest table, and the server in it that is meant by
// an id or a name.
func (a *Autopilot) find(verb, wanted string) (*Table, Health, error) {
	t := a.Table()
	if t == nil {
		return nil, Health{}, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "%s server %q: this server has not looked over the others yet; try again", verb, wanted)
	}
	if h, ok := t.Find(wanted); ok {
		return t, h, nil
	}
	var named []Health
	for _, h := range t.Servers {
		if h.Name == wanted {
			named = append(named, h)
		}
	}
	switch len(named) {
	case 0:
		return nil, Health{}, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND,
			"%s server %q: no server of the cluster has that id or name; see 'argosy get servers -o wide'", verb, wanted)
	case 1:
		return t, named[0], nil
	}
	return nil, Health{}, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID,
		"%s server %q: %d servers have that name: say which by its id, see 'argosy get servers -o wide'", verb, wanted, len(named))
}

// Removal looks at whether a server, named by its id or name, may be removed:
// the cluster must be able to go on without it, unless force says that it need
// not. It returns what Remove wants.
func (a *Autopilot) Removal(ctx context.Context, wanted string, force bool) (Health, uint64, error) {
	t, h, err := a.find("remove", wanted)
	if err != nil {
		return h, 0, err
	}
	if voters, _ := t.voters(); h.Voter && voters == 1 {
		return h, 0, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT,
			"remove server %s: it is the only voter, and the cluster would be no more; let another server join first", h.ID)
	}
	if force || !h.Voter {
		return h, t.Configuration, nil
	}
	configuration, err := a.confirmRest(ctx, h.ID)
	var refusal *refusedError
	switch {
	case errors.As(err, &refusal):
		return h, 0, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT,
			"remove server %s: without it %s; bring other servers back or let new ones join first (--force removes it all the same, and may stop the cluster)", h.ID, refusal.reason)
	case err != nil:
		return h, 0, apiError("remove server "+h.ID, err)
	}
	return h, configuration, nil
}

// confirmEvery is the pause between two looks for fresh answers.
const confirmEvery = 5 * time.Millisecond

// confirmRest waits until enough voters have answered messages that were sent
// after the call for the cluster to go on without a server, and returns the
// configuration that this is true of. What was heard before says too little: of
// two servers that seem well, one may have died a moment ago.
func (a *Autopilot) confirmRest(ctx context.Context, id string) (uint64, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Patience)
	defer cancel()
	ticker := time.NewTicker(confirmEvery)
	defer ticker.Stop()
	for {
		o, err := a.deps.Raft.Overview()
		if err != nil {
			return 0, err
		}
		voters, answering := 0, 0
		for _, f := range o.Servers {
			if f.Voter && f.ID != id {
				voters++
				if f.ID == a.deps.Self || f.Heard.After(began) {
					answering++
				}
			}
		}
		if answering >= quorum(voters) {
			return o.Configuration, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, &refusedError{missing(answering, voters)}
		}
	}
}

// refusedError is a change that would cost the quorum.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

// Remove removes a server that Removal has looked at.
func (a *Autopilot) Remove(ctx context.Context, id string, configuration uint64) error {
	if err := a.deps.Raft.RemoveServerAt(ctx, id, configuration); err != nil {
		return apiError("remove server "+id, err)
	}
	a.Wake()
	return nil
}

// Promote gives a server, named by its id or name, its vote without waiting
// until it counts as stable.
func (a *Autopilot) Promote(ctx context.Context, wanted string) (string, error) {
	t, h, err := a.find("promote", wanted)
	if err != nil {
		return "", err
	}
	if h.Voter {
		return h.ID, nil
	}
	if refusal := refusePromotion(t, h); refusal != "" {
		return "", argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "promote server %s: %s; see the status, and try again", h.ID, refusal)
	}
	if err := a.deps.Raft.PromoteServer(ctx, h.ID, t.Configuration); err != nil {
		return "", apiError("promote server "+h.ID, err)
	}
	a.Wake()
	return h.ID, nil
}

func apiError(what string, err error) error {
	code := argosyv1.ErrorCode_ERROR_CODE_INTERNAL
	switch {
	case errors.Is(err, consensus.ErrChanged):
		code = argosyv1.ErrorCode_ERROR_CODE_CONFLICT
	case errors.Is(err, consensus.ErrUnknownServer):
		code = argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND
	case errors.Is(err, consensus.ErrNotLeader):
		code = argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER
	case errors.Is(err, consensus.ErrFateUnknown):
		code = argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN
	case errors.Is(err, consensus.ErrStopped):
		code = argosyv1.ErrorCode_ERROR_CODE_STOPPING
	}
	return argosyv1.Errorf(code, "%s: %v", what, err)
}
