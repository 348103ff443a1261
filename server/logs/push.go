package logs

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// push is the way of one instance's lines to one user.
type push struct {
	id       string
	instance *argosyv1.InstanceName
	reader   *reader
	opened   atomic.Bool
	started  chan struct{} // closed when the agent has opened its stream

	mu   sync.Mutex    // held while lines are handed on, so that none comes after the end
	over chan struct{} // closed when the end line has been handed on
}

func newPush(instance *argosyv1.InstanceName, reader *reader) *push {
	return &push{
		id:       uuid.NewString(),
		instance: instance,
		reader:   reader,
		started:  make(chan struct{}),
		over:     make(chan struct{}),
	}
}

// give hands lines to the user and waits until they are taken. It returns false
// when nothing more is wanted.
func (p *push) give(lines []*argosyv1.LogLine) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.giveLocked(lines)
}

func (p *push) giveLocked(lines []*argosyv1.LogLine) bool {
	select {
	case <-p.over:
		return false
	default:
	}
	select {
	case p.reader.lines <- lines:
		return true
	case <-p.reader.ctx.Done():
		return false
	}
}

// end hands the one end line to the user, with what came just before it.
func (p *push) end(reason string, before ...*argosyv1.LogLine) {
	p.endWith(&argosyv1.LogLine{Instance: p.instance, Line: []byte(reason), End: true}, before...)
}

// interrupt ends the lines though the log has not ended.
func (p *push) interrupt(reason string) {
	p.endWith(&argosyv1.LogLine{Instance: p.instance, Line: []byte(reason), End: true, Interrupted: true})
}

func (p *push) endWith(line *argosyv1.LogLine, before ...*argosyv1.LogLine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.giveLocked(append(before, line)) {
		close(p.over)
	}
}

// follow asks an agent for an instance's lines and sees to it that they end.
func (r *Relay) follow(reader *reader, instance *argosyv1.InstanceName, options *argosyv1.LogsRequest) {
	link, err := r.deps.Agents.Reach(instance.GetAgent())
	p := newPush(instance, reader)
	if err != nil {
		p.fail(err)
		return
	}
	r.add(p)
	defer r.remove(p)
	err = link.Send(&argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_StartLogs{StartLogs: &argosyv1.StartLogs{
		StreamId: p.id, Instance: instance, Options: optionsFor(instance, options),
	}}})
	if err != nil {
		p.fail(err)
		return
	}
	r.await(p, link)
	// Whoever is told to stop and has not begun finds nothing to begin with.
	r.remove(p)
	select {
	case <-link.Done(): // it knows
	default:
		// When the agent ended the lines by itself this is a message too many,
		// which costs it nothing.
		if err := link.Send(&argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_StopLogs{StopLogs: &argosyv1.StopLogs{StreamId: p.id}}}); err != nil {
			r.log.Debug("agent not told to stop logs", "agent", instance.GetAgent(), "error", err)
		}
	}
}

// optionsFor leaves out what is said of other instances.
func optionsFor(instance *argosyv1.InstanceName, options *argosyv1.LogsRequest) *argosyv1.LogsRequest {
	for _, place := range options.GetAfter() {
		if place.GetInstance().Key() == instance.Key() {
			options = argosyv1.Shallow(options)
			options.After = []*argosyv1.LogPlace{place}
			return options
		}
	}
	return argosyv1.Shallow(options, "after")
}

// await returns when the push is over.
func (r *Relay) await(p *push, link Link) {
	timer := time.NewTimer(r.cfg.AnswerTimeout)
	defer timer.Stop()
	late := timer.C
	started := p.started
	for {
		select {
		case <-p.over:
			return
		case <-p.reader.ctx.Done():
			return
		case <-started:
			started, late = nil, nil
		case <-late:
			p.end("agent " + p.instance.GetAgent() + " did not answer within " + r.cfg.AnswerTimeout.String())
			return
		case <-link.Done():
			p.fail(link.Err())
			return
		}
	}
}

// fail ends the push because the agent cannot be reached. When it is this
// server that cannot be asked any more the whole call fails, so that the user
// goes to the leader.
func (p *push) fail(err error) {
	if api, ok := argosyv1.AsError(err); ok && api.Code() == argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER {
		p.reader.fail(api)
		return
	}
	p.interrupt("lost agent " + p.instance.GetAgent() + ": " + err.Error())
}

func (r *Relay) add(p *push) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pushes[p.id] = p
}

func (r *Relay) remove(p *push) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pushes, p.id)
}

// PushLogs handles the stream on which an agent pushes the lines of one
// instance.
func (r *Relay) PushLogs(stream grpc.ClientStreamingServer[argosyv1.PushLogsRequest, argosyv1.PushLogsResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "push logs: the stream ended before it named what it pushes")
	}
	p, err := r.claim(stream.Context(), first.GetStreamId())
	if err != nil {
		return err
	}
	// Receiving ends when this call ends, so the goroutine does not outlive it.
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.receive(stream, p, first)
	}()
	select {
	case <-done:
	case <-p.over:
	case <-p.reader.ctx.Done():
	}
	return stream.SendAndClose(&argosyv1.PushLogsResponse{})
}

// claim finds what a stream is for. An id is good for one stream of the agent
// that it was sent to.
func (r *Relay) claim(ctx context.Context, id string) (*push, error) {
	r.mu.Lock()
	p, ok := r.pushes[id]
	r.mu.Unlock()
	if !ok {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "push logs: nobody waits for stream %.64q", id)
	}
	if names, tls := r.deps.PeerNames(ctx); tls && !slices.Contains(names, p.instance.GetAgent()) {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN,
			"push logs: the certificate does not name agent %q, whose instance it is", p.instance.GetAgent())
	}
	if !p.opened.CompareAndSwap(false, true) {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "push logs: stream %q was opened already", id)
	}
	close(p.started)
	return p, nil
}

// receive hands on what an agent pushes until the end of the instance's lines.
func (r *Relay) receive(stream grpc.ClientStreamingServer[argosyv1.PushLogsRequest, argosyv1.PushLogsResponse], p *push, m *argosyv1.PushLogsRequest) {
	for {
		if !r.handOn(p, m.GetLines()) {
			return
		}
		var err error
		if m, err = stream.Recv(); err != nil {
			// An agent says the end of a log itself. One that only stops to push, as
			// when it is stopped itself, does not say that the instance has ended.
			reason := "agent " + p.instance.GetAgent() + " pushes no more of it; the instance may go on"
			if !errors.Is(err, io.EOF) {
				reason = "lost the log stream of agent " + p.instance.GetAgent() + ": " + err.Error()
			}
			p.interrupt(reason)
			return
		}
	}
}

const truncated = " [truncated]"

// handOn gives lines to the user in messages of a bounded size. It returns
// false when no more are wanted.
func (r *Relay) handOn(p *push, lines []*argosyv1.LogLine) bool {
	var batch []*argosyv1.LogLine
	size := 0
	for _, line := range lines {
		if line.GetEnd() {
			p.end(string(r.cut(line.GetLine())), batch...)
			return false
		}
		// An agent speaks for its own instance only, whatever it writes here.
		line.Instance = p.instance
		line.Line = r.cut(line.GetLine())
		if need := len(line.GetLine()) + lineOverhead; size > 0 && size+need > r.cfg.MaxMessage {
			if !p.give(batch) {
				return false
			}
			batch, size = nil, 0
		}
		batch = append(batch, line)
		size += len(line.GetLine()) + lineOverhead
	}
	return len(batch) == 0 || p.give(batch)
}

// lineOverhead is about what a line takes beside its text, the name of the
// instance above all.
const lineOverhead = 240

func (r *Relay) cut(line []byte) []byte {
	if len(line) <= r.cfg.MaxLine {
		return line
	}
	return append(line[:r.cfg.MaxLine:r.cfg.MaxLine], truncated...)
}
