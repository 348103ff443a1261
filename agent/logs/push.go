// Package logs pushes what instances print to the server that asked for it.
// Its invariant: a push takes lines from the runtime only as fast as the server
// takes them, so that neither a chatty workload nor a slow reader costs memory.
package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	// maxPushes bounds the pushes at once.
	maxPushes = 256
	// Lines that wait to be sent, by number and by bytes, and how much of them
	// travels at once.
	queueLines = 256
	queueBytes = 4 << 20
	batchLines = 512
	batchBytes = 128 << 10
	// maxReason is where the reason for an end is cut.
	maxReason = 64 << 10
)

// What is told of lines that are too long, in the words of Ankaios.
const (
	truncated     = " [truncated]"
	wasTruncated  = "The previous message was truncated due to exceeding the maximum 2 MB size."
	closesTooLong = "The previous log message exceeded the maximum 50 MB size. Closing the log campaign."
)

var errNoPlaces = errors.New("its runtime cannot go on after a line that was read before; read the log from its beginning")

var errStopped = errors.New("nobody wants these logs any more")

// Source finds the log of an instance.
type Source interface {
	Locate(name *argosyv1.InstanceName) (runtime.LogReader, bool)
}

// Pusher runs pushes. It is safe for concurrent use.
type Pusher struct {
	source Source
	logger *slog.Logger

	running sync.WaitGroup
	mu      sync.Mutex
	pushes  map[string]*push
}

type push struct {
	id       string
	instance *argosyv1.InstanceName
	options  runtime.LogOptions
	cancel   context.CancelCauseFunc
}

// New makes a pusher for the instances of a source. Nil logger discards.
func New(source Source, logger *slog.Logger) *Pusher {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Pusher{source: source, logger: logger, pushes: make(map[string]*push)}
}

// Start begins a push that goes on until its end, Stop, or the end of ctx. A
// stream id that is in use already is ignored.
func (p *Pusher) Start(ctx context.Context, client argosyv1.AgentServiceClient, request *argosyv1.StartLogs) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := request.GetStreamId()
	if p.pushes[id] != nil {
		return
	}
	crowded := len(p.pushes) >= maxPushes
	ctx, cancel := context.WithCancelCause(ctx)
	one := &push{id: id, instance: request.GetInstance(), options: options(request), cancel: cancel}
	p.pushes[id] = one
	p.running.Go(func() {
		err := p.run(ctx, client, one, crowded)
		cancel(nil)
		p.mu.Lock()
		delete(p.pushes, id)
		p.mu.Unlock()
		if err != nil {
			p.logger.Debug("push of logs ended early", "workload", one.instance.GetWorkload(), "error", err)
		}
	})
}

// Stop ends a push.
func (p *Pusher) Stop(streamID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.pushes[streamID]; one != nil {
		one.cancel(errStopped)
	}
}

// Wait returns when all pushes have ended.
func (p *Pusher) Wait() { p.running.Wait() }

func (p *Pusher) run(ctx context.Context, client argosyv1.AgentServiceClient, one *push, crowded bool) error {
	stream, err := client.PushLogs(ctx)
	if err != nil {
		return fmt.Errorf("open push: %w", err)
	}
	lines := make(chan *argosyv1.LogLine, queueLines)
	room := semaphore.NewWeighted(queueBytes)
	sent := make(chan error, 1)
	go func() {
		err := send(stream, one.id, lines, room)
		if err != nil {
			// The reader must not wait for room for ever.
			one.cancel(err)
		}
		sent <- err
	}()
	err = p.read(ctx, one, crowded, func(line *argosyv1.LogLine) error {
		if room.Acquire(ctx, int64(len(line.GetLine()))) != nil {
			return context.Cause(ctx)
		}
		select {
		case lines <- line:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(lines)
	return errors.Join(err, <-sent)
}

// read gives emit every line and a last one that says how it ended.
func (p *Pusher) read(ctx context.Context, one *push, crowded bool, emit func(*argosyv1.LogLine) error) error {
	reader, found := p.source.Locate(one.instance)
	var err error
	switch {
	case crowded:
		err = fmt.Errorf("this agent pushes %d logs already; end some and try again", maxPushes)
	case !found:
		err = runtime.ErrNotFound
	default:
		err = reader.Logs(ctx, one.instance, one.options, func(line runtime.LogLine) error { return one.tell(line, emit) })
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	end := &argosyv1.LogLine{Instance: one.instance, End: true}
	switch {
	case errors.Is(err, runtime.ErrNotFound):
		end.Line = []byte("there is no log: the instance does not exist at its runtime")
	case errors.Is(err, runtime.ErrLineTooLong):
		end.Line = []byte(closesTooLong)
	case err != nil:
		text := err.Error()
		end.Line = []byte(text[:min(len(text), maxReason)])
	}
	return emit(end)
}

// tell emits a line, and another one when it is not whole.
func (one *push) tell(line runtime.LogLine, emit func(*argosyv1.LogLine) error) error {
	if after := one.options.After.Position; after != 0 && line.Position <= after {
		return errNoPlaces
	}
	told := &argosyv1.LogLine{
		Instance: one.instance, Stderr: line.Stderr, UnixNanos: nanos(line.Time), Position: line.Position,
		// A runtime may use its memory again.
		Line: bytes.Clone(line.Line),
	}
	if !line.Truncated {
		return emit(told)
	}
	told.Line = append(told.Line, truncated...)
	if err := emit(told); err != nil {
		return err
	}
	return emit(&argosyv1.LogLine{
		Instance: one.instance, Stderr: line.Stderr, UnixNanos: told.GetUnixNanos(), Position: line.Position, Line: []byte(wasTruncated),
	})
}

// send sends lines in batches: as many as wait, at once.
func send(stream grpc.ClientStreamingClient[argosyv1.PushLogsRequest, argosyv1.PushLogsResponse], id string, lines <-chan *argosyv1.LogLine, room *semaphore.Weighted) error {
	// The first message tells the server that the push has begun, also when the
	// workload prints nothing for hours.
	if err := stream.Send(&argosyv1.PushLogsRequest{StreamId: id}); err != nil {
		return ended(stream)
	}
	for line := range lines {
		batch := &argosyv1.PushLogsRequest{StreamId: id, Lines: []*argosyv1.LogLine{line}}
		size := len(line.GetLine())
	collect:
		for len(batch.Lines) < batchLines && size < batchBytes {
			select {
			case line, more := <-lines:
				if !more {
					break collect
				}
				batch.Lines = append(batch.Lines, line)
				size += len(line.GetLine())
			default:
				break collect
			}
		}
		if err := stream.Send(batch); err != nil {
			return ended(stream)
		}
		room.Release(int64(size))
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		return fmt.Errorf("push logs: %w", err)
	}
	return nil
}

// ended tells why a stream takes no more.
func ended(stream grpc.ClientStreamingClient[argosyv1.PushLogsRequest, argosyv1.PushLogsResponse]) error {
	_, err := stream.CloseAndRecv()
	if err == nil {
		err = errStopped
	}
	return fmt.Errorf("push logs: %w", err)
}

func options(start *argosyv1.StartLogs) runtime.LogOptions {
	request := start.GetOptions()
	o := runtime.LogOptions{Follow: request.GetFollow(), Tail: -1, Since: moment(request.GetSinceUnixNanos()), Until: moment(request.GetUntilUnixNanos())}
	if request.GetHasTail() {
		o.Tail = int(request.GetTail())
	}
	for _, place := range request.GetAfter() {
		if place.GetInstance().Key() == start.GetInstance().Key() {
			o.After = runtime.LogPlace{Position: place.GetPosition(), Time: moment(place.GetUnixNanos())}
		}
	}
	return o
}

func moment(unixNanos int64) time.Time {
	if unixNanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, unixNanos)
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
