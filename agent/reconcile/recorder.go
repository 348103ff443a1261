package reconcile

import (
	"github.com/argosy-cluster/argosy/agent/assignments"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Recorder remembers over a restart of the agent what its runtimes cannot tell
// by themselves. It must not block.
type Recorder interface {
	// Started says that the instance of a workload was started: its absence
	// means from then on that it is lost or done.
	Started(workload *argosyv1.Workload)
	// Leaving says that an instance is to be removed, Left that it is gone.
	Leaving(instance assignments.Leaving)
	Left(instance assignments.Leaving)
}

// forgetful is the recorder that remembers nothing.
type forgetful struct{}

func (forgetful) Started(*argosyv1.Workload)  {}
func (forgetful) Leaving(assignments.Leaving) {}
func (forgetful) Left(assignments.Leaving)    {}
