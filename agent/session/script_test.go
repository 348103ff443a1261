package session

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/argosy-cluster/argosy/agent/assignments"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	testCluster = "cluster-a"
	patience    = 20 * time.Second
)

// server is a scripted server: it answers a hello as the test says, and keeps
// what it hears.
type server struct {
	argosyv1.UnimplementedAgentServiceServer
	address string
	grpc    *grpc.Server

	mu     sync.Mutex
	answer func(hello *argosyv1.AgentHello) (*argosyv1.ServerMessage, error)
	hellos []*argosyv1.AgentHello
	heard  []*argosyv1.AgentMessage
	out    chan *argosyv1.ServerMessage
	fail   chan error // ends a session
	mute   bool
	joined chan struct{}
	ended  chan error
}

func startServer(t *testing.T, options ...grpc.ServerOption) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		address: listener.Addr().String(),
		grpc:    grpc.NewServer(options...),
		out:     make(chan *argosyv1.ServerMessage, 16),
		fail:    make(chan error, 1),
		joined:  make(chan struct{}, 1000),
		ended:   make(chan error, 1000),
	}
	s.redirect("", 0)
	argosyv1.RegisterAgentServiceServer(s.grpc, s)
	go func() { _ = s.grpc.Serve(listener) }()
	t.Cleanup(s.grpc.Stop)
	return s
}

func (s *server) script(answer func(*argosyv1.AgentHello) (*argosyv1.ServerMessage, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// lead has the server welcome every agent.
func (s *server) lead(term uint64, change ...func(*argosyv1.Welcome)) {
	s.script(func(*argosyv1.AgentHello) (*argosyv1.ServerMessage, error) {
		w := &argosyv1.Welcome{ClusterId: testCluster, LeaderId: s.address, Term: term, Protocol: 1, HeartbeatIntervalMs: 20, SessionTimeoutMs: 5000}
		for _, c := range change {
			c(w)
		}
		return &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Welcome{Welcome: w}}, nil
	})
}

func (s *server) redirect(address string, term uint64) {
	s.script(func(*argosyv1.AgentHello) (*argosyv1.ServerMessage, error) {
		return &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Redirect{Redirect: &argosyv1.Redirect{LeaderAddress: address, Term: term}}}, nil
	})
}

func (s *server) refuse(err error) {
	s.script(func(*argosyv1.AgentHello) (*argosyv1.ServerMessage, error) { return nil, err })
}

// setMute has the server not answer signs of life.
func (s *server) setMute(mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = mute
}

func (s *server) Session(stream grpc.BidiStreamingServer[argosyv1.AgentMessage, argosyv1.ServerMessage]) (err error) {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.hellos = append(s.hellos, first.GetHello())
	answer := s.answer
	s.mu.Unlock()
	message, err := answer(first.GetHello())
	if err != nil {
		return err
	}
	if err := stream.Send(message); err != nil || message.GetWelcome() == nil {
		return err
	}
	defer func() { s.ended <- err }()
	accepted := false
	in := make(chan *argosyv1.AgentMessage)
	broken := make(chan error, 1)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				broken <- err
				return
			}
			select {
			case in <- m:
			case <-stream.Context().Done():
				broken <- stream.Context().Err()
				return
			}
		}
	}()
	for {
		select {
		case err := <-broken:
			return err
		case err := <-s.fail:
			return err
		case m := <-s.out:
			if err := stream.Send(m); err != nil {
				return err
			}
		case m := <-in:
			s.mu.Lock()
			s.heard = append(s.heard, m)
			mute := s.mute
			s.mu.Unlock()
			if m.GetStates() != nil && !accepted {
				accepted = true
				s.joined <- struct{}{}
			}
			if m.GetGoodbye() != nil {
				return nil
			}
			if mute || m.GetHeartbeat() == nil && m.GetLoad() == nil {
				continue
			}
			ack := &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_HeartbeatAck{HeartbeatAck: &argosyv1.HeartbeatAck{}}}
			if err := stream.Send(ack); err != nil {
				return err
			}
		}
	}
}

func (s *server) messages() []*argosyv1.AgentMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

func (s *server) asked() []*argosyv1.AgentHello {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hellos)
}

// mustJoin waits until an agent has taken the welcome and reported.
func (s *server) mustJoin(t *testing.T) {
	t.Helper()
	select {
	case <-s.joined:
	case <-time.After(patience):
		t.Fatalf("no session with %s", s.address)
	}
}

func (s *server) mustLeave(t *testing.T) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatalf("the session with %s goes on", s.address)
	}
}

// mustHear waits until the server has heard a message that matches.
func (s *server) mustHear(t *testing.T, what string, match func(*argosyv1.AgentMessage) bool) *argosyv1.AgentMessage {
	t.Helper()
	var found *argosyv1.AgentMessage
	eventually(t, what, func() bool {
		all := s.messages()
		if i := slices.IndexFunc(all, match); i >= 0 {
			found = all[i]
		}
		return found != nil
	})
	return found
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("not seen: %s", what)
		case <-tick.C:
		}
	}
}

// agent is everything around a session under test.
type agent struct {
	session *Session
	store   *assignments.Store
	states  *states
	logs    *recordedLogs
	gossip  *directory
	log     *recorder
	applied chan *assignments.Change
	stop    func()
}

// Held, Accept, Assign and Learn implement Assignments.
func (a *agent) Held() assignments.Held { return a.store.Held() }

func (a *agent) Accept(w *argosyv1.Welcome) error {
	return a.store.Accept(w.GetClusterId(), w.GetIncarnation(), w.GetTerm())
}

func (a *agent) Assign(m *argosyv1.Assignments) error {
	change, err := a.store.Apply(m)
	if change != nil {
		a.applied <- change
	}
	return err
}

func (a *agent) Learn(*argosyv1.Neighbours) {}

// Runtimes and Load implement Node.
func (a *agent) Runtimes(context.Context) []*argosyv1.RuntimeInfo {
	return []*argosyv1.RuntimeInfo{{Name: "pods"}}
}

func (a *agent) Load() (cpuPercent uint32, freeBytes, totalBytes uint64) { return 10, 1 << 30, 2 << 30 }

type option func(*Config, *agent)

func servers(all ...*server) option {
	return func(c *Config, _ *agent) {
		for _, s := range all {
			c.Servers = append(c.Servers, s.address)
		}
	}
}

func gossiping(d *directory) option { return func(_ *Config, a *agent) { a.gossip = d } }

func startAgent(t *testing.T, options ...option) *agent {
	t.Helper()
	a := &agent{
		store:   assignments.Open(filepath.Join(t.TempDir(), "assignments"), "", nil),
		states:  &states{changed: make(chan struct{}, 1)},
		logs:    &recordedLogs{},
		log:     &recorder{},
		applied: make(chan *assignments.Change, 100),
	}
	cfg := DefaultConfig()
	cfg.Name, cfg.InstanceID, cfg.Version, cfg.BootID = "node1", "life-1", "v1", "boot-1"
	cfg.Tags = map[string]string{"zone": "a"}
	cfg.PaceMax = 50 * time.Millisecond
	cfg.Logger = slog.New(a.log)
	for _, o := range options {
		o(&cfg, a)
	}
	deps := Deps{Assignments: a, States: a.states, Node: a, Logs: a.logs}
	if a.gossip != nil {
		deps.Directory = a.gossip
	}
	var err error
	if a.session, err = New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.session.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	a.stop = func() { cancel(); <-done }
	t.Cleanup(a.stop)
	return a
}

// states are states that a test sets.
type states struct {
	mu        sync.Mutex
	all       []*argosyv1.WorkloadState
	queue     []*argosyv1.WorkloadState
	overflow  bool
	converged uint64
	changed   chan struct{}
}

func state(workload string, s argosyv1.State) *argosyv1.WorkloadState {
	return &argosyv1.WorkloadState{
		Instance:  &argosyv1.InstanceName{Workload: workload, Agent: "node1", Id: "id"},
		Execution: &argosyv1.ExecutionState{State: s},
	}
}

func (s *states) push(states ...*argosyv1.WorkloadState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all, s.queue = append(s.all, states...), append(s.queue, states...)
	s.signal()
}

func (s *states) converge(revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.converged = revision
	s.signal()
}

func (s *states) overflowNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overflow = true
	s.signal()
}

func (s *states) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *states) Full() []*argosyv1.WorkloadState {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = nil
	return slices.Clone(s.all)
}

func (s *states) Take() ([]*argosyv1.WorkloadState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.overflow {
		s.overflow = false
		return slices.Clone(s.all), true
	}
	taken := s.queue
	s.queue = nil
	return taken, false
}

func (s *states) Changed() <-chan struct{} { return s.changed }

func (s *states) Converged() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.converged
}

// recordedLogs keeps what was asked for, and runs a push until it is stopped.
type recordedLogs struct {
	running sync.WaitGroup
	mu      sync.Mutex
	started map[string]context.CancelFunc
	over    []string
}

func (l *recordedLogs) Start(ctx context.Context, _ argosyv1.AgentServiceClient, request *argosyv1.StartLogs) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started == nil {
		l.started = make(map[string]context.CancelFunc)
	}
	ctx, cancel := context.WithCancel(ctx)
	id := request.GetStreamId()
	l.started[id] = cancel
	l.running.Go(func() {
		<-ctx.Done()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.over = append(l.over, id)
	})
}

func (l *recordedLogs) Stop(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started[id]()
}

func (l *recordedLogs) Wait() { l.running.Wait() }

func (l *recordedLogs) ended() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.over)
}

func (l *recordedLogs) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.started)
}

// directory is gossip that a test sets.
type directory struct {
	mu        sync.Mutex
	leader    string
	term      uint64
	servers   []string
	clusterID string
	changed   chan struct{}
}

func newDirectory() *directory { return &directory{changed: make(chan struct{}, 1)} }

func (d *directory) announce(leader string, term uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leader, d.term = leader, term
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *directory) Leader() (address string, term uint64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leader, d.term, d.leader != ""
}

func (d *directory) Servers() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.servers)
}

func (d *directory) Watch() (changed <-chan struct{}, stop func()) { return d.changed, func() {} }

func (d *directory) SetCluster(id, _ string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clusterID = id
}

func (d *directory) cluster() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clusterID
}

// recorder keeps log lines.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }

func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	var line strings.Builder
	line.WriteString(record.Level.String() + " " + record.Message)
	record.Attrs(func(a slog.Attr) bool {
		line.WriteString(" " + a.String())
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line.String())
	return nil
}

func (r *recorder) count(part string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, line := range r.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}
