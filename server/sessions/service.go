package sessions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/logs"
)

// Stream is the server's end of a session.
type Stream = grpc.BidiStreamingServer[argosyv1.AgentMessage, argosyv1.ServerMessage]

// Service answers the Session call for the life of a server.
type Service struct {
	cfg  Config
	deps Deps
	log  *slog.Logger

	mu      sync.Mutex
	manager *manager
	changed chan struct{} // closed and replaced when manager changes

	// homeless is how many agents wait for a leader.
	homeless atomic.Int64
}

// New makes a service that does not lead.
func New(deps Deps, cfg Config) (*Service, error) {
	if err := deps.validate(); err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure sessions: %w", err)
	}
	log := deps.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg: cfg, deps: deps, log: log, changed: make(chan struct{})}, nil
}

// LogReceiver takes the logs that agents push; *logs.Relay is one.
type LogReceiver interface {
	PushLogs(stream grpc.ClientStreamingServer[argosyv1.PushLogsRequest, argosyv1.PushLogsResponse]) error
}

// Register registers the API for agents, which a Service and a LogReceiver make
// up together.
func Register(to grpc.ServiceRegistrar, service *Service, receiver LogReceiver) {
	argosyv1.RegisterAgentServiceServer(to, struct {
		*Service
		LogReceiver
		argosyv1.UnsafeAgentServiceServer
	}{Service: service, LogReceiver: receiver})
}

// Leadership is what a service needs to lead.
type Leadership struct {
	// Term is the Raft term in which this server leads.
	Term uint64
	// Registrar makes the durable records of agents in this term.
	Registrar Registrar
}

// Lead takes sessions until ctx ends, and returns when all have ended. It is
// called once everything that was committed before this server became leader
// has been applied: what agents are told from then on is what is desired.
func (s *Service) Lead(ctx context.Context, leadership Leadership) error {
	lead, err := s.deps.Store.Lead(leadership.Term)
	if err != nil {
		return err
	}
	defer lead.Resign()
	m, err := newManager(ctx, s, lead, leadership)
	if err != nil {
		return err
	}
	s.publish(m)
	defer s.publish(nil)
	return m.run(ctx)
}

// Sessions returns how many agents have a session with this server.
func (s *Service) Sessions() int {
	m, _ := s.current()
	if m == nil {
		return 0
	}
	return m.roster.seated()
}

func (s *Service) publish(m *manager) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manager = m
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Service) current() (*manager, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manager, s.changed
}

// Session handles one stream of an agent.
func (s *Service) Session(stream Stream) error {
	hello, err := s.receiveHello(stream)
	if err != nil {
		return err
	}
	protocol, err := checkHello(stream.Context(), s.deps, hello)
	if err != nil {
		s.log.Warn("agent refused", "agent", clip(hello.GetName()), "address", addressOf(stream.Context()), "error", err)
		return err
	}
	m, redirect, err := s.whoLeads(stream.Context(), seenTerm(s.deps, hello))
	if err != nil {
		return err
	}
	if redirect != nil {
		s.log.Debug("agent redirected", "agent", hello.GetName(), "leader", redirect.GetLeaderAddress(), "term", redirect.GetTerm())
		return stream.Send(&argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Redirect{Redirect: redirect}})
	}
	return m.serve(stream, hello, protocol)
}

func (s *Service) receiveHello(stream Stream) (*argosyv1.AgentHello, error) {
	type received struct {
		message *argosyv1.AgentMessage
		err     error
	}
	// Recv ends when this call ends, so this goroutine does not outlive it.
	first := make(chan received, 1)
	go func() {
		m, err := stream.Recv()
		first <- received{m, err}
	}()
	timer := time.NewTimer(s.cfg.HelloTimeout)
	defer timer.Stop()
	select {
	case r := <-first:
		if errors.Is(r.err, io.EOF) {
			return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "begin session: the stream ended before a hello")
		}
		if r.err != nil {
			return nil, r.err
		}
		if hello := r.message.GetHello(); hello != nil {
			return hello, nil
		}
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "begin session: the first message must be a hello")
	case <-timer.C:
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "begin session: no hello within %s", s.cfg.HelloTimeout)
	}
}

// whoLeads returns this server's manager when it leads, else where to go. An
// agent that has had a leader of a higher term is not taken: whoever leads in a
// lower one has been replaced and does not know it yet.
func (s *Service) whoLeads(ctx context.Context, seen uint64) (*manager, *argosyv1.Redirect, error) {
	elsewhere, cancel := s.deps.Directory.Watch()
	defer cancel()
	waiting := s.homeless.Add(1)
	defer s.homeless.Add(-1)
	timer := time.NewTimer(s.cfg.leaderWait(waiting))
	defer timer.Stop()
	waited := false
	for {
		m, changed := s.current()
		if m != nil && m.term >= seen {
			return m, nil, nil
		}
		address, term, self := s.deps.Directory.Leader()
		if address != "" && !self && term >= seen {
			if waited {
				// All that wait here learn it at the same moment.
				if err := rest(ctx, s.cfg.spread(int(waiting))); err != nil {
					return nil, nil, err
				}
			}
			return nil, &argosyv1.Redirect{LeaderAddress: address, Term: term}, nil
		}
		waited = true
		select {
		case <-changed:
		case <-elsewhere:
		case <-timer.C:
			return nil, &argosyv1.Redirect{Term: term}, nil
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

// Reach returns the session of an agent.
func (s *Service) Reach(agent string) (logs.Link, error) {
	m, _ := s.current()
	if m == nil {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER,
			"reach agent %q: server %s does not lead; ask the leader", agent, s.deps.ServerID)
	}
	session, ok := m.roster.session(agent)
	if !ok {
		return nil, fmt.Errorf("agent %q is not connected", agent)
	}
	return session, nil
}

var _ logs.Agents = (*Service)(nil)

// MayBeElsewhere tells whether an agent other than the named one may still have
// an instance of a workload of this name, when all of that name were deleted with
// a revision or before; also when it is not known. It does not wait for anything,
// and does not look at what agents have been told of a workload that exists.
func (s *Service) MayBeElsewhere(workload, agent string, deleted uint64) bool {
	m, _ := s.current()
	return m == nil || m.assigner.mayBeElsewhere(workload, agent, deleted)
}
