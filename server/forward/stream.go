package forward

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/writer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Limits of one message; one request alone may be larger.
const (
	maxWrites = 256
	maxBytes  = 512 << 10
)

// Limits of what a stream holds that is not answered: as much as the leader's
// own queue, since that is where it ends.
const (
	maxHeld      = 16384
	maxHeldBytes = 128 << 20
	// retryHeld is when those who are refused shall come back.
	retryHeld = 200 * time.Millisecond
)

// Opener opens the stream; argosyv1.PeerServiceClient does.
type Opener interface {
	Forward(ctx context.Context, opts ...grpc.CallOption) (grpc.BidiStreamingClient[argosyv1.ForwardRequest, argosyv1.ForwardResponse], error)
}

// Stream carries the writes of a follower to the leader. It is a Target.
type Stream struct {
	check  func(*argosyv1.PeerHandshake) error
	cancel context.CancelCauseFunc
	ready  chan struct{}
	lost   chan struct{}
	tasks  sync.WaitGroup

	mu       sync.Mutex
	waiting  []held
	sent     map[uint64]held
	bytes    int // of both
	sequence uint64
	err      error
}

// held is a write that is not answered yet.
type held struct {
	*writer.Request
	size int
}

// NewStream starts a stream to a leader. It does not wait for the other side;
// when that cannot be reached, or check refuses its handshake, the stream is
// lost. Close must be called in any case.
func NewStream(ctx context.Context, peer Opener, hello *argosyv1.PeerHandshake, check func(*argosyv1.PeerHandshake) error) *Stream {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &Stream{
		check:  check,
		cancel: cancel,
		ready:  make(chan struct{}, 1),
		lost:   make(chan struct{}),
		sent:   map[uint64]held{},
	}
	s.tasks.Go(func() { s.run(ctx, peer, hello) })
	return s
}

// Lost is closed when the stream has ended; every write it had was answered.
func (s *Stream) Lost() <-chan struct{} { return s.lost }

// Close ends the stream and waits until it has ended.
func (s *Stream) Close() {
	s.cancel(errClosed)
	s.tasks.Wait()
}

var errClosed = errors.New("stream closed")

// Submit sends a write.
func (s *Stream) Submit(r *writer.Request) { s.SubmitAll([]*writer.Request{r}) }

// SubmitAll sends writes.
func (s *Stream) SubmitAll(requests []*writer.Request) {
	all := make([]held, len(requests))
	for i, r := range requests {
		all[i].Request = r
		all[i].size = proto.Size(r.Apply) + proto.Size(r.Delete) + proto.Size(r.Remove)
	}
	refused, err := s.hold(all)
	for _, r := range refused {
		r.Done(writer.Outcome{Err: err})
	}
	if len(refused) < len(all) {
		select {
		case s.ready <- struct{}{}:
		default:
		}
	}
}

// hold takes writes until there are too many, and returns the others.
func (s *Stream) hold(all []held) (refused []held, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return all, fmt.Errorf("%w: %v", writer.ErrNotDone, s.err)
	}
	for i, r := range all {
		if count := len(s.waiting) + len(s.sent); count >= maxHeld || (count > 0 && s.bytes+r.size > maxHeldBytes) {
			return all[i:], tooMuch(count, s.bytes)
		}
		s.waiting = append(s.waiting, r)
		s.bytes += r.size
	}
	return nil, nil
}

func tooMuch(count, bytes int) error {
	err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED,
		"pass write on to the leader: %d requests of %d bytes wait for it already; nothing was changed, try again after %s", count, bytes, retryHeld)
	err.Detail.RetryAfterMs = uint64(retryHeld.Milliseconds())
	return err
}

func (s *Stream) run(ctx context.Context, peer Opener, hello *argosyv1.PeerHandshake) {
	stream, err := peer.Forward(ctx)
	if err != nil {
		s.end(err)
		return
	}
	s.tasks.Go(func() { s.end(s.receive(stream)) })
	if err := s.send(ctx, stream, hello); err != nil {
		// The receiver learns the true reason and ends the stream.
		s.cancel(err)
	}
}

func (s *Stream) send(ctx context.Context, stream grpc.BidiStreamingClient[argosyv1.ForwardRequest, argosyv1.ForwardResponse], hello *argosyv1.PeerHandshake) error {
	message := &argosyv1.ForwardRequest{Handshake: hello}
	for {
		if err := stream.Send(message); err != nil {
			return err
		}
		if message = s.next(); message != nil {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ready:
		}
		// Whoever is about to submit may do so first: fewer, larger messages.
		runtime.Gosched()
		for message = s.next(); message == nil; message = s.next() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.ready:
			}
		}
	}
}

// next makes a message of what waits, nil when nothing does.
func (s *Stream) next() *argosyv1.ForwardRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return nil
	}
	count := min(len(s.waiting), maxWrites)
	writes := make([]*argosyv1.ForwardedWrite, 0, count)
	bytes, taken := 0, 0
	for _, r := range s.waiting[:count] {
		if len(writes) > 0 && bytes+r.size > maxBytes {
			break
		}
		taken++
		if !r.Begin() {
			s.bytes -= r.size
			continue
		}
		bytes += r.size
		s.sequence++
		s.sent[s.sequence] = r
		writes = append(writes, forwarded(s.sequence, r.Request))
	}
	rest := copy(s.waiting, s.waiting[taken:])
	clear(s.waiting[rest:])
	s.waiting = s.waiting[:rest]
	if len(writes) == 0 {
		return nil
	}
	return &argosyv1.ForwardRequest{Writes: writes}
}

func forwarded(sequence uint64, r *writer.Request) *argosyv1.ForwardedWrite {
	w := &argosyv1.ForwardedWrite{Sequence: sequence, Principal: r.Principal, Repeat: r.Repeat}
	if !r.Deadline.IsZero() {
		w.TimeoutMs = uint64(max(time.Until(r.Deadline).Milliseconds(), 1))
	}
	switch {
	case r.Apply != nil:
		w.Write = &argosyv1.ForwardedWrite_Apply{Apply: r.Apply}
	case r.Remove != nil:
		w.Write = &argosyv1.ForwardedWrite_RemoveAgent{RemoveAgent: r.Remove}
	default:
		w.Write = &argosyv1.ForwardedWrite_Delete{Delete: r.Delete}
	}
	return w
}

func (s *Stream) receive(stream grpc.BidiStreamingClient[argosyv1.ForwardRequest, argosyv1.ForwardResponse]) error {
	var answered []*writer.Request
	for first := true; ; first = false {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		if first {
			if err := s.check(message.GetHandshake()); err != nil {
				return err
			}
		}
		results := message.GetResults()
		answered = answered[:0]
		s.mu.Lock()
		for _, result := range results {
			r := s.sent[result.GetSequence()]
			answered = append(answered, r.Request)
			s.bytes -= r.size
			delete(s.sent, result.GetSequence())
		}
		s.mu.Unlock()
		for i, r := range answered {
			if r != nil {
				r.Done(outcomeOf(results[i]))
			}
		}
		clear(answered)
	}
}

// end answers everything that the stream has.
func (s *Stream) end(err error) {
	s.cancel(err)
	s.mu.Lock()
	s.err = err
	waiting, sent := s.waiting, s.sent
	s.waiting, s.sent = nil, nil
	s.mu.Unlock()
	for _, r := range waiting {
		if r.Begin() {
			r.Done(writer.Outcome{Err: fmt.Errorf("%w: stream to the leader: %v", writer.ErrNotDone, err)})
		}
	}
	for _, r := range sent {
		r.Done(writer.Outcome{Err: fmt.Errorf("%w: stream to the leader: %v", writer.ErrFateUnknown, err)})
	}
	close(s.lost)
}

func outcomeOf(r *argosyv1.ForwardedResult) writer.Outcome {
	if r.GetError() == nil {
		return writer.Outcome{Revision: r.GetRevision(), Result: r.GetResult(), Replayed: r.GetReplayed()}
	}
	switch r.GetError().GetCode() {
	case argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, argosyv1.ErrorCode_ERROR_CODE_STOPPING:
		return writer.Outcome{Err: fmt.Errorf("%w: %s", writer.ErrNotDone, r.GetMessage())}
	case argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN:
		return writer.Outcome{Err: fmt.Errorf("%w: %s", writer.ErrFateUnknown, r.GetMessage())}
	}
	return writer.Outcome{Err: &argosyv1.Error{Detail: r.GetError(), Message: r.GetMessage()}}
}
