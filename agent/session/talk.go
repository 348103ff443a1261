package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// errStream is the error of a send on a stream that has ended.
var errStream = errors.New("the stream has ended")

// talker is the one that sends on a stream.
type talker struct {
	session   *Session
	link      *link
	pulse     *pulse
	reported  time.Time
	converged uint64
}

func (t *talker) send(message *argosyv1.AgentMessage) error {
	if err := t.link.stream.Send(message); err != nil {
		if !errors.Is(err, io.EOF) {
			t.link.cancel(fmt.Errorf("send to the leader: %w", err))
		}
		return errStream
	}
	return nil
}

// begin tells everything once.
func (t *talker) begin(ctx context.Context) error {
	if err := t.states(t.session.deps.States.Full(), true); err != nil {
		return err
	}
	if err := t.convergence(); err != nil {
		return err
	}
	return t.beat(ctx)
}

// report tells what has changed.
func (t *talker) report() error {
	states, full := t.session.deps.States.Take()
	if len(states) > 0 || full {
		if err := t.states(states, full); err != nil {
			return err
		}
	}
	return t.convergence()
}

func (t *talker) states(states []*argosyv1.WorkloadState, full bool) error {
	t.reported = time.Now()
	for {
		n := min(len(states), statesPerReport)
		if err := t.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_States{
			States: &argosyv1.StateReport{Full: full, States: states[:n], Partial: full && n < len(states)},
		}}); err != nil {
			return err
		}
		if states = states[n:]; len(states) == 0 {
			return nil
		}
	}
}

func (t *talker) convergence() error {
	revision := t.session.deps.States.Converged()
	if revision == t.converged {
		return nil
	}
	t.converged = revision
	return t.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Converged{Converged: &argosyv1.Converged{Revision: revision}}})
}

// beat gives a sign of life: the load when there is news of it.
func (t *talker) beat(ctx context.Context) error {
	if load := t.pulse.next(ctx, t.session.deps.Node); load != nil {
		return t.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Load{Load: load}})
	}
	return t.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Heartbeat{Heartbeat: &argosyv1.Heartbeat{}}})
}

// goodbye tells the last changes and that the agent ends on purpose.
func (t *talker) goodbye() error {
	if err := t.report(); err != nil {
		return err
	}
	if err := t.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Goodbye{Goodbye: &argosyv1.Goodbye{}}}); err != nil {
		return err
	}
	if err := t.link.stream.CloseSend(); err != nil {
		return errStream
	}
	return nil
}
