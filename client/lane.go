package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// unaryAgain is for how long a server that takes no stream of writes is not asked
// for one: it may be upgraded meanwhile, or have fewer open.
const unaryAgain = time.Minute

// lane is the way of writes to one endpoint. A write that is alone there is a
// call of its own, which has the least to do for one. Those that come while
// others are under way share a stream, on which whatever waits is one message:
// that costs both sides a fraction of so many calls.
type lane struct {
	stub argosyv1.ClusterServiceClient

	mu     sync.Mutex
	inside int
	stream *writeStream
	// unaryUntil is set when the server takes no stream of writes.
	unaryUntil time.Time
	closed     bool
	streams    sync.WaitGroup
}

// change is a write on its way to a server, the same for each try.
type change struct {
	// encoded is the part of NumberedWrite that holds the request.
	encoded []byte
	unary   unaryWrite
}

// repeated is the encoded change of a try that has a forerunner of which nobody
// knows what became. The request is the last thing in it, and says so at its end.
func (c *change) repeated() []byte {
	number, _, head := protowire.ConsumeTag(c.encoded)
	request, _ := protowire.ConsumeBytes(c.encoded[head:])
	size := len(request) + protowire.SizeTag(fieldRequestRepeat) + protowire.SizeVarint(1)
	b := make([]byte, 0, head+protowire.SizeBytes(size))
	b = protowire.AppendTag(b, number, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = append(b, request...)
	b = protowire.AppendTag(b, fieldRequestRepeat, protowire.VarintType)
	return protowire.AppendVarint(b, 1)
}

// unaryWrite makes a write a call of its own.
type unaryWrite func(ctx context.Context, stub argosyv1.ClusterServiceClient, repeat bool, options ...grpc.CallOption) (*argosyv1.WriteResponse, error)

// encodeChange encodes a request as a field of NumberedWrite. That is done once,
// by the caller: nothing looks at his message when he has got his answer, or has
// given up.
func encodeChange(field protowire.Number, request proto.Message, size int) ([]byte, error) {
	b := make([]byte, 0, size+1+protowire.SizeVarint(uint64(size)))
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, request)
}

// Field numbers of api.proto.
const (
	fieldRequestsWrites   = 1
	fieldNumberedSequence = 1
	fieldNumberedTimeout  = 2
	fieldNumberedApply    = 3
	fieldNumberedDelete   = 4
	// That of ApplyRequest and of DeleteRequest.
	fieldRequestRepeat = 6
)

// write carries out a change, through the stub when it is a call of its own.
func (l *lane) write(ctx context.Context, stub argosyv1.ClusterServiceClient, c *change, repeat bool, options ...grpc.CallOption) (*argosyv1.WriteResponse, error) {
	stream := l.enter(len(c.encoded))
	defer l.leave()
	if stream != nil {
		encoded := c.encoded
		if repeat {
			encoded = c.repeated()
		}
		response, err := stream.write(ctx, encoded)
		if !errors.Is(err, errNoStreams) {
			return response, err
		}
	}
	return c.unary(ctx, stub, repeat, options...)
}

// enter counts a write in, and returns the stream that it shall use, nil for
// none.
func (l *lane) enter(size int) *writeStream {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside++
	// A large one would hold up those behind it.
	if l.inside == 1 || size > largeRequest || l.closed {
		return nil
	}
	if l.stream != nil {
		err := l.stream.ended()
		if err == nil {
			return l.stream
		}
		if errors.Is(err, errNoStreams) {
			l.unaryUntil = time.Now().Add(unaryAgain)
		}
		l.stream = nil
	}
	if time.Now().Before(l.unaryUntil) {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := newWriteStream(cancel)
	l.stream = s
	l.streams.Go(func() { s.run(ctx, l.stub) })
	return s
}

func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside--
}

func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	if l.stream != nil {
		l.stream.cancel()
	}
	l.mu.Unlock()
	l.streams.Wait()
}

// errNoStreams is how the stream of a server ends that does not know them, or has
// as many open as it wants. Nothing that was sent was done.
var errNoStreams = errors.New("the server takes no streams of writes")

// sentError is how a stream ended under a write that was sent: it may have been
// carried out.
type sentError struct{ error }

func (e sentError) Unwrap() error { return e.error }

func wasSent(err error) bool {
	var sent sentError
	return errors.As(err, &sent)
}

func streamError(err error) error {
	// A stream that was begun never ends as overloaded; its writes are answered so.
	if status.Code(err) == codes.Unimplemented || argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_OVERLOADED {
		return errNoStreams
	}
	if _, spoken := argosyv1.AsError(err); !spoken && status.Code(err) == codes.ResourceExhausted {
		// Answers that came together were too large for one message. Of a call that
		// would be the end; here it says nothing of the writes, which may be repeated.
		return status.Errorf(codes.Unavailable, "the stream of writes broke: %s", Reason(err))
	}
	return err
}
