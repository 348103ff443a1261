package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	// What to do when a leader does not say.
	defaultHeartbeat = time.Second
	defaultTimeout   = 5 * time.Second
	// statesPerReport keeps reports well below the limit for messages.
	statesPerReport = 2000
)

// serve lives through one session. It returns why it ended, after everything
// that belongs to it has ended.
func (s *Session) serve(ctx context.Context, l *link) error {
	heartbeat, timeout := intervals(l.welcome)
	watchdog := time.AfterFunc(timeout, func() { l.cancel(errSilent) })
	var heard error
	over := make(chan struct{})
	go func() {
		defer close(over)
		heard = s.receive(l, func() { watchdog.Reset(timeout) })
	}()
	// A server that takes nothing any more must not hold up the agent's end.
	release := context.AfterFunc(ctx, func() {
		time.AfterFunc(2*s.cfg.GoodbyeTimeout, func() { l.cancel(context.Cause(ctx)) })
	})
	defer release()
	err := s.converse(ctx, l, heartbeat, over)
	if ctx.Err() != nil && err == nil {
		// The server ends the stream when it has read the farewell.
		timer := time.NewTimer(s.cfg.GoodbyeTimeout)
		select {
		case <-over:
		case <-timer.C:
		}
		timer.Stop()
	}
	if errors.Is(err, errStream) {
		// The receiver is told why; give it the moment that takes.
		<-over
	}
	cause := context.Cause(l.ctx)
	l.close(err)
	<-over
	watchdog.Stop()
	s.deps.Logs.Wait()
	switch {
	case cause != nil:
		return cause
	case errors.Is(err, errStream):
		return heard
	default:
		return err
	}
}

// converse tells the leader what there is to tell until the session ends, which
// is an error but at the end of ctx.
func (s *Session) converse(ctx context.Context, l *link, heartbeat time.Duration, over <-chan struct{}) error {
	t := &talker{session: s, link: l, pulse: newPulse(s.cfg)}
	if err := t.begin(ctx); err != nil {
		return err
	}
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	report := time.NewTimer(s.cfg.ReportGap)
	defer report.Stop()
	for {
		if err := s.gossipMoved(l); err != nil {
			return err
		}
		var err error
		select {
		case <-ctx.Done():
			return t.goodbye()
		case <-over:
			return errStream
		case <-s.deps.States.Changed():
			report.Reset(s.cfg.ReportGap - min(time.Since(t.reported), s.cfg.ReportGap))
		case <-report.C:
			err = t.report()
		case <-ticker.C:
			err = t.beat(ctx)
		case <-s.signal:
		}
		if err != nil {
			return err
		}
	}
}

// gossipMoved returns errMoved, once a term, when gossip tells of a leader of a
// higher term. When that one cannot be reached, the agent goes on with
// whoever welcomes it.
func (s *Session) gossipMoved(l *link) error {
	if s.deps.Directory == nil {
		return nil
	}
	address, term, ok := s.deps.Directory.Leader()
	if !ok || term <= max(l.welcome.GetTerm(), s.moved) {
		return nil
	}
	s.moved = term
	return fmt.Errorf("%s leads in term %d: %w", address, term, errMoved)
}

// receive handles what the leader sends until the stream ends.
func (s *Session) receive(l *link, alive func()) error {
	client := argosyv1.NewAgentServiceClient(l.conn)
	for {
		message, err := l.stream.Recv()
		if err != nil {
			return fmt.Errorf("receive from the leader: %w", err)
		}
		alive()
		switch kind := message.GetKind().(type) {
		case *argosyv1.ServerMessage_Assignments:
			if err := s.deps.Assignments.Assign(kind.Assignments); err != nil {
				return err
			}
		case *argosyv1.ServerMessage_Neighbours:
			s.deps.Assignments.Learn(kind.Neighbours)
		case *argosyv1.ServerMessage_StartLogs:
			s.deps.Logs.Start(l.ctx, client, kind.StartLogs)
		case *argosyv1.ServerMessage_StopLogs:
			s.deps.Logs.Stop(kind.StopLogs.GetStreamId())
		case *argosyv1.ServerMessage_Redirect:
			return &redirection{address: kind.Redirect.GetLeaderAddress()}
		case *argosyv1.ServerMessage_HeartbeatAck:
		default:
			// A newer server may say more than this agent understands.
		}
	}
}

func intervals(w *argosyv1.Welcome) (heartbeat, timeout time.Duration) {
	heartbeat = time.Duration(w.GetHeartbeatIntervalMs()) * time.Millisecond
	if heartbeat <= 0 {
		heartbeat = defaultHeartbeat
	}
	timeout = time.Duration(w.GetSessionTimeoutMs()) * time.Millisecond
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	// One lost answer must not end a session.
	return heartbeat, max(timeout, 2*heartbeat)
}
