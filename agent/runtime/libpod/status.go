package libpod

import (
	"time"

	"github.com/containers/podman/v5/libpod/define"
	"github.com/containers/podman/v5/pkg/domain/entities/types"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

// UnrecordedExit is the exit code of a container whose end nobody saw, since the
// machine went down with it. Podman says 0 then, which would pass for success.
const UnrecordedExit = 255

// Describe says what a listed container is; whose it is the caller must say.
func Describe(c *types.ListContainer) (described Container) {
	described = Container{Pod: c.Pod, PodName: c.PodName, Labels: c.Labels}
	if len(c.Names) > 0 {
		described.Container = c.Names[0]
	}
	instance := &described.Instance
	instance.RuntimeID = c.ID
	if c.StartedAt > 0 {
		instance.StartedAt = time.Unix(c.StartedAt, 0)
	}
	switch c.State {
	case define.ContainerStateConfigured.String(), define.ContainerStateCreated.String(), "configured":
		instance.Status = runtime.StatusStarting
		if c.State != define.ContainerStateCreated.String() && !instance.StartedAt.IsZero() {
			// It has run: after the machine was started anew, podman 4 calls
			// everything created that did not end before.
			ended(&described, c)
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
			ended(&described, c)
		}
	case define.ContainerStateExited.String():
		ended(&described, c)
	default:
		instance.Status, instance.Detail = runtime.StatusUnknown, c.State
	}
	return described
}

// ended says how a container ended.
func ended(described *Container, c *types.ListContainer) {
	described.Status, described.ExitCode = runtime.StatusExited, c.ExitCode
	if c.Exited && c.ExitedAt > 0 {
		described.EndedAt = time.Unix(c.ExitedAt, 0)
	}
	if !c.Exited {
		described.ExitCode = UnrecordedExit
		described.Detail = "how it ended was not recorded: the machine went down with it"
	}
}
