package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/wait"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	etcdpb "github.com/argosy-cluster/argosy/proto/etcd"
)

// settle is how long a cluster is left alone between two faults.
const settle = 400 * time.Millisecond

// measureOutages measures how long writes are held up when the leader goes.
func measureOutages(ctx context.Context, s *suite) error {
	dir, clean, err := s.dir("outage")
	if err != nil {
		return err
	}
	defer clean()
	o, err := s.startOutages(ctx, cluster.Config{Dir: dir, Agents: 10})
	if err != nil {
		return err
	}
	defer o.close()
	if err := o.kills(ctx); err != nil {
		return err
	}
	if err := o.freezes(ctx); err != nil {
		return err
	}
	if err := o.stops(ctx); err != nil {
		return err
	}
	if err := o.rolling(ctx); err != nil {
		return err
	}
	if err := o.verdict(ctx, "kills, pauses, stops and restarts"); err != nil {
		return err
	}
	return s.etcdKills(ctx)
}

type outages struct {
	suite   *suite
	cluster *cluster.Cluster
	client  *client.Client
	writer  *writer
	// before is which process each workload was at first.
	before map[string]string
}

// startOutages starts a cluster with a workload on each agent.
func (s *suite) startOutages(ctx context.Context, config cluster.Config) (*outages, error) {
	config.Binary = s.config.Binary
	c, err := cluster.New(config)
	if err != nil {
		return nil, err
	}
	o := &outages{suite: s, cluster: c}
	if o.client, err = c.Client(client.Config{}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	err = c.Start(ctx)
	if err == nil {
		err = o.runWorkloads(ctx)
	}
	if err == nil {
		o.before, err = o.runtimeIDs(ctx)
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func (o *outages) close() {
	_ = o.client.Close()
	_ = o.cluster.Close()
}

// verdict counts what the faults have cost beside time.
func (o *outages) verdict(ctx context.Context, faults string) error {
	lost, err := o.writer.lost(ctx, o.client)
	if err != nil {
		return err
	}
	after, err := o.runtimeIDs(ctx)
	if err != nil {
		return err
	}
	restarts := 0
	for name, id := range o.before {
		if after[name] != id {
			restarts++
		}
	}
	o.suite.add(fmt.Sprintf("acknowledged writes lost over all %s (of %d)", faults, o.writer.acknowledged()), float64(lost), "writes", atMost(0))
	o.suite.add("workload restarts over all "+faults, float64(restarts), "restarts", atMost(0))
	return nil
}

// runWorkloads starts one process on each agent.
func (o *outages) runWorkloads(ctx context.Context) error {
	o.writer = newWriter(o.client)
	if len(o.cluster.Agents) == 0 {
		return nil
	}
	request := &argosyv1.ApplyRequest{}
	for _, agent := range o.cluster.Agents {
		request.Workloads = append(request.Workloads, &argosyv1.Workload{
			Name: "on-" + agent.Name, Agent: agent.Name, Runtime: "process", RuntimeConfig: "command: /bin/sleep\nargs: ['86400']\n",
			RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
		})
	}
	if _, err := o.client.Apply(ctx, request); err != nil {
		return err
	}
	return waitRunning(ctx, o.client, len(request.GetWorkloads()))
}

// runtimeIDs tells which process each workload is.
func (o *outages) runtimeIDs(ctx context.Context) (map[string]string, error) {
	state, err := o.client.GetState(ctx, &argosyv1.GetStateRequest{OmitWorkloads: true})
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, st := range state.GetStates() {
		if strings.HasPrefix(st.GetInstance().GetWorkload(), "on-") {
			ids[st.GetInstance().GetWorkload()] = st.GetExecution().GetRuntimeId()
		}
	}
	return ids, nil
}

// fault strikes the leader under a stream of writes and returns the time from
// the strike to the next acknowledged write.
func (o *outages) fault(ctx context.Context, strike func(*cluster.Process) error) (*cluster.Process, time.Time, time.Duration, error) {
	leader, err := o.cluster.Leader(ctx)
	if err != nil {
		return nil, time.Time{}, 0, err
	}
	stop := o.writer.start(ctx)
	defer stop()
	if err := wait.For(ctx, 300*time.Millisecond); err != nil {
		return nil, time.Time{}, 0, err
	}
	at := time.Now()
	if err := strike(leader); err != nil {
		return nil, at, 0, err
	}
	outage, err := o.writer.outage(ctx, at)
	return leader, at, outage, err
}

func (o *outages) kills(ctx context.Context) error {
	outage, sessions, err := o.killed(ctx, o.suite.times(100))
	if err != nil {
		return err
	}
	o.suite.outage("leader SIGKILL to next acknowledged write", outage, 30, 150)
	o.suite.add("agent sessions re-established after the kill, 10 agents, p50", milliseconds(sessions.at(0.5)), "ms", atMost(100))
	o.suite.add("agent sessions re-established after the kill, 10 agents, p99", milliseconds(sessions.at(0.99)), "ms", atMost(500))
	return nil
}

// killed kills one leader after another, and returns how long writes were held
// up and when the agents' sessions were back.
func (o *outages) killed(ctx context.Context, times int) (outage, sessions sample, err error) {
	for range times {
		leader, at, took, err := o.fault(ctx, func(p *cluster.Process) error { return p.Kill() })
		if err != nil {
			return nil, nil, err
		}
		outage = append(outage, took)
		reconnected, err := o.sessionsAfter(ctx, at)
		if err != nil {
			return nil, nil, err
		}
		sessions = append(sessions, reconnected...)
		if err := o.restart(ctx, leader); err != nil {
			return nil, nil, err
		}
	}
	return outage, sessions, nil
}

// outage records p50, p99 and the longest of an outage; a goal of 0 is none.
func (s *suite) outage(name string, took sample, p50, p99 float64) {
	for _, each := range []struct {
		what  string
		value time.Duration
		goal  float64
	}{
		{"p50", took.at(0.5), p50}, {"p99", took.at(0.99), p99}, {"max", took.max(), 0},
	} {
		g := (*goal)(nil)
		if each.goal > 0 {
			g = atMost(each.goal)
		}
		s.add(fmt.Sprintf("%s, %s of %d", name, each.what, len(took)), milliseconds(each.value), "ms", g)
	}
}

// restart starts a server again and waits until it follows.
func (o *outages) restart(ctx context.Context, p *cluster.Process) error {
	if err := p.Start(); err != nil {
		return err
	}
	return o.level(ctx)
}

// level waits until all servers have applied the same, and a little longer.
func (o *outages) level(ctx context.Context) error {
	if err := o.cluster.WaitLevel(ctx); err != nil {
		return err
	}
	return wait.For(ctx, settle)
}

// sessionsAfter returns for every agent how long after a moment its session with
// the new leader began.
func (o *outages) sessionsAfter(ctx context.Context, at time.Time) (sample, error) {
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		var took sample
		state, err := o.client.GetState(bounded, &argosyv1.GetStateRequest{OmitWorkloads: true, OmitStates: true})
		if err == nil {
			for _, agent := range state.GetAgentStatuses() {
				if since := time.Unix(0, agent.GetConnectedUnixNanos()).Sub(at); since > 0 {
					took = append(took, since)
				}
			}
			if len(took) == len(o.cluster.Agents) {
				return took, nil
			}
		}
		if err := wait.For(bounded, 10*time.Millisecond); err != nil {
			return nil, fmt.Errorf("wait for the sessions of %d agents (%d are there): %w", len(o.cluster.Agents), len(took), err)
		}
	}
}

func (o *outages) freezes(ctx context.Context) error {
	var outage sample
	stale := 0
	for range o.suite.times(100) {
		leader, _, took, err := o.fault(ctx, func(p *cluster.Process) error { return p.Freeze() })
		if err != nil {
			return err
		}
		outage = append(outage, took)
		old, err := o.readFromOld(ctx, leader, leader.Thaw)
		if err != nil {
			return err
		}
		stale += old
		if err := o.level(ctx); err != nil {
			return err
		}
	}
	o.suite.outage("leader SIGSTOP to next acknowledged write", outage, 150, 500)
	o.suite.add("reads answered by the old leader from before, after SIGCONT", float64(stale), "reads", atMost(0))
	return nil
}

// readFromOld brings the old leader back and counts the reads it answers, before
// and after, without what was acknowledged while it was gone.
func (o *outages) readFromOld(ctx context.Context, old *cluster.Process, back func() error) (int, error) {
	response, err := o.client.Apply(ctx, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{
		{Name: "fence", Runtime: "process", RuntimeConfig: fmt.Sprintf("command: 'at %d'", time.Now().UnixNano())},
	}})
	if err != nil {
		return 0, err
	}
	direct, err := o.cluster.Client(client.Config{Endpoints: []string{old.Endpoint()}, Timeout: 5 * time.Second})
	if err != nil {
		return 0, err
	}
	defer func() { _ = direct.Close() }()
	// The readers wait at the old leader already when it comes back.
	var group sync.WaitGroup
	var mu sync.Mutex
	stale := 0
	for range 8 {
		group.Go(func() {
			for range 25 {
				read, err := direct.GetWorkload(ctx, &argosyv1.GetWorkloadRequest{Name: "fence"})
				if err == nil && read.GetHeader().GetRevision() < response.GetHeader().GetRevision() {
					mu.Lock()
					stale++
					mu.Unlock()
				}
			}
		})
	}
	if err := errors.Join(wait.For(ctx, 20*time.Millisecond), back()); err != nil {
		return 0, err
	}
	group.Wait()
	return stale, nil
}

func (o *outages) stops(ctx context.Context) error {
	var outage sample
	for range o.suite.times(100) {
		leader, err := o.cluster.Leader(ctx)
		if err != nil {
			return err
		}
		gap, err := o.gapOver(ctx, func() error {
			bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return leader.Stop(bounded)
		})
		if err != nil {
			return err
		}
		outage = append(outage, gap)
		if err := o.restart(ctx, leader); err != nil {
			return err
		}
	}
	o.suite.outage("graceful stop of the leader, longest gap between acknowledged writes", outage, 0, 50)
	return nil
}

// gapOver returns the longest time between two acknowledged writes while
// something is done and a little after: writes may go through for a while after
// it began.
func (o *outages) gapOver(ctx context.Context, do func() error) (time.Duration, error) {
	stop := o.writer.start(ctx)
	defer stop()
	if err := wait.For(ctx, 300*time.Millisecond); err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	if _, err := o.writer.next(ctx, time.Now().Add(100*time.Millisecond)); err != nil {
		return 0, err
	}
	return o.writer.longestGap(), nil
}

// etcdKills measures the same for etcd with its defaults.
func (s *suite) etcdKills(ctx context.Context) error {
	c, err := s.startEtcd(ctx, "127.61.1")
	if err != nil {
		return err
	}
	defer c.close()
	var outage sample
	for range s.times(10) {
		leader, err := c.leader(ctx)
		if err != nil {
			return err
		}
		took, err := etcdOutage(ctx, c, leader)
		if err != nil {
			return err
		}
		outage = append(outage, took)
		if err := c.start(leader); err != nil {
			return err
		}
		if err := wait.For(ctx, 3*time.Second); err != nil {
			return err
		}
	}
	s.add(fmt.Sprintf("etcd 3.4: leader SIGKILL to next acknowledged write, p50 of %d", len(outage)), milliseconds(outage.at(0.5)), "ms", nil)
	return nil
}

func etcdOutage(ctx context.Context, c *etcdCluster, leader *etcdMember) (time.Duration, error) {
	var clients []etcdpb.KVClient
	for _, m := range c.members {
		if m == leader {
			continue
		}
		conn, err := dialEtcd(m.endpoint())
		if err != nil {
			return 0, err
		}
		defer func() { _ = conn.Close() }()
		clients = append(clients, etcdpb.NewKVClient(conn))
	}
	put := func(n int) error {
		bounded, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		_, err := clients[n%len(clients)].Put(bounded, &etcdpb.PutRequest{Key: []byte("k"), Value: make([]byte, 256)})
		return err
	}
	for n := range 100 {
		if err := put(n); err != nil {
			return 0, err
		}
	}
	at := time.Now()
	leader.kill()
	for n := 0; ; n++ {
		if err := put(n); err == nil {
			return time.Since(at), nil
		}
		if ctx.Err() != nil || time.Since(at) > time.Minute {
			return 0, fmt.Errorf("no write was acknowledged for %v", time.Since(at))
		}
	}
}
