// Package swarm simulates agents: thousands in one process, each with a real
// session over real gRPC, but without anything that runs. They find the leader,
// say that what they were told to run is running, give signs of life, and come
// back when their session ends, as agents do.
//
// The invariant it protects: an agent of a swarm costs a server what a real one
// does. It sends the same messages in the same order at the same pace, and by
// default it has a connection of its own.
package swarm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Config says what to simulate.
type Config struct {
	// Servers are API addresses of servers. Required.
	Servers []string
	// Agents is how many there are. Required.
	Agents int
	// Name names them; it contains one %d, counting from 0. Default "swarm-%d".
	Name string
	// PerConnection is how many agents share a connection. Default 1, as it is
	// with real ones. More spares files and memory, here and at the servers.
	PerConnection int
	// AnswerTimeout bounds connecting to one server, and the time from hello to
	// its answer. Default 5 s each.
	AnswerTimeout time.Duration
	// PaceMin and PaceMax bound the time after which an agent asks again, a tenth
	// of how long it has been without a session. Defaults 10 ms and 2 s.
	PaceMin, PaceMax time.Duration
	// TLS is the client's side; nil means plain text. A certificate that names
	// all agents is needed.
	TLS *tls.Config
}

func (c Config) withDefaults() (Config, error) {
	if c.Name == "" {
		c.Name = "swarm-%d"
	}
	if c.PerConnection == 0 {
		c.PerConnection = 1
	}
	for _, each := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.AnswerTimeout, 5 * time.Second},
		{&c.PaceMin, 10 * time.Millisecond}, {&c.PaceMax, 2 * time.Second},
	} {
		if *each.field == 0 {
			*each.field = each.value
		}
	}
	if len(c.Servers) == 0 || c.Agents < 1 || c.PerConnection < 1 {
		return c, errors.New("make swarm: Servers, Agents and PerConnection must be set")
	}
	return c, nil
}

// Swarm is many simulated agents.
type Swarm struct {
	cfg    Config
	agents []*agent
	pools  []*pool

	connected atomic.Int64
	running   atomic.Int64
	refused   atomic.Int64
	changed   chan struct{} // holds a token after either has changed
}

// New makes a swarm that does nothing yet.
func New(cfg Config) (*Swarm, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Swarm{cfg: cfg, changed: make(chan struct{}, 1)}
	for i := range cfg.Agents {
		if i%cfg.PerConnection == 0 {
			s.pools = append(s.pools, &pool{swarm: s, conns: map[string]*grpc.ClientConn{}})
		}
		s.agents = append(s.agents, newAgent(s, i, s.pools[len(s.pools)-1]))
	}
	return s, nil
}

// Run lets the agents live until the context ends.
func (s *Swarm) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for _, a := range s.agents {
		group.Go(func() { a.run(ctx) })
	}
	group.Wait()
	for _, p := range s.pools {
		p.close()
	}
	return context.Cause(ctx)
}

// Name returns the name of an agent.
func (s *Swarm) Name(i int) string { return fmt.Sprintf(s.cfg.Name, i) }

// Connected returns how many agents have a session.
func (s *Swarm) Connected() int { return int(s.connected.Load()) }

// Running returns how many workloads the agents have.
func (s *Swarm) Running() int { return int(s.running.Load()) }

// Refused returns how often a server has sent an agent away because there were
// too many at once.
func (s *Swarm) Refused() int { return int(s.refused.Load()) }

// WaitConnected waits until so many agents have a session.
func (s *Swarm) WaitConnected(ctx context.Context, count int) error {
	return s.wait(ctx, func() bool { return s.Connected() >= count }, "sessions", s.Connected)
}

// WaitRunning waits until the agents have so many workloads.
func (s *Swarm) WaitRunning(ctx context.Context, count int) error {
	return s.wait(ctx, func() bool { return s.Running() >= count }, "workloads", s.Running)
}

func (s *Swarm) wait(ctx context.Context, done func() bool, what string, count func() int) error {
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-s.changed:
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s of the swarm (%d are there): %w", what, count(), context.Cause(ctx))
		}
	}
	return nil
}

// Since returns for each agent whose session began after a moment how long after
// it that was, in ascending order.
func (s *Swarm) Since(at time.Time) []time.Duration {
	var took []time.Duration
	for _, a := range s.agents {
		if began := time.Unix(0, a.began.Load()); began.After(at) {
			took = append(took, began.Sub(at))
		}
	}
	slices.Sort(took)
	return took
}

func (s *Swarm) note() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// pool is the connections that some agents share.
type pool struct {
	swarm *Swarm
	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

// bufferSize of a connection: sessions carry little.
const bufferSize = 8 << 10

func (p *pool) get(address string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn, ok := p.conns[address]; ok {
		return conn, nil
	}
	transport := insecure.NewCredentials()
	if p.swarm.cfg.TLS != nil {
		transport = credentials.NewTLS(p.swarm.cfg.TLS)
	}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(transport), grpc.WithNoProxy(), grpc.WithIdleTimeout(0),
		grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	p.conns[address] = conn
	return conn, nil
}

// drop closes a connection that does not work. One that is shared is left to
// those who use it.
func (p *pool) drop(address string, conn *grpc.ClientConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.swarm.cfg.PerConnection > 1 {
		conn.ResetConnectBackoff()
		return
	}
	if p.conns[address] == conn {
		delete(p.conns, address)
		_ = conn.Close()
	}
}

// keep closes the connections to all servers but one, as agents do.
func (p *pool) keep(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.swarm.cfg.PerConnection > 1 {
		return
	}
	for other, conn := range p.conns {
		if other != address {
			delete(p.conns, other)
			_ = conn.Close()
		}
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
}

// pace is how long an agent waits before it asks again, after so long without a
// session.
func (c Config) pace(without time.Duration) time.Duration {
	d := min(max(without/10, c.PaceMin), c.PaceMax)
	return d/2 + rand.N(d/2+1)
}
