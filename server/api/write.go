package api

import (
	"context"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/membership/identity"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/forward"
)

// check refuses a write that must not go on to the leader. One that needs a level
// which the cluster has not reached yet goes on when wait, which is nil for all
// others, returns nil.
func (s *Service) check(ctx context.Context, w forward.Write) (wait func(context.Context) error, err error) {
	instance := w.Apply.GetOnBehalfOf()
	if err := checkBehalf(ctx, instance); err != nil {
		return nil, err
	}
	if name, ok := s.callingAgent(ctx); ok && instance == nil {
		return nil, agentForbidden("write", name)
	}
	needs := argosyv1.FeatureBase
	if w.Apply != nil {
		needs = w.Apply.NeedsLevel()
	} else if w.Delete != nil {
		needs = w.Delete.NeedsLevel()
	}
	if needs == argosyv1.FeatureBase || needs <= s.activeLevel() {
		return nil, nil
	}
	return func(ctx context.Context) error { return s.waitLevel(ctx, needs) }, nil
}

// checkBehalf refuses whoever speaks for an instance and is not the agent that has
// it. Without TLS nobody can tell, of agents as little as of anybody else.
func checkBehalf(ctx context.Context, instance *argosyv1.InstanceName) error {
	if instance == nil {
		return nil
	}
	names, tls := identity.PeerNames(ctx)
	if !tls || slices.Contains(names, instance.GetAgent()) {
		return nil
	}
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN,
		"apply on behalf of workload %q: only agent %q may ask for it, and the certificate of %s names %s",
		instance.GetWorkload(), instance.GetAgent(), identity.PrincipalOf(ctx), strings.Join(names, ", "))
}

// waitLevel refuses what a leader of an older version would leave out without a
// word: a rehearsal would be carried out. When the level is reached every server
// knows what it stands for. A cluster that was just founded or upgraded is about to
// reach it.
func (s *Service) waitLevel(ctx context.Context, needs uint32) error {
	ctx, cancel := context.WithTimeout(ctx, s.LevelPatience)
	defer cancel()
	// Whether this server may answer does not matter, only that it has what the
	// caller may have seen.
	_ = s.Reads.Await(ctx)
	active := s.awaitLevel(ctx, needs)
	if active >= needs {
		return nil
	}
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE,
		"write: the request needs feature level %d, and the cluster is at level %d until all its servers know more; upgrade those that do not, or try again in a moment", needs, active)
}

// awaitLevel returns the level of the cluster when it is high enough, or at the end
// of the context.
func (s *Service) awaitLevel(ctx context.Context, needs uint32) uint32 {
	for {
		applied := s.State.Applied()
		if active := s.activeLevel(); active >= needs || s.State.WaitApplied(ctx, applied+1) != nil {
			return active
		}
	}
}

func (s *Service) activeLevel() uint32 {
	settings, _ := s.State.View().Cluster()
	return argosyv1.ActiveLevel(settings)
}
