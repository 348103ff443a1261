package kube

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	core "github.com/containers/podman/v5/pkg/k8s.io/api/core/v1"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
)

// restartGrace is how long after its end a container counts as starting that
// podman starts again by itself: it takes some tenths of a second, and more on a
// machine that is busy.
const restartGrace = 5 * time.Second

// verdict says what the containers and records of an instance mean for it.
func verdict(found []libpod.Container) (instance runtime.Instance, again time.Duration) {
	containers := slices.DeleteFunc(slices.Clone(found), isRecord)
	instance = runtime.Instance{Name: found[0].Name, RuntimeID: found[0].RuntimeID, Status: runtime.StatusStarting}
	slices.SortStableFunc(containers, func(a, b libpod.Container) int {
		return cmp.Or(cmp.Compare(a.PodName, b.PodName), cmp.Compare(a.Container, b.Container))
	})
	for _, c := range containers {
		if instance.StartedAt.IsZero() || !c.StartedAt.IsZero() && c.StartedAt.Before(instance.StartedAt) {
			instance.StartedAt = c.StartedAt
		}
	}
	if len(containers) > 0 {
		instance.RuntimeID = containers[0].Pod
	}
	switch {
	case !isComplete(found):
		instance.Detail = "it was not made completely"
		return instance, 0
	case len(containers) == 0:
		instance.Status, instance.ExitCode = runtime.StatusExited, libpod.UnrecordedExit
		instance.Detail = "its pods are gone: somebody else has removed them"
		return instance, 0
	}
	again = settle(containers, time.Now())
	worst := slices.MinFunc(containers, func(a, b libpod.Container) int {
		return cmp.Or(cmp.Compare(rank(a.Instance), rank(b.Instance)), a.EndedAt.Compare(b.EndedAt))
	})
	instance.Status, instance.ExitCode, instance.Detail = worst.Status, worst.ExitCode, worst.Detail
	if len(containers) > 1 || instance.Detail != "" {
		instance.Detail = describe(worst)
	}
	return instance, again
}

// settle makes those that podman will start again starting, and returns when the
// first of them will not count as that any more.
func settle(containers []libpod.Container, now time.Time) (again time.Duration) {
	for i := range containers {
		c := &containers[i]
		left := restartGrace - now.Sub(c.EndedAt)
		if c.Status != runtime.StatusExited || c.EndedAt.IsZero() || !restarts(c) {
			continue
		}
		if left <= 0 || left > restartGrace { // in the future: the clock was set back
			continue
		}
		c.Status, c.Detail = runtime.StatusStarting, fmt.Sprintf("ended with %d, podman starts it again", c.ExitCode)
		if again == 0 || left < again {
			again = left
		}
	}
	return again
}

// restarts says whether podman starts a container that has ended.
func restarts(c *libpod.Container) bool {
	switch core.RestartPolicy(c.Labels[labelRestart]) {
	case core.RestartPolicyAlways:
		return true
	case core.RestartPolicyOnFailure:
		return c.ExitCode != 0
	}
	return false
}

// rank is the place of a container's state in the order of Eclipse Ankaios: the
// state of an instance is that of the container with the lowest.
func rank(i runtime.Instance) int {
	switch i.Status {
	case runtime.StatusExited:
		if i.ExitCode != 0 {
			return 0 // failed
		}
		return 5 // succeeded
	case runtime.StatusStarting:
		return 1
	case runtime.StatusRunning:
		return 3
	case runtime.StatusStopping:
		return 4
	default:
		return 2
	}
}

// describe says which container speaks for the instance.
func describe(c libpod.Container) string {
	detail := c.Detail
	if detail == "" && c.Status == runtime.StatusExited {
		detail = fmt.Sprintf("ended with %d", c.ExitCode)
	}
	if detail == "" {
		return ""
	}
	return fmt.Sprintf("container %s: %s", c.Container, detail)
}

// isRecord says whether it is a volume with a record: every container has a pod.
func isRecord(c libpod.Container) bool { return c.Pod == "" }

// isComplete says whether everything was made that belongs to an instance.
func isComplete(found []libpod.Container) bool {
	has := func(kind string) bool {
		return slices.ContainsFunc(found, func(c libpod.Container) bool { return isRecord(c) && c.Container == kind })
	}
	return has(recordConfig) && has(recordPods)
}
