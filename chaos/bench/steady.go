package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/wait"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// perAgent is how many workloads run on each of ten agents of a quiet cluster.
const perAgent = 20

// measureQuiet leaves a cluster to itself for a while. It must write nothing to
// disks, and keep its leader.
func measureQuiet(ctx context.Context, s *suite) error {
	quiet, clean, err := s.startSteady(ctx, cluster.Config{Agents: 10})
	if err != nil {
		return err
	}
	defer clean()
	if err := quiet.occupy(ctx); err != nil {
		return err
	}
	// What the start and the workloads have left to say is said by then.
	if err := wait.For(ctx, max(s.seconds(20), 10*time.Second)); err != nil {
		return err
	}
	length := s.seconds(600)
	before, _, err := quiet.term(ctx)
	if err != nil {
		return err
	}
	rest, err := quiet.rest(ctx, length)
	if err != nil {
		return err
	}
	after, _, err := quiet.term(ctx)
	if err != nil {
		return err
	}
	workloads := perAgent * len(quiet.cluster.Agents)
	s.add(fmt.Sprintf("disk writes of three servers with 10 agents and %d workloads at rest, apart from log entries, over %v", workloads, length), float64(rest.servers), "bytes", atMost(0))
	s.add(fmt.Sprintf("log entries of that cluster over %v: what was remembered for a while is forgotten", length), float64(rest.entries), "entries", nil)
	s.add(fmt.Sprintf("disk writes of its 10 agents over %v", length), float64(rest.agents), "bytes", nil)
	s.add(fmt.Sprintf("elections of that cluster over %v", length), float64(after-before), "elections", atMost(0))
	return nil
}

// measureSteady writes to a cluster for a while with every core busy. It must
// keep its leader.
func measureSteady(ctx context.Context, s *suite) (err error) {
	loaded, clean, err := s.startSteady(ctx, cluster.Config{})
	if err != nil {
		return err
	}
	defer clean()
	burners, err := lab.Burn(runtime.NumCPU(), time.Hour)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, burners.Stop()) }()
	stop := loaded.writer.start(ctx)
	defer stop()
	length := s.seconds(600)
	before, _, err := loaded.term(ctx)
	if err != nil {
		return err
	}
	acknowledged := loaded.writer.acknowledged()
	if err := wait.For(ctx, length); err != nil {
		return err
	}
	after, _, err := loaded.term(ctx)
	if err != nil {
		return err
	}
	s.add(fmt.Sprintf("elections with all cores busy over %v and %d writes", length, loaded.writer.acknowledged()-acknowledged), float64(after-before), "elections", atMost(0))
	return nil
}

func (s *suite) startSteady(ctx context.Context, config cluster.Config) (*outages, func(), error) {
	dir, clean, err := s.dir("steady")
	if err != nil {
		return nil, nil, err
	}
	config.Dir = dir
	o, err := s.startOutages(ctx, config)
	if err != nil {
		clean()
		return nil, nil, err
	}
	return o, func() { o.close(); clean() }, nil
}

// occupy starts more workloads on every agent.
func (o *outages) occupy(ctx context.Context) error {
	request := &argosyv1.ApplyRequest{}
	for _, agent := range o.cluster.Agents {
		for n := range perAgent - 1 {
			request.Workloads = append(request.Workloads, &argosyv1.Workload{
				Name: fmt.Sprintf("%s-%d", agent.Name, n), Agent: agent.Name, Runtime: "process", RuntimeConfig: "command: /bin/sleep\nargs: ['86400']\n",
				RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
			})
		}
	}
	if _, err := o.client.Apply(ctx, request); err != nil {
		return err
	}
	return waitRunning(ctx, o.client, perAgent*len(o.cluster.Agents))
}

// rest is what a cluster did that had nothing to do.
type rest struct {
	// servers and agents are the bytes that they wrote to disks; those of servers
	// without what was written beside a log entry.
	servers, agents uint64
	entries         uint64
}

// rest looks every few seconds whether something was written, and whether there
// was a log entry to write.
func (o *outages) rest(ctx context.Context, length time.Duration) (rest, error) {
	var r rest
	agents, err := written(o.cluster.Agents)
	if err != nil {
		return r, err
	}
	last, err := o.applied(ctx)
	if err != nil {
		return r, err
	}
	bytes, err := written(o.cluster.Servers)
	if err != nil {
		return r, err
	}
	// A server may write an entry down a moment before or after it is counted.
	justNow := false
	var doubtful uint64
	for end := time.Now().Add(length); time.Now().Before(end); {
		if err := wait.For(ctx, min(5*time.Second, time.Until(end))); err != nil {
			return r, err
		}
		applied, err := o.applied(ctx)
		if err != nil {
			return r, err
		}
		now, err := written(o.cluster.Servers)
		if err != nil {
			return r, err
		}
		entered := applied > last
		if !entered {
			r.servers += doubtful
		}
		doubtful = 0
		if !entered && !justNow {
			doubtful = now - bytes
		}
		r.entries += applied - last
		bytes, last, justNow = now, applied, entered
	}
	r.servers += doubtful
	after, err := written(o.cluster.Agents)
	if err != nil {
		return r, err
	}
	r.agents = after - agents
	return r, nil
}

// applied returns the highest index that a server has applied.
func (o *outages) applied(ctx context.Context) (uint64, error) {
	status, err := o.client.Status(ctx)
	if err != nil {
		return 0, err
	}
	var highest uint64
	for _, server := range status.GetServers() {
		highest = max(highest, server.GetAppliedIndex())
	}
	return highest, nil
}

// written is how many bytes the processes have caused to be written to disks.
func written(processes []*cluster.Process) (uint64, error) {
	var total uint64
	for _, p := range processes {
		usage, err := usageOf(p.PID())
		if err != nil {
			return 0, err
		}
		total += usage.written
	}
	return total, nil
}
