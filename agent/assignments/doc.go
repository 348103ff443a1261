// Package assignments keeps what the leader told this agent to run, in memory
// and in a file, so that an agent that starts again knows what to supervise
// before it has found a leader. It protects two invariants: nothing is taken
// from a leader of a lower term than the highest that was ever accepted in the
// highest incarnation, and nothing from another cluster than the one the agent
// belongs to.
package assignments

import (
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var (
	// ErrStaleLeader is returned when a leader of a lower term speaks than one
	// that was accepted before, or the same leader goes back in time.
	ErrStaleLeader = errors.New("stale leader")
	// ErrLeftBehind is returned when a server speaks that a recovery of the
	// cluster has left behind.
	ErrLeftBehind = errors.New("server was left behind by a recovery of the cluster")
	// ErrOtherCluster is returned when a server of another cluster speaks.
	ErrOtherCluster = errors.New("server of another cluster")
)

// Change is a change of what shall run.
type Change struct {
	// Full is set when Upserts is everything there is.
	Full bool
	// Vouched is set when a leader stands behind it. What is only remembered is
	// not vouched for: it is supervised, but nothing is created or removed
	// because of it.
	Vouched bool
	// Revision up to which the assignments are complete with it.
	Revision uint64
	// Upserts are the workloads that are new or changed.
	Upserts []*argosyv1.Workload
	// Removals are the names of those not to run any more; one that stands in
	// Upserts too was made again.
	Removals []string
	// Started names those among Upserts that were started in an earlier life of
	// the agent.
	Started map[string]bool
	// Leaving are instances whose removal an earlier life of the agent did not
	// bring to its end.
	Leaving []Leaving
}

// Leaving is an instance on its way out.
type Leaving struct {
	// Runtime that has it.
	Runtime string
	// Instance is its name.
	Instance *argosyv1.InstanceName
	// Dependents are the names of workloads that are to stop before it does.
	Dependents []string
}

// Same tells whether two versions of a workload ask for the same instance, so
// that going from one to the other touches nothing that runs. A workload that
// was deleted and made again is not the same, even when it reads alike. What an
// instance cannot see (tags, access rules, dependencies, restart policy) makes no
// other instance.
func Same(a, b *argosyv1.Workload) bool {
	if a.GetName() != b.GetName() || a.GetAgent() != b.GetAgent() || a.GetRuntime() != b.GetRuntime() {
		return false
	}
	if a.GetCreatedRevision() != b.GetCreatedRevision() && a.GetCreatedRevision() != 0 && b.GetCreatedRevision() != 0 {
		return false
	}
	if a.HasControlInterface() != b.HasControlInterface() || !slices.EqualFunc(a.GetFiles(), b.GetFiles(), sameFile) {
		return false
	}
	return a.GetRuntimeConfig() == b.GetRuntimeConfig() ||
		argosyv1.InstanceID(a.GetRuntimeConfig()) == argosyv1.InstanceID(b.GetRuntimeConfig())
}

func sameFile(a, b *argosyv1.File) bool { return proto.Equal(a, b) }
