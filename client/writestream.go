package client

import (
	"context"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that is built upon
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Limits of one message.
const (
	maxStreamWrites = 512
	maxStreamBytes  = 512 << 10
)

// writeStream is a stream of writes to one server. It lives until it breaks.
type writeStream struct {
	cancel context.CancelFunc
	// ready holds a token when something may wait.
	ready chan struct{}

	mu       sync.Mutex
	waiting  []*streamed
	sent     map[uint64]*streamed
	sequence uint64
	// err is why it ended.
	err error
}

// streamed is one write on the stream.
type streamed struct {
	encoded  []byte
	deadline time.Time
	// sequence is 0 until it is sent.
	sequence uint64
	done     chan struct{}
	response *argosyv1.WriteResponse
	err      error
}

func newWriteStream(cancel context.CancelFunc) *writeStream {
	return &writeStream{cancel: cancel, ready: make(chan struct{}, 1), sent: map[uint64]*streamed{}}
}

// ended returns why the stream ended, nil while it has not.
func (s *writeStream) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// write carries out one write. An error that stems from the stream and not from
// the cluster is a sentError when the write had been sent.
func (s *writeStream) write(ctx context.Context, encoded []byte) (*argosyv1.WriteResponse, error) {
	w := &streamed{encoded: encoded, done: make(chan struct{})}
	w.deadline, _ = ctx.Deadline()
	s.mu.Lock()
	if s.err != nil {
		defer s.mu.Unlock()
		return nil, s.err
	}
	s.waiting = append(s.waiting, w)
	first := len(s.waiting) == 1
	s.mu.Unlock()
	if first {
		select {
		case s.ready <- struct{}{}:
		default:
		}
	}
	select {
	case <-w.done:
		return w.response, w.err
	case <-ctx.Done():
		err := status.FromContextError(ctx.Err()).Err()
		if s.withdraw(w) {
			return nil, err
		}
		return nil, sentError{err}
	}
}

// withdraw takes back a write that nobody waits for any more. It returns false
// when it was sent.
func (s *writeStream) withdraw(w *streamed) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.sequence != 0 {
		delete(s.sent, w.sequence)
		return false
	}
	for i, other := range s.waiting {
		if other == w {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			break
		}
	}
	return true
}

func (s *writeStream) run(ctx context.Context, stub argosyv1.ClusterServiceClient) {
	stream, err := stub.Write(ctx, grpc.ForceCodecV2(writesCodec{encoding.GetCodecV2("proto")}))
	if err != nil {
		s.end(err)
		return
	}
	// A stream that the server has not begun to serve may be opened anew by gRPC,
	// which keeps everybody out of it meanwhile, for as long as it takes to connect.
	// Until the first answer only one of the two is in it.
	sent, answered := make(chan struct{}), make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() { s.send(ctx, stream, sync.OnceFunc(func() { close(sent) }), answered) })
	<-sent
	s.end(s.receive(stream, sync.OnceFunc(func() { close(answered) })))
	sender.Wait()
}

// send sends what waits. It tells when the first message was sent, or none will be,
// and goes on when that was answered. When it fails the receiver learns why.
func (s *writeStream) send(ctx context.Context, stream grpc.ClientStream, sent func(), answered <-chan struct{}) {
	defer sent()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ready:
		}
		// Whoever is about to write may do so first: fewer, larger messages.
		runtime.Gosched()
		for message := s.next(); message != nil; message = s.next() {
			if err := stream.SendMsg(message); err != nil {
				return
			}
			sent()
			select {
			case <-ctx.Done():
				return
			case <-answered:
			}
		}
	}
}

// next makes a message of what waits, nil when nothing does.
func (s *writeStream) next() *writesMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := min(len(s.waiting), maxStreamWrites)
	if count == 0 {
		return nil
	}
	message := &writesMessage{parts: make(mem.BufferSlice, 0, 2*count)}
	heads := make([]byte, 0, maxHead*count)
	now := time.Now()
	taken, bytes := 0, 0
	for _, w := range s.waiting[:count] {
		if taken > 0 && bytes+len(w.encoded) > maxStreamBytes {
			break
		}
		taken++
		bytes += len(w.encoded)
		s.sequence++
		w.sequence = s.sequence
		s.sent[w.sequence] = w
		begin := len(heads)
		heads = w.appendHead(heads, now)
		message.parts = append(message.parts, mem.SliceBuffer(heads[begin:len(heads):len(heads)]), mem.SliceBuffer(w.encoded))
	}
	rest := copy(s.waiting, s.waiting[taken:])
	clear(s.waiting[rest:])
	s.waiting = s.waiting[:rest]
	return message
}

// maxHead is the largest size of what appendHead appends.
const maxHead = 40

// appendHead appends what comes before the encoded request: the tag and length
// of the whole write, its number, and how long its caller waits.
func (w *streamed) appendHead(b []byte, now time.Time) []byte {
	timeout := uint64(0)
	if !w.deadline.IsZero() {
		timeout = uint64(max(w.deadline.Sub(now).Milliseconds(), 1))
	}
	size := 1 + protowire.SizeVarint(w.sequence) + 1 + protowire.SizeVarint(timeout) + len(w.encoded)
	b = protowire.AppendTag(b, fieldRequestsWrites, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, fieldNumberedSequence, protowire.VarintType)
	b = protowire.AppendVarint(b, w.sequence)
	b = protowire.AppendTag(b, fieldNumberedTimeout, protowire.VarintType)
	return protowire.AppendVarint(b, timeout)
}

func (s *writeStream) receive(stream grpc.BidiStreamingClient[argosyv1.WriteRequests, argosyv1.WriteResponses], answered func()) error {
	header := &argosyv1.ResponseHeader{}
	var done []*streamed
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		answered()
		if h := message.GetHeader(); h != nil {
			header = h
		}
		done = done[:0]
		s.mu.Lock()
		for _, result := range message.GetResults() {
			done = append(done, s.sent[result.GetSequence()])
			delete(s.sent, result.GetSequence())
		}
		s.mu.Unlock()
		for i, w := range done {
			// One that was given up is not there any more.
			if w != nil {
				w.answer(header, message.GetResults()[i])
			}
		}
		clear(done)
	}
}

func (w *streamed) answer(header *argosyv1.ResponseHeader, result *argosyv1.NumberedResult) {
	if result.GetError() != nil {
		w.err = &argosyv1.Error{Detail: result.GetError(), Message: result.GetMessage()}
	} else {
		w.response = &argosyv1.WriteResponse{
			Header: &argosyv1.ResponseHeader{
				ClusterId: header.GetClusterId(), ServerId: header.GetServerId(),
				LeaderId: header.GetLeaderId(), LeaderAddress: header.GetLeaderAddress(),
				Term: header.GetTerm(), Revision: result.GetRevision(), Incarnation: header.GetIncarnation(),
			},
			Result:   result.GetResult(),
			Replayed: result.GetReplayed(),
		}
	}
	close(w.done)
}

// end answers everything that the stream has.
func (s *writeStream) end(err error) {
	s.cancel()
	err = streamError(err)
	s.mu.Lock()
	s.err = err
	waiting, sent := s.waiting, s.sent
	s.waiting, s.sent = nil, nil
	s.mu.Unlock()
	for _, w := range waiting {
		w.err = err
		close(w.done)
	}
	for _, w := range sent {
		w.err = err
		if err != errNoStreams {
			w.err = sentError{err}
		}
		close(w.done)
	}
}

// writesMessage is an encoded WriteRequests in parts, so that the requests need
// not be copied into one piece.
type writesMessage struct{ parts mem.BufferSlice }

// writesCodec sends a writesMessage as it is, and everything else as the codec
// of Protocol Buffers does.
type writesCodec struct{ encoding.CodecV2 }

func (c writesCodec) Marshal(v any) (mem.BufferSlice, error) {
	if message, ok := v.(*writesMessage); ok {
		return message.parts, nil
	}
	return c.CodecV2.Marshal(v)
}
