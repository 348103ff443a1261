package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/swarm"
	"github.com/argosy-cluster/argosy/chaos/wait"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	swarmAgents    = 5000
	swarmWorkloads = 10
	// swarmPerConnection is how many agents share a connection. To open thousands
	// from one process costs that process more than it costs the servers, and it
	// shares their processors here.
	swarmPerConnection = 50
	// swarmWriters write while the swarm comes back.
	swarmWriters = 4
	// swarmBatch is how many workloads one apply brings.
	swarmBatch = 2000
)

// measureSwarm measures what happens to writes and servers when the sessions of
// thousands of agents come back at once.
func measureSwarm(ctx context.Context, s *suite) error {
	agents := swarmAgents
	if s.config.Quick {
		agents /= 10
	}
	dir, clean, err := s.dir("swarm")
	if err != nil {
		return err
	}
	defer clean()
	c, err := cluster.New(cluster.Config{Binary: s.config.Binary, Dir: dir})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.Start(ctx); err != nil {
		return err
	}
	cl, err := c.Client(client.Config{Timeout: time.Minute})
	if err != nil {
		return err
	}
	defer func() { _ = cl.Close() }()
	many, err := swarm.New(swarm.Config{Servers: c.Endpoints(), Agents: agents, PerConnection: swarmPerConnection})
	if err != nil {
		return err
	}
	living, end := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = many.Run(living) })
	defer tasks.Wait()
	defer end()

	m := &swarmMeasurement{suite: s, cluster: c, client: cl, swarm: many, agents: agents}
	if err := m.fill(ctx); err != nil {
		return err
	}
	for range s.times(5) {
		if err := m.kill(ctx); err != nil {
			return err
		}
	}
	m.report()
	return nil
}

type swarmMeasurement struct {
	suite   *suite
	cluster *cluster.Cluster
	client  *client.Client
	swarm   *swarm.Swarm
	agents  int

	normal, storm, outage, back sample
	leader, follower            float64 // PSS in MB
}

// bounded bounds one step; a machine that is busy is no failure.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 2*time.Minute)
}

// fill gives each agent its workloads and waits until they are reported.
func (m *swarmMeasurement) fill(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	begin := time.Now()
	if err := m.swarm.WaitConnected(ctx, m.agents); err != nil {
		return err
	}
	m.suite.add(fmt.Sprintf("%d simulated agents, first sessions, all of them", m.agents), milliseconds(time.Since(begin)), "ms", nil)
	total := m.agents * swarmWorkloads
	for first := 0; first < total; first += swarmBatch {
		request := &argosyv1.ApplyRequest{}
		for i := first; i < min(first+swarmBatch, total); i++ {
			request.Workloads = append(request.Workloads, &argosyv1.Workload{
				Name: fmt.Sprintf("s-%d", i), Agent: m.swarm.Name(i % m.agents), Runtime: "process", RuntimeConfig: "command: /bin/sleep\nargs: ['86400']\n",
			})
		}
		if _, err := m.client.Apply(ctx, request); err != nil {
			return err
		}
		if err := m.swarm.WaitRunning(ctx, min(first+swarmBatch, total)); err != nil {
			return err
		}
	}
	return waitRunning(ctx, m.client, total)
}

// kill measures writes while all is quiet, then kills the leader and measures
// them until all agents are back.
func (m *swarmMeasurement) kill(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := m.cluster.WaitLevel(ctx); err != nil {
		return err
	}
	if err := wait.For(ctx, 2*time.Second); err != nil {
		return err
	}
	quiet := startProbe(ctx, m.client)
	err := wait.For(ctx, m.suite.seconds(3))
	took, failed := quiet.stop()
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	for _, each := range took {
		m.normal = append(m.normal, each.took)
	}

	leader, err := m.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	busy := startProbe(ctx, m.client)
	err = wait.For(ctx, 300*time.Millisecond)
	at := time.Now()
	if err == nil {
		err = leader.Kill()
	}
	for err == nil && len(m.swarm.Since(at)) < m.agents {
		// Those that are connected may be so since before.
		err = wait.For(ctx, 20*time.Millisecond)
	}
	back := m.swarm.Since(at)
	took, failed = busy.stop()
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("wait for the sessions of %d agents (%d are back): %w", m.agents, len(back), err)
	}
	m.back = append(m.back, back[len(back)-1])
	m.judge(at, took)
	if err := m.memory(ctx); err != nil {
		return err
	}
	return leader.Start()
}

// judge tells the writes that waited for the new leader from those that it has
// taken since.
func (m *swarmMeasurement) judge(at time.Time, took []probed) {
	first := time.Time{}
	for _, each := range took {
		if done := each.began.Add(each.took); each.began.After(at) && (first.IsZero() || done.Before(first)) {
			first = done
		}
	}
	m.outage = append(m.outage, first.Sub(at))
	for _, each := range took {
		if !first.IsZero() && each.began.After(first) {
			m.storm = append(m.storm, each.took)
		}
	}
}

func (m *swarmMeasurement) memory(ctx context.Context) error {
	leader, err := m.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	for _, p := range m.cluster.Servers {
		if p.PID() == 0 {
			continue
		}
		used, err := pss(p.PID())
		if err != nil {
			continue // the one that was killed
		}
		if p == leader {
			m.leader = max(m.leader, used)
		} else {
			m.follower = max(m.follower, used)
		}
	}
	return nil
}

func (m *swarmMeasurement) report() {
	name := fmt.Sprintf("%d simulated agents with %d workloads each: ", m.agents, swarmWorkloads)
	kills := len(m.back)
	m.suite.add(name+fmt.Sprintf("leader SIGKILL to all sessions back, longest of %d", kills), milliseconds(m.back.max()), "ms", atMost(5000))
	m.suite.add(name+fmt.Sprintf("leader SIGKILL to next acknowledged write, longest of %d", kills), milliseconds(m.outage.max()), "ms", nil)
	m.suite.add(name+fmt.Sprintf("write p99, %d writers, normally", swarmWriters), milliseconds(m.normal.at(0.99)), "ms", nil)
	m.suite.add(name+fmt.Sprintf("write p99, %d writers, while sessions come back (%d writes)", swarmWriters, len(m.storm)), milliseconds(m.storm.at(0.99)), "ms", nil)
	if normal := m.normal.at(0.99); normal > 0 {
		m.suite.add(name+"the latter against the former", float64(m.storm.at(0.99))/float64(normal), "times", atMost(5))
	}
	m.suite.add(name+"leader, PSS", m.leader, "MB", nil)
	m.suite.add(name+"follower, PSS", m.follower, "MB", nil)
}

// probe is writers that remember how long each write took.
type probe struct {
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	mu     sync.Mutex
	took   []probed
	failed error
}

type probed struct {
	began time.Time
	took  time.Duration
}

func startProbe(ctx context.Context, c *client.Client) *probe {
	ctx, cancel := context.WithCancel(ctx)
	p := &probe{cancel: cancel}
	for n := range swarmWriters {
		p.tasks.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				began := time.Now()
				_, err := c.Apply(ctx, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{
					Name: fmt.Sprintf("probe-%d-%d", n, i%names), Runtime: "process", RuntimeConfig: fmt.Sprintf("command: 'number %d'", began.UnixNano()),
				}}})
				p.note(ctx, probed{began, time.Since(began)}, err)
			}
		})
	}
	return p
}

func (p *probe) note(ctx context.Context, each probed, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.took = append(p.took, each)
	case ctx.Err() == nil:
		p.failed = fmt.Errorf("a write failed: %w", err)
	}
}

func (p *probe) stop() ([]probed, error) {
	p.cancel()
	p.tasks.Wait()
	return p.took, p.failed
}
