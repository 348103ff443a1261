package podman

import (
	"time"

	"github.com/containers/podman/v5/libpod/define"
	"github.com/containers/podman/v5/pkg/domain/entities/types"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// unrecordedExit is the exit code of a container whose end nobody saw, since the
// machine went down with it. Podman says 0 then, which would pass for success.
const unrecordedExit = 255

// instanceOf describes a listed container. ok is false when it is not one of
// this agent's.
func instanceOf(c *types.ListContainer, agent string) (instance runtime.Instance, ok bool) {
	name, err := argosyv1.ParseInstanceName(c.Labels[labelName])
	if err != nil || name.GetAgent() != agent {
		return runtime.Instance{}, false
	}
	instance = runtime.Instance{Name: name, RuntimeID: c.ID}
	if c.StartedAt > 0 {
		instance.StartedAt = time.Unix(c.StartedAt, 0)
	}
	switch c.State {
	case define.ContainerStateConfigured.String(), define.ContainerStateCreated.String(), "configured":
		instance.Status = runtime.StatusStarting
		if c.State != define.ContainerStateCreated.String() && !instance.StartedAt.IsZero() {
			// It has run: after the machine was started anew, podman 4 calls
			// everything created that did not end before.
			ended(&instance, c)
		}
	case define.ContainerStateRunning.String():
		instance.Status = runtime.StatusRunning
	case define.ContainerStateStopping.String(), define.ContainerStateRemoving.String():
		instance.Status = runtime.StatusStopping
	case define.ContainerStateStopped.String():
		// Its process has ended and podman has not tidied up behind it yet. When
		// the exit code is known this is the end for us; otherwise it follows.
		instance.Status = runtime.StatusStopping
		if c.Exited {
			ended(&instance, c)
		}
	case define.ContainerStateExited.String():
		ended(&instance, c)
	default:
		instance.Status, instance.Detail = runtime.StatusUnknown, c.State
	}
	return instance, true
}

// ended says how a container ended.
func ended(instance *runtime.Instance, c *types.ListContainer) {
	instance.Status, instance.ExitCode = runtime.StatusExited, c.ExitCode
	if !c.Exited {
		instance.ExitCode = unrecordedExit
		instance.Detail = "how it ended was not recorded: the machine went down with it"
	}
}
