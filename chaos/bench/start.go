package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// measureStart measures how soon a cluster answers.
func measureStart(ctx context.Context, s *suite) error {
	for _, servers := range []int{1, 3} {
		var took sample
		for range s.times(10) {
			d, err := s.startOnce(ctx, servers)
			if err != nil {
				return err
			}
			took = append(took, d)
		}
		if servers == 1 {
			s.add(fmt.Sprintf("one server, empty disk, start of the process to its first answered write, p50 of %d", len(took)), milliseconds(took.at(0.5)), "ms", atMost(100))
		} else {
			s.add(fmt.Sprintf("three servers, empty disks, start of the processes to the first acknowledged write, p50 of %d", len(took)), milliseconds(took.at(0.5)), "ms", atMost(1000))
		}
	}
	return nil
}

func (s *suite) startOnce(ctx context.Context, servers int) (time.Duration, error) {
	dir, clean, err := s.dir("start")
	if err != nil {
		return 0, err
	}
	defer clean()
	c, err := cluster.New(cluster.Config{Binary: s.config.Binary, Dir: dir, Servers: servers})
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	cl, err := c.Client(client.Config{})
	if err != nil {
		return 0, err
	}
	defer func() { _ = cl.Close() }()
	begin := time.Now()
	for _, p := range c.Servers {
		if err := p.Start(); err != nil {
			return 0, err
		}
	}
	for {
		_, err := cl.Apply(ctx, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{Name: "first", Runtime: "process", RuntimeConfig: "command: /bin/true"}}})
		if err == nil {
			return time.Since(begin), nil
		}
		if time.Since(begin) > 30*time.Second {
			return 0, err
		}
	}
}
