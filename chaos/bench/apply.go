package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// measureApply measures one large apply, and what one small apply costs as a
// whole process with a small and a large state.
func measureApply(ctx context.Context, s *suite) error {
	p, err := s.startPlain(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	c, err := p.cluster.Client(client.Config{Timeout: time.Minute})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Apply(ctx, &argosyv1.ApplyRequest{Workloads: manyWorkloads("few", 100, "")}); err != nil {
		return err
	}
	few, err := s.applyProcess(ctx, p)
	if err != nil {
		return err
	}
	var large sample
	for n := range s.times(5) {
		request := &argosyv1.ApplyRequest{Workloads: manyWorkloads(fmt.Sprintf("many%d", n%2), 10_000, fmt.Sprint(n))}
		begin := time.Now()
		if _, err := c.Apply(ctx, request); err != nil {
			return err
		}
		large = append(large, time.Since(begin))
		if n%2 == 1 {
			if err := deleteAll(ctx, c, "many1", 10_000); err != nil {
				return err
			}
		}
	}
	s.add(fmt.Sprintf("one apply of 10,000 workloads to its acknowledgement, p50 of %d", len(large)), milliseconds(large.at(0.5)), "ms", atMost(1500))
	many, err := s.applyProcess(ctx, p)
	if err != nil {
		return err
	}
	s.add("argosy apply of one small workload, --no-wait, whole process, 100 workloads in the state, p50", milliseconds(few.at(0.5)), "ms", atMost(50))
	s.add("argosy apply of one small workload, --no-wait, whole process, 10,000 workloads in the state, p50", milliseconds(many.at(0.5)), "ms", atMost(50))
	s.add("the latter against the former", many.at(0.5).Seconds()/few.at(0.5).Seconds(), "times", atMost(1.5))
	return nil
}

func manyWorkloads(prefix string, count int, salt string) []*argosyv1.Workload {
	workloads := make([]*argosyv1.Workload, count)
	for n := range workloads {
		workloads[n] = &argosyv1.Workload{Name: fmt.Sprintf("%s-%d", prefix, n), Runtime: "process", RuntimeConfig: fmt.Sprintf("command: /bin/true # %d %s", n, salt)}
	}
	return workloads
}

func deleteAll(ctx context.Context, c *client.Client, prefix string, count int) error {
	request := &argosyv1.DeleteRequest{IgnoreMissing: true}
	for n := range count {
		request.Names = append(request.Names, fmt.Sprintf("%s-%d", prefix, n))
	}
	_, err := c.Delete(ctx, request)
	return err
}

// applyProcess runs the command line again and again.
func (s *suite) applyProcess(ctx context.Context, p *plain) (sample, error) {
	dir, clean, err := s.dir("manifest")
	if err != nil {
		return nil, err
	}
	defer clean()
	path := filepath.Join(dir, "one.yaml")
	var took sample
	for n := range s.times(40) {
		text := fmt.Sprintf("apiVersion: v1\nworkloads:\n  single:\n    runtime: process\n    runtimeConfig: 'command: /bin/true # %d'\n", n)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, s.config.Binary, append([]string{"apply", "-f", path, "--no-wait"}, p.cluster.CLIArgs()...)...)
		begin := time.Now()
		if output, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("run argosy apply: %w: %s", err, output)
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}
