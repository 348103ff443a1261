package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	"github.com/argosy-cluster/argosy/chaos/wait"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// ticksPerSecond is the unit of CPU time in /proc on every Linux that Go runs on.
const ticksPerSecond = 100

// measureIdle measures what a cluster costs that has nothing to do.
func measureIdle(ctx context.Context, s *suite) error {
	dir, clean, err := s.dir("idle")
	if err != nil {
		return err
	}
	defer clean()
	settings := cluster.Config{Binary: s.config.Binary, Dir: dir, Agents: 2}
	podman, err := s.startPodman(ctx)
	if err != nil && !errors.Is(err, podmand.ErrMissing) && !errors.Is(err, podmand.ErrUnusable) {
		return err
	}
	if podman != nil {
		defer func() { _ = podman.Stop(context.WithoutCancel(ctx)) }()
		settings.Runtimes = []string{"podman", "process"}
		settings.PodmanSocket = podman.URL()
	}
	c, err := cluster.New(settings)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.Start(ctx); err != nil {
		return err
	}
	if err := wait.For(ctx, s.seconds(15)); err != nil {
		return err
	}
	if err := s.atRest(ctx, c); err != nil {
		return err
	}
	if podman == nil {
		return nil
	}
	return s.atRestWithContainers(ctx, c)
}

func (s *suite) atRest(ctx context.Context, c *cluster.Cluster) error {
	length := s.seconds(60)
	usage := map[*cluster.Process]processUsage{}
	all := append(append([]*cluster.Process{}, c.Servers...), c.Agents...)
	for _, p := range all {
		u, err := usageOf(p.PID())
		if err != nil {
			return err
		}
		usage[p] = u
	}
	if err := wait.For(ctx, length); err != nil {
		return err
	}
	memory := map[bool]float64{}
	cpu := map[bool]float64{}
	var written uint64
	for i, p := range all {
		isServer := i < len(c.Servers)
		mb, err := pss(p.PID())
		if err != nil {
			return err
		}
		u, err := usageOf(p.PID())
		if err != nil {
			return err
		}
		memory[isServer] = max(memory[isServer], mb)
		cpu[isServer] = max(cpu[isServer], 100*(u.seconds-usage[p].seconds)/length.Seconds())
		if isServer {
			written += u.written - usage[p].written
		}
	}
	s.add("idle server, PSS, the largest of three", memory[true], "MB", atMost(30))
	s.add("idle agent, PSS, the larger of two", memory[false], "MB", atMost(30))
	s.add("idle server, CPU, the most of three", cpu[true], "% of a core", nil)
	s.add("idle agent, CPU, the more of two", cpu[false], "% of a core", nil)
	s.add(fmt.Sprintf("disk writes of three servers at rest over %v", length), float64(written), "bytes", atMost(0))
	return nil
}

// atRestWithContainers measures an agent that watches 20 containers.
func (s *suite) atRestWithContainers(ctx context.Context, c *cluster.Cluster) error {
	cl, err := c.Client(client.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = cl.Close() }()
	agent := c.Agents[0]
	count := 20
	request := &argosyv1.ApplyRequest{}
	for n := range count {
		request.Workloads = append(request.Workloads, containerWorkload(fmt.Sprintf("c-%d", n), agent.Name, s.config.Binary))
	}
	if _, err := cl.Apply(ctx, request); err != nil {
		return err
	}
	if err := waitRunning(ctx, cl, count); err != nil {
		return err
	}
	if err := wait.For(ctx, s.seconds(10)); err != nil {
		return err
	}
	length := s.seconds(60)
	before, err := familyUsage(agent.PID())
	if err != nil {
		return err
	}
	if err := wait.For(ctx, length); err != nil {
		return err
	}
	after, err := familyUsage(agent.PID())
	if err != nil {
		return err
	}
	s.add("agent with its children, 20 podman workloads at rest, CPU", 100*(after-before)/length.Seconds(), "% of a core", atMost(1))
	names := make([]string, 0, count)
	for _, w := range request.GetWorkloads() {
		names = append(names, w.GetName())
	}
	_, err = cl.Delete(ctx, &argosyv1.DeleteRequest{Names: names})
	return err
}

// processUsage is what the kernel has counted for a process.
type processUsage struct {
	// seconds of CPU.
	seconds float64
	// written is the number of bytes it caused to be written to disks.
	written uint64
}

func usageOf(pid int) (processUsage, error) {
	var u processUsage
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return u, fmt.Errorf("read CPU time of process %d: %w", pid, err)
	}
	// The name in parentheses may contain spaces.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	u.seconds = (user + system) / ticksPerSecond
	text, err3 := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "io"))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			u.written, _ = strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		}
	}
	return u, errors.Join(err1, err2, err3)
}

// familyUsage is the CPU time of a process and all below it, in seconds.
func familyUsage(pid int) (float64, error) {
	u, err := usageOf(pid)
	if err != nil {
		return 0, err
	}
	total := u.seconds
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	if err != nil {
		return 0, err
	}
	for _, path := range tasks {
		// A thread that ended meanwhile has no children.
		text, _ := os.ReadFile(path)
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return 0, err
			}
			// So has a child.
			seconds, _ := familyUsage(child)
			total += seconds
		}
	}
	return total, nil
}
