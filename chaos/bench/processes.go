package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// measureProcesses starts a thousand and two thousand plain processes.
func measureProcesses(ctx context.Context, s *suite) error {
	thousand, two := 1000, 2000
	if s.config.Quick {
		thousand, two = 100, 200
	}
	first, agent, err := s.manyProcesses(ctx, thousand)
	if err != nil {
		return err
	}
	second, _, err := s.manyProcesses(ctx, two)
	if err != nil {
		return err
	}
	s.add(fmt.Sprintf("%d process workloads over two agents, one apply to all Running", thousand), milliseconds(first), "ms", nil)
	s.add(fmt.Sprintf("%d process workloads over two agents, one apply to all Running", two), milliseconds(second), "ms", nil)
	s.add("the latter against the former", second.Seconds()/first.Seconds(), "times", atMost(2.3))
	s.add(fmt.Sprintf("agent and its keeper with %d processes each, PSS", thousand/2), agent, "MB", atMost(100))
	return nil
}

func (s *suite) manyProcesses(ctx context.Context, count int) (time.Duration, float64, error) {
	dir, clean, err := s.dir("processes")
	if err != nil {
		return 0, 0, err
	}
	defer clean()
	c, err := cluster.New(cluster.Config{Binary: s.config.Binary, Dir: dir, Agents: 2})
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = c.Close() }()
	if err := c.Start(ctx); err != nil {
		return 0, 0, err
	}
	cl, err := c.Client(client.Config{Timeout: time.Minute})
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = cl.Close() }()
	request := &argosyv1.ApplyRequest{}
	for n := range count {
		request.Workloads = append(request.Workloads, &argosyv1.Workload{
			Name: fmt.Sprintf("p-%d", n), Agent: c.Agents[n%2].Name, Runtime: "process", RuntimeConfig: "command: /bin/sleep\nargs: ['86400']\n",
		})
	}
	begin := time.Now()
	if _, err := cl.Apply(ctx, request); err != nil {
		return 0, 0, err
	}
	if err := waitRunning(ctx, cl, count); err != nil {
		return 0, 0, err
	}
	took := time.Since(begin)
	var most float64
	for _, p := range c.Agents {
		memory, err := agentMemory(p)
		if err != nil {
			return 0, 0, err
		}
		most = max(most, memory)
	}
	return took, most, nil
}

// agentMemory is the memory of an agent and its keeper in MB.
func agentMemory(p *cluster.Process) (float64, error) { return withKeeper(p, pss) }

// withKeeper returns what is measured of an agent and of its keeper, if it has one.
func withKeeper(p *cluster.Process, of func(pid int) (float64, error)) (float64, error) {
	agent, err := of(p.PID())
	if err != nil {
		return 0, err
	}
	pid, err := p.KeeperPID()
	if errors.Is(err, os.ErrNotExist) {
		return agent, nil
	}
	if err != nil {
		return 0, err
	}
	keeper, err := of(pid)
	return agent + keeper, err
}

// pss returns the proportional set size of a process in MB.
func pss(pid int) (float64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return 0, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "Pss:" {
			kilobytes, err := strconv.ParseFloat(fields[1], 64)
			return kilobytes * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("read memory of process %d: no Pss in smaps_rollup", pid)
}
