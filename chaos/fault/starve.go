package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

const (
	// leastCPU and mostCPU are the shares of a core that a starved server has.
	leastCPU, mostCPU = 0.05, 0.25
	// killedWithin is how long the kernel may take to kill a server that needs more
	// memory than it has: as long as it gets along, it needs none.
	killedWithin = 3 * time.Second
)

// limited bounds what runs on a server's host.
func limited(w *World, p *cluster.Process, limits lab.Limits, detail string) (string, func(context.Context) error, error) {
	host, err := w.Site.Host(p)
	if err != nil {
		return "", nil, err
	}
	lift := func(context.Context) error { return host.Limit(lab.Limits{}) }
	if err := host.Limit(limits); err != nil {
		if errors.Is(err, lab.ErrUnable) {
			lift = nil
		}
		return "", lift, err
	}
	return p.Name + " has " + detail, lift, nil
}

// starved gives a server little CPU time.
func starved(_ context.Context, w *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	share := mostCPU - step.Strength*(mostCPU-leastCPU)
	return limited(w, p, lab.Limits{CPU: share}, fmt.Sprintf("%.2f of a core", share))
}

// squeezed gives a server little more memory than it has.
func squeezed(_ context.Context, w *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	used, err := memoryOf(p.PID())
	if err != nil {
		return "", nil, err
	}
	limit := int64(float64(used) * (1.5 - 0.4*step.Strength))
	return limited(w, p, lab.Limits{Memory: limit}, fmt.Sprintf("%d MiB of memory and uses %d", limit>>20, used>>20))
}

// killedForMemory gives a server less memory than it needs, so that the kernel
// kills it as soon as it asks for more.
func killedForMemory(ctx context.Context, w *World, _ plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	used, err := memoryOf(p.PID())
	if err != nil {
		return "", nil, err
	}
	ended := p.Done()
	detail, lift, err := limited(w, p, lab.Limits{Memory: used / 2}, fmt.Sprintf("%d MiB of memory and uses %d", used>>21, used>>20))
	if err != nil {
		return detail, lift, err
	}
	select {
	case <-ended:
		return detail + ": the kernel killed it", lift, nil
	case <-time.After(killedWithin):
		return detail + ": it got along", lift, nil
	case <-ctx.Done():
		return detail, lift, context.Cause(ctx)
	}
}

// memoryOf is how much memory a process has in use.
func memoryOf(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("%w: how much memory it uses: %w", ErrNoTarget, err)
	}
	for line := range bytes.Lines(status) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == "VmRSS:" {
			kilobytes, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("%w: process %d has no memory in use", ErrNoTarget, pid)
}

// fewFiles leaves a server few file descriptors.
func fewFiles(_ context.Context, _ *World, step plan.Step, p *cluster.Process) (string, func(context.Context) error, error) {
	spare := int(8 * (1 - step.Strength))
	restore, err := lab.FewFiles(p.PID(), spare)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrNoTarget, err)
	}
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("%s may open %d more files", p.Name, spare), func(context.Context) error { return restore() }, nil
}
