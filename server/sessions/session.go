package sessions

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// session is one stream of one agent process to this leader.
type session struct {
	name       string
	instanceID string
	bootID     string
	homeID     string
	address    string
	began      time.Time
	queue      *queue
	sink       sink

	ctx    context.Context
	cancel context.CancelCauseFunc
	staged *argosyv1.StateReport // parts of a full report that is not complete yet
	heard  atomic.Int64          // when the last sign of life came, since began
	busy   atomic.Int64          // since when a message is being sent, since began; 0: none
}

// sink is where what an agent says goes.
type sink interface {
	report(s *session, r *argosyv1.StateReport) error
	load(s *session, l *argosyv1.LoadReport) error
	converged(s *session, revision uint64) error
}

func newSession(ctx context.Context, hello *argosyv1.AgentHello, cfg Config, sink sink) *session {
	s := &session{
		name:       hello.GetName(),
		instanceID: hello.GetInstanceId(),
		bootID:     hello.GetBootId(),
		homeID:     hello.GetHomeId(),
		address:    addressOf(ctx),
		began:      time.Now(),
		queue:      newQueue(cfg.MaxQueuedMessages, cfg.MaxQueuedBytes),
		sink:       sink,
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s
}

func addressOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return "unknown address"
}

// String names the process behind the session.
func (s *session) String() string {
	return fmt.Sprintf("process %s at %s", clip(s.instanceID), s.address)
}

func (s *session) holder() holder {
	return holder{instanceID: s.instanceID, bootID: s.bootID, homeID: s.homeID, address: s.address}
}

// end ends the session; the first cause counts.
func (s *session) end(cause error) { s.cancel(cause) }

// Done is closed when the session has ended.
func (s *session) Done() <-chan struct{} { return s.ctx.Done() }

// Err returns why the session ended.
func (s *session) Err() error { return context.Cause(s.ctx) }

// answer is what the call returns for the way in which the session ended.
func (s *session) answer() error {
	cause := context.Cause(s.ctx)
	if api, ok := argosyv1.AsError(cause); ok {
		return api
	}
	switch {
	case errors.Is(cause, errGoodbye), errors.Is(cause, errBroken):
		return nil
	default:
		return status.Error(codes.Unavailable, cause.Error())
	}
}

func (s *session) noteAlive() { s.heard.Store(int64(time.Since(s.began))) }

// silentFor returns how long the agent has given no sign of life.
func (s *session) silentFor() time.Duration {
	return time.Since(s.began) - time.Duration(s.heard.Load())
}

// stuckFor returns how long the message that is being sent has not been taken.
func (s *session) stuckFor() time.Duration {
	if since := s.busy.Load(); since != 0 {
		return time.Since(s.began) - time.Duration(since)
	}
	return 0
}

// Send queues a message without assignments.
func (s *session) Send(m *argosyv1.ServerMessage) error {
	return s.put(queued{message: m, size: controlSize})
}

// put queues messages that belong together. An agent that has let its queue
// fill up is cut off: it comes back and is told what it has missed.
func (s *session) put(messages ...queued) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if s.queue.put(messages...) {
		return nil
	}
	count, bytes := s.queue.length()
	err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER,
		"end session of agent %q: %d messages of %d bytes wait for it; it takes them too slowly", s.name, count, bytes)
	s.end(err)
	return err
}

// sendLoop empties the queue until the session ends.
func (s *session) sendLoop(stream Stream) {
	for {
		m := s.queue.take(s.ctx)
		if m == nil {
			return
		}
		s.busy.Store(max(1, int64(time.Since(s.began))))
		err := stream.Send(m)
		s.busy.Store(0)
		if err != nil {
			s.end(fmt.Errorf("%w: %w", errBroken, err))
			return
		}
	}
}

// receiveLoop takes what the agent says until the session ends.
func (s *session) receiveLoop(stream Stream) {
	for {
		m, err := stream.Recv()
		if err != nil {
			s.end(fmt.Errorf("%w: %w", errBroken, err))
			return
		}
		s.noteAlive()
		if err := s.handle(m); err != nil {
			s.end(err)
			return
		}
	}
}

func (s *session) handle(m *argosyv1.AgentMessage) error {
	switch kind := m.GetKind().(type) {
	case *argosyv1.AgentMessage_Hello:
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "end session of agent %q: a second hello", s.name)
	case *argosyv1.AgentMessage_States:
		whole, err := s.assemble(kind.States)
		if err != nil || whole == nil {
			return err
		}
		return s.sink.report(s, whole)
	case *argosyv1.AgentMessage_Load:
		if err := s.sink.load(s, kind.Load); err != nil {
			return err
		}
		return s.acknowledge()
	case *argosyv1.AgentMessage_Heartbeat:
		return s.acknowledge()
	case *argosyv1.AgentMessage_Converged:
		return s.sink.converged(s, kind.Converged.GetRevision())
	case *argosyv1.AgentMessage_Goodbye:
		return errGoodbye
	default:
		return nil // of a later version of the protocol, which nobody agreed on
	}
}

// maxReport bounds the states of a report that comes in parts.
const maxReport = 1 << 18

// assemble puts the parts of a full report together; it returns nil until the
// last one has come.
func (s *session) assemble(part *argosyv1.StateReport) (*argosyv1.StateReport, error) {
	if s.staged == nil && !(part.GetFull() && part.GetPartial()) {
		return part, nil
	}
	if !part.GetFull() {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID,
			"end session of agent %q: changes came between the parts of a full report", s.name)
	}
	if s.staged == nil {
		s.staged = &argosyv1.StateReport{Full: true}
	}
	s.staged.States = append(s.staged.States, part.GetStates()...)
	if len(s.staged.States) > maxReport {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID,
			"end session of agent %q: a full report of more than %d states", s.name, maxReport)
	}
	if part.GetPartial() {
		return nil, nil
	}
	whole := s.staged
	s.staged = nil
	return whole, nil
}

func (s *session) acknowledge() error {
	return s.Send(&argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_HeartbeatAck{HeartbeatAck: &argosyv1.HeartbeatAck{}}})
}
