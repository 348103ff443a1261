package swarm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// agent is one simulated agent.
type agent struct {
	swarm *Swarm
	pool  *pool
	id    string
	name  string
	began atomic.Int64 // when its last session did, Unix time in nanoseconds

	// Owned by run's goroutine.
	clusterID   string
	incarnation string
	term        uint64
	revision    uint64
	workloads   map[string]*argosyv1.Workload
	staged      *argosyv1.Assignments // the parts of a full set that have come
}

func newAgent(s *Swarm, i int, p *pool) *agent {
	return &agent{
		swarm: s, pool: p, name: s.Name(i),
		id:        fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()),
		workloads: map[string]*argosyv1.Workload{},
	}
}

type stream = grpc.BidiStreamingClient[argosyv1.AgentMessage, argosyv1.ServerMessage]

// session is one stream to a server that answered Welcome.
type session struct {
	stream
	cancel  context.CancelFunc
	welcome *argosyv1.Welcome
}

func (a *agent) run(ctx context.Context) {
	next := a.swarm.cfg.Servers[rand.IntN(len(a.swarm.cfg.Servers))]
	lost := time.Now()
	for ctx.Err() == nil {
		session, leader, err := a.ask(ctx, next)
		if session != nil {
			a.pool.keep(next)
			a.began.Store(time.Now().UnixNano())
			a.swarm.connected.Add(1)
			a.swarm.note()
			a.live(session)
			session.cancel()
			a.swarm.connected.Add(-1)
			lost = time.Now()
			next = a.another(next)
			a.spread(ctx, session.welcome)
			continue
		}
		if leader != "" && leader != next {
			next = leader
			continue
		}
		pause := a.swarm.cfg.pace(time.Since(lost))
		if e, ok := argosyv1.AsError(err); ok && e.Detail.GetRetryAfterMs() > 0 {
			// The server knows how many are waiting.
			a.swarm.refused.Add(1)
			pause = time.Duration(e.Detail.GetRetryAfterMs()) * time.Millisecond
			pause += rand.N(pause/2 + 1)
		} else {
			next = a.another(next)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// spread waits as the server has asked all agents to.
func (a *agent) spread(ctx context.Context, welcome *argosyv1.Welcome) {
	if longest := time.Duration(welcome.GetReconnectSpreadMs()) * time.Millisecond; longest > 0 {
		select {
		case <-time.After(rand.N(longest)):
		case <-ctx.Done():
		}
	}
}

// another returns a server other than the given one.
func (a *agent) another(address string) string {
	servers := a.swarm.cfg.Servers
	at := rand.IntN(len(servers))
	if servers[at] == address {
		at = (at + 1) % len(servers)
	}
	return servers[at]
}

// ask introduces the agent to one server. It returns a session, or the leader
// that the server names, or neither.
func (a *agent) ask(ctx context.Context, address string) (*session, string, error) {
	conn, err := a.pool.get(address)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(a.swarm.cfg.AnswerTimeout, cancel)
	defer timer.Stop()
	s, err := argosyv1.NewAgentServiceClient(conn).Session(ctx)
	if err != nil {
		cancel()
		a.pool.drop(address, conn)
		return nil, "", err
	}
	timer.Reset(a.swarm.cfg.AnswerTimeout)
	// An error of Send is only that the stream has ended; Recv tells why.
	_ = s.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Hello{Hello: a.hello()}})
	message, err := s.Recv()
	if err != nil {
		cancel()
		if _, spoken := argosyv1.AsError(err); !spoken {
			a.pool.drop(address, conn)
		}
		return nil, "", err
	}
	if redirect := message.GetRedirect(); redirect != nil {
		cancel()
		return nil, redirect.GetLeaderAddress(), nil
	}
	welcome := message.GetWelcome()
	if welcome == nil || !timer.Stop() || welcome.GetTerm() < a.term {
		cancel()
		return nil, "", errors.New("no welcome")
	}
	return &session{stream: s, cancel: cancel, welcome: welcome}, "", nil
}

func (a *agent) hello() *argosyv1.AgentHello {
	hello := &argosyv1.AgentHello{
		Name: a.name, InstanceId: a.id, BootId: "swarm", HomeId: a.id, Version: "swarm",
		Protocol:  argosyv1.SupportedProtocol(),
		ClusterId: a.clusterID, Incarnation: a.incarnation, Term: a.term,
		Runtimes: []*argosyv1.RuntimeInfo{{Name: "process", Version: "1"}},
	}
	if a.revision > 0 {
		held := make([]*argosyv1.Workload, 0, len(a.workloads))
		for _, w := range a.workloads {
			held = append(held, w)
		}
		hello.AssignmentRevision, hello.AssignmentHash = a.revision, argosyv1.AssignmentHash(held)
	}
	return hello
}

// live holds a session until it ends.
func (a *agent) live(s *session) {
	a.staged = nil
	a.clusterID, a.incarnation, a.term = s.welcome.GetClusterId(), s.welcome.GetIncarnation(), s.welcome.GetTerm()
	var sending sync.Mutex
	send := func(m *argosyv1.AgentMessage) {
		sending.Lock()
		defer sending.Unlock()
		// An error of Send is only that the stream has ended; Recv tells why.
		_ = s.Send(m)
	}
	full := &argosyv1.StateReport{Full: true}
	for _, w := range a.workloads {
		full.States = append(full.States, stateOf(w, argosyv1.State_STATE_RUNNING))
	}
	send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_States{States: full}})
	send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Load{Load: &argosyv1.LoadReport{CpuPercent: 5, FreeMemoryBytes: 1 << 30}}})

	interval := time.Duration(max(s.welcome.GetHeartbeatIntervalMs(), 10)) * time.Millisecond
	var pulse *time.Timer
	var mu sync.Mutex
	ended := false
	beat := func() {
		mu.Lock()
		defer mu.Unlock()
		if ended {
			return
		}
		send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Heartbeat{Heartbeat: &argosyv1.Heartbeat{}}})
		pulse.Reset(interval)
	}
	mu.Lock()
	// Not all at the same moment.
	pulse = time.AfterFunc(rand.N(interval), beat)
	mu.Unlock()
	defer func() {
		// A send that waits for the stream ends with it.
		s.cancel()
		mu.Lock()
		defer mu.Unlock()
		ended = true
		pulse.Stop()
	}()
	for {
		message, err := s.Recv()
		if err != nil {
			return
		}
		if assignments := message.GetAssignments(); assignments != nil {
			a.take(assignments, send)
		}
	}
}

// take carries out assignments at once.
func (a *agent) take(part *argosyv1.Assignments, send func(*argosyv1.AgentMessage)) {
	if a.staged == nil {
		a.staged = &argosyv1.Assignments{Full: part.GetFull()}
	}
	a.staged.Upserts = append(a.staged.Upserts, part.GetUpserts()...)
	a.staged.Removals = append(a.staged.Removals, part.GetRemovals()...)
	if part.GetPartial() {
		return
	}
	whole := a.staged
	a.staged = nil
	report := &argosyv1.StateReport{}
	before := len(a.workloads)
	remove := func(name string) {
		if w, ok := a.workloads[name]; ok {
			delete(a.workloads, name)
			report.States = append(report.States, stateOf(w, argosyv1.State_STATE_REMOVED))
		}
	}
	if whole.GetFull() {
		wanted := make(map[string]struct{}, len(whole.GetUpserts()))
		for _, w := range whole.GetUpserts() {
			wanted[w.GetName()] = struct{}{}
		}
		for name := range a.workloads {
			if _, ok := wanted[name]; !ok {
				remove(name)
			}
		}
	}
	for _, name := range whole.GetRemovals() {
		remove(name)
	}
	for _, w := range whole.GetUpserts() {
		if old, ok := a.workloads[w.GetName()]; ok && old.GetRuntimeConfig() != w.GetRuntimeConfig() {
			remove(w.GetName())
		}
		a.workloads[w.GetName()] = w
		report.States = append(report.States, stateOf(w, argosyv1.State_STATE_RUNNING))
	}
	a.revision = max(part.GetRevision(), 1)
	if len(report.States) > 0 {
		send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_States{States: report}})
	}
	send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Converged{Converged: &argosyv1.Converged{Revision: part.GetRevision()}}})
	a.swarm.running.Add(int64(len(a.workloads) - before))
	a.swarm.note()
}

func stateOf(w *argosyv1.Workload, state argosyv1.State) *argosyv1.WorkloadState {
	execution := &argosyv1.ExecutionState{State: state, StartedUnixNanos: 1, RuntimeId: "1"}
	if state == argosyv1.State_STATE_RUNNING {
		execution.Substate = argosyv1.Substate_SUBSTATE_RUNNING_OK
	}
	return &argosyv1.WorkloadState{Instance: argosyv1.InstanceOf(w), Execution: execution}
}
