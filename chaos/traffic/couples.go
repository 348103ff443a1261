package traffic

import (
	"context"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// coupleAlong creates two workloads, of which the one must run before the other is
// started, together or that one last, and deletes them together.
func (s *session) coupleAlong(ctx context.Context, user, base string) {
	for {
		one, other := s.couple(user, base)
		writes := []*write{s.start(one, other)}
		if s.oneIn(2) {
			writes = []*write{s.start(one), s.start(other)}
		}
		for _, w := range append(writes, s.uncouple(user, base)) {
			op := s.settle(ctx, w)
			if !s.rest(ctx, op) || !s.pause(ctx, max(moverPause*s.meanPause(), leastMoverPause)) {
				return
			}
		}
	}
}

// couple makes both; the user depends on the base running.
func (s *session) couple(user, base string) (one, other *argosyv1.Workload) {
	run := func(name string) *argosyv1.Workload {
		return s.config.Probe(name, s.config.Agents[s.rand.IntN(len(s.config.Agents))], s.value())
	}
	one, other = run(user), run(base)
	one.Dependencies = map[string]argosyv1.DependencyCondition{base: argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING}
	return one, other
}

func (s *session) start(workloads ...*argosyv1.Workload) *write {
	return &write{apply: &argosyv1.ApplyRequest{RequestId: client.NewRequestID(), Workloads: workloads}}
}

func (s *session) uncouple(user, base string) *write {
	w := s.remove(user, base)
	w.delete.IgnoreMissing = true
	return w
}
