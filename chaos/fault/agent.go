package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/argosy-cluster/argosy/chaos/plan"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// anyAgents is for what happens to agents.
func anyAgents(w *World) error {
	if w.Cluster != nil && len(w.Cluster.Agents) == 0 {
		return fmt.Errorf("%w: the cluster has no agents", ErrUnavailable)
	}
	return nil
}

// killKeeper kills the parent of an agent's processes, which they survive.
func killKeeper(ctx context.Context, w *World, step plan.Step) (*Active, error) {
	targets, err := anAgent(ctx, w, step)
	if err != nil {
		return nil, err
	}
	agent := targets[0]
	pid, err := agent.KeeperPID()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNoTarget, err)
	}
	if err == nil {
		err = end(pid)
	}
	if err != nil {
		return nil, fmt.Errorf("kill keeper of %s: %w", agent.Name, err)
	}
	return &Active{Targets: names(targets), Leader: w.leading(ctx), Detail: fmt.Sprintf("killed the keeper of %s (%d)", agent.Name, pid)}, nil
}

// killWorkload kills the first process of one workload.
func killWorkload(ctx context.Context, w *World, step plan.Step) (*Active, error) {
	asking, cancel := context.WithTimeout(ctx, leaderLimit)
	defer cancel()
	state, err := w.Client.GetState(asking, &argosyv1.GetStateRequest{OmitWorkloads: true, OmitAgents: true})
	if err != nil {
		return nil, fmt.Errorf("%w: nobody says what runs: %w", ErrNoTarget, err)
	}
	type running struct {
		workload, agent string
		pid             int
	}
	var all []running
	for _, s := range state.GetStates() {
		pid, err := strconv.Atoi(s.GetExecution().GetRuntimeId())
		if err == nil && s.GetExecution().GetState() == argosyv1.State_STATE_RUNNING && isWorkload(pid) {
			all = append(all, running{s.GetInstance().GetWorkload(), s.GetInstance().GetAgent(), pid})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no process of a workload runs", ErrNoTarget)
	}
	victim := all[step.Choice%uint64(len(all))]
	if err := end(victim.pid); err != nil {
		return nil, fmt.Errorf("kill workload %s: %w", victim.workload, err)
	}
	return &Active{Targets: []string{victim.agent, victim.workload}, Leader: w.leading(ctx),
		Detail: fmt.Sprintf("killed workload %s (%d) of %s", victim.workload, victim.pid, victim.agent)}, nil
}

// isWorkload tells whether a process is what an agent's keeper has started: what
// is known of it may be old, and its number another's now.
func isWorkload(pid int) bool {
	environment, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	return err == nil && bytes.Contains(environment, []byte("ARGOSY_RUN="))
}

// end kills a process that is not ours and may have ended by itself.
func end(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// podmanRuns is for what happens to podman.
func podmanRuns(w *World) error {
	if w.Podman == nil {
		return fmt.Errorf("%w: the trial has no podman", ErrUnavailable)
	}
	return nil
}

// killPodman ends the podman service; its containers run on.
func killPodman(ctx context.Context, w *World, _ plan.Step) (*Active, error) {
	if w.Podman.PID() == 0 {
		return nil, fmt.Errorf("%w: podman does not run", ErrNoTarget)
	}
	pid := w.Podman.PID()
	if err := w.Podman.Kill(); err != nil {
		return nil, err
	}
	return &Active{Leader: w.leading(ctx), Detail: fmt.Sprintf("killed podman (%d)", pid), Heal: func(ctx context.Context) error {
		if err := w.Podman.Restart(ctx); err != nil {
			return fmt.Errorf("start podman again: %w: %w", ErrStuck, err)
		}
		return nil
	}}, nil
}
