package bench

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/lab"
)

// measureBusy measures outages while every core has something else to do.
func measureBusy(ctx context.Context, s *suite) (err error) {
	dir, clean, err := s.dir("busy")
	if err != nil {
		return err
	}
	defer clean()
	o, err := s.startOutages(ctx, cluster.Config{Dir: dir, Agents: 10})
	if err != nil {
		return err
	}
	defer o.close()
	burners, err := lab.Burn(runtime.NumCPU(), time.Hour)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, burners.Stop()) }()
	outage, sessions, err := o.killed(ctx, s.times(100))
	if err != nil {
		return err
	}
	s.outage("leader SIGKILL to next acknowledged write, all cores busy", outage, 0, 500)
	s.add("agent sessions re-established after the kill, 10 agents, all cores busy, p99", milliseconds(sessions.at(0.99)), "ms", nil)
	return o.verdict(ctx, "kills with all cores busy")
}
