package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// streaming is a server that takes streams of writes too; a test decides what
// becomes of them. The first write of a client is alone, and a call of its own:
// it does not return before the test ends, so that all others are streamed.
type streaming struct {
	argosyv1.UnimplementedClusterServiceServer
	hold    chan struct{}
	entered chan struct{}
	write   func(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error
	opened  atomic.Int32
	unary   atomic.Int32
}

func newStreaming(write func(grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error) *streaming {
	return &streaming{hold: make(chan struct{}), entered: make(chan struct{}, 1), write: write}
}

func (s *streaming) Apply(ctx context.Context, _ *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
	s.unary.Add(1)
	select {
	case s.entered <- struct{}{}:
	default:
	}
	select {
	case <-s.hold:
	case <-ctx.Done():
	}
	return &argosyv1.WriteResponse{}, nil
}

func (s *streaming) Write(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error {
	s.opened.Add(1)
	return s.write(stream)
}

func mustStream(t *testing.T, write func(grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error) (*streaming, string) {
	t.Helper()
	s, server := newStreaming(write), grpc.NewServer()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	argosyv1.RegisterClusterServiceServer(server, s)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return s, listener.Addr().String()
}

// occupy makes the client's next writes go by stream.
func occupy(t *testing.T, c *client.Client, s *streaming) {
	t.Helper()
	var group sync.WaitGroup
	group.Go(func() { _, _ = c.Apply(t.Context(), &argosyv1.ApplyRequest{}) })
	<-s.entered
	t.Cleanup(func() { close(s.hold); group.Wait() })
}

// echo answers each write with a revision that is told by its request id, and
// notes what came.
type echo struct {
	mu       sync.Mutex
	messages int
	ids      [][]byte
}

func (e *echo) serve(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error {
	if err := stream.Send(&argosyv1.WriteResponses{Header: &argosyv1.ResponseHeader{ServerId: "me", Term: 4, Incarnation: "1-0000abcd"}}); err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		e.note(message)
		answers := &argosyv1.WriteResponses{}
		for _, w := range message.GetWrites() {
			answers.Results = append(answers.Results, result(w))
		}
		if err := stream.Send(answers); err != nil {
			return err
		}
	}
}

func (e *echo) note(message *argosyv1.WriteRequests) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.messages++
	for _, w := range message.GetWrites() {
		id := w.GetApply().GetRequestId()
		if w.GetDelete() != nil {
			id = w.GetDelete().GetRequestId()
		}
		e.ids = append(e.ids, id)
	}
}

func result(w *argosyv1.NumberedWrite) *argosyv1.NumberedResult {
	name := ""
	if w.GetApply() != nil {
		name = w.GetApply().GetWorkloads()[0].GetName()
	} else {
		name = w.GetDelete().GetNames()[0]
	}
	r := &argosyv1.NumberedResult{Sequence: w.GetSequence(), Revision: 9, Result: &argosyv1.WriteResult{Changes: []*argosyv1.WorkloadChange{{Name: name}}}}
	if w.GetTimeoutMs() == 0 {
		r.Message = "no time-out came along"
	}
	return r
}

func named(name string) *argosyv1.ApplyRequest {
	return &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{Name: name}}}
}

func TestWritesAtOnceShareAStream(t *testing.T) {
	var e echo
	s, address := mustStream(t, e.serve)
	c := mustClient(t, client.Config{Endpoints: []string{address}})
	occupy(t, c, s)
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			for j := range 20 {
				name := fmt.Sprintf("w-%d-%d", i, j)
				var response *argosyv1.WriteResponse
				var err error
				if j%2 == 0 {
					response, err = c.Apply(t.Context(), named(name))
				} else {
					response, err = c.Delete(t.Context(), &argosyv1.DeleteRequest{Names: []string{name}})
				}
				h := response.GetHeader()
				if err != nil || response.GetResult().GetChanges()[0].GetName() != name || h.GetRevision() != 9 || h.GetServerId() != "me" || h.GetTerm() != 4 || h.GetIncarnation() != "1-0000abcd" {
					t.Errorf("%s was answered %v, %v", name, response, err)
				}
			}
		})
	}
	group.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.opened.Load() != 1 || s.unary.Load() != 1 {
		t.Errorf("%d streams and %d calls, want 1 and the one that is alone", s.opened.Load(), s.unary.Load())
	}
	if len(e.ids) != 64*20 || e.messages >= len(e.ids) {
		t.Errorf("%d writes came in %d messages", len(e.ids), e.messages)
	}
}

func TestAServerThatTakesNoStreamsGetsCalls(t *testing.T) {
	for name, why := range map[string]error{
		"it knows none":   nil,
		"it has too many": argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED, "too many streams are open"),
	} {
		t.Run(name, func(t *testing.T) {
			// Its answers take long enough for all to be under way at once.
			release := make(chan struct{})
			var inside atomic.Int32
			s := &scripted{write: why}
			s.apply = func(ctx context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
				if inside.Add(1) == 16 {
					close(release)
				}
				<-release
				return answer(3)(ctx, req)
			}
			c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, s)}})
			var group sync.WaitGroup
			for range 16 {
				group.Go(func() {
					if response, err := c.Apply(t.Context(), named("w")); err != nil || response.GetHeader().GetRevision() != 3 {
						t.Errorf("answered %v, %v", response, err)
					}
				})
			}
			group.Wait()
			if s.calls.Load() != 16 {
				t.Errorf("%d calls for 16 writes", s.calls.Load())
			}
		})
	}
}

func TestARefusalOnAStreamIsThatOfItsWriteAlone(t *testing.T) {
	s, address := mustStream(t, func(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error {
		for {
			message, err := stream.Recv()
			if err != nil {
				return err
			}
			for _, w := range message.GetWrites() {
				r := result(w)
				if w.GetApply().GetExpectedRevision() != 0 {
					r = &argosyv1.NumberedResult{Sequence: w.GetSequence(), Message: "changed meanwhile",
						Error: &argosyv1.ErrorDetail{Code: argosyv1.ErrorCode_ERROR_CODE_CONFLICT, CurrentRevision: 44}}
				}
				if err := stream.Send(&argosyv1.WriteResponses{Results: []*argosyv1.NumberedResult{r}}); err != nil {
					return err
				}
			}
		}
	})
	c := mustClient(t, client.Config{Endpoints: []string{address}})
	occupy(t, c, s)
	refused := named("a")
	refused.ExpectedRevision = 1
	_, err := c.Apply(t.Context(), refused)
	if e, ok := argosyv1.AsError(err); !ok || e.Code() != argosyv1.ErrorCode_ERROR_CODE_CONFLICT || e.Detail.GetCurrentRevision() != 44 || e.Message != "changed meanwhile" {
		t.Errorf("refused with %v", err)
	}
	if _, err := c.Apply(t.Context(), named("b")); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// swallow takes one message and then does what a test says.
func swallow(taken func(*argosyv1.WriteRequests), then func(ctx context.Context) error) func(grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error {
	return func(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		taken(message)
		return then(stream.Context())
	}
}

func TestAWriteOnAStreamMovesOnUnderItsOwnID(t *testing.T) {
	for name, then := range map[string]func(context.Context) error{
		"the server stops": func(context.Context) error {
			return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_STOPPING, "stopping")
		},
		"the stream breaks":    func(context.Context) error { return errors.New("broken") },
		"the server is silent": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var first echo
				bad, good := newStreaming(swallow(first.note, then)), &scripted{apply: answer(7)}
				c := mustClientInBubble(t, client.Config{HedgeAfter: 30 * time.Millisecond}, bad, good)
				occupy(t, c, bad)
				response, err := c.Apply(t.Context(), named("w"))
				if err != nil || response.GetHeader().GetRevision() != 7 {
					t.Fatalf("answered %v, %v", response, err)
				}
				first.mu.Lock()
				defer first.mu.Unlock()
				// The write that occupies the client may come there as well, before or after.
				if after := good.requests(); len(first.ids) != 1 || !slices.Contains(after, string(first.ids[0])) || len(first.ids[0]) != 16 {
					t.Errorf("the first server got %x, the second %x", first.ids, after)
				}
			})
		})
	}
}

func TestABrokenStreamLeavesTheFateOfWhatWasSentUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e echo
		s := newStreaming(swallow(e.note, func(context.Context) error { return errors.New("broken") }))
		c := mustClientInBubble(t, client.Config{}, s)
		occupy(t, c, s)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := c.Apply(ctx, named("w")); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN {
			t.Errorf("error is %v", err)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, id := range e.ids {
			if !bytes.Equal(id, e.ids[0]) {
				t.Errorf("repeated under another id: %x", e.ids)
			}
		}
	})
}

// Answers that come together may be larger than what is taken in one message. That
// says nothing of the writes.
func TestAnswersThatAreTooLargeTogetherAreAskedForAgain(t *testing.T) {
	var tries atomic.Int32
	s, address := mustStream(t, func(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error {
		for {
			message, err := stream.Recv()
			if err != nil {
				return err
			}
			answers := &argosyv1.WriteResponses{Results: []*argosyv1.NumberedResult{result(message.GetWrites()[0])}}
			if tries.Add(1) == 1 {
				answers.Results = append(answers.Results, &argosyv1.NumberedResult{Message: strings.Repeat("x", client.MaxMessage)})
			}
			if err := stream.Send(answers); err != nil {
				return err
			}
		}
	})
	c := mustClient(t, client.Config{Endpoints: []string{address}})
	occupy(t, c, s)
	if _, err := c.Apply(t.Context(), named("w")); err != nil || tries.Load() != 2 {
		t.Errorf("%v after %d tries", err, tries.Load())
	}
}

func TestAWriteThatIsStreamedAgainSaysSo(t *testing.T) {
	var broken atomic.Bool
	s, address := mustStream(t, func(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error {
		for {
			message, err := stream.Recv()
			if err != nil {
				return err
			}
			for _, w := range message.GetWrites() {
				if w.GetApply().GetRepeat() || w.GetDelete().GetRepeat() {
					if len(w.GetApply().GetWorkloads())+len(w.GetDelete().GetNames()) != 1 {
						t.Errorf("the repeat is another request: %v", w)
					}
					if err := stream.Send(&argosyv1.WriteResponses{Results: []*argosyv1.NumberedResult{{Sequence: w.GetSequence(), Message: "in the log",
						Error: &argosyv1.ErrorDetail{Code: argosyv1.ErrorCode_ERROR_CODE_CONFLICT, Recorded: true}}}}); err != nil {
						return err
					}
					continue
				}
				if broken.CompareAndSwap(false, true) {
					return errors.New("broken")
				}
				t.Errorf("the second try does not say that it is one: %v", w)
			}
		}
	})
	c := mustClient(t, client.Config{Endpoints: []string{address}})
	occupy(t, c, s)
	for name, write := range map[string]func() error{
		"apply": func() error { _, err := c.Apply(t.Context(), named("w")); return err },
		"delete": func() error {
			_, err := c.Delete(t.Context(), &argosyv1.DeleteRequest{Names: []string{"w"}})
			return err
		},
	} {
		broken.Store(false)
		if err := write(); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACallerThatGivesUpLeavesTheStreamToOthers(t *testing.T) {
	var e echo
	got := make(chan struct{})
	s, address := mustStream(t, func(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		// It is never answered.
		_ = message
		close(got)
		return e.serve(stream)
	})
	c := mustClient(t, client.Config{Endpoints: []string{address}})
	occupy(t, c, s)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := c.Apply(ctx, named("a"))
		gone <- err
	}()
	<-got
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if _, err := c.Apply(t.Context(), named("b")); err != nil {
		t.Error(err)
	}
	if s.opened.Load() != 1 {
		t.Errorf("%d streams", s.opened.Load())
	}
}

// A stream that no server serves yet may be opened anew by gRPC, in which two that
// use it would be in each other's way.
func TestAStreamIsSharedWhenTheServerHasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := make(chan struct{})
		var came atomic.Int32
		s := newStreaming(func(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error {
			messages := make(chan *argosyv1.WriteRequests, 2)
			go func() {
				defer close(messages)
				for message, err := stream.Recv(); err == nil; message, err = stream.Recv() {
					came.Add(1)
					messages <- message
				}
			}()
			<-served
			for message := range messages {
				if err := stream.Send(&argosyv1.WriteResponses{Results: []*argosyv1.NumberedResult{result(message.GetWrites()[0])}}); err != nil {
					return err
				}
			}
			return nil
		})
		c := mustClientInBubble(t, client.Config{}, s)
		occupy(t, c, s)
		var group sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			group.Go(func() {
				if _, err := c.Apply(t.Context(), &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{Name: name}}}); err != nil {
					t.Errorf("write %s: %v", name, err)
				}
			})
			synctest.Wait()
		}
		if n := came.Load(); n != 1 {
			t.Errorf("%d messages were sent to who has not answered, want 1", n)
		}
		close(served)
		group.Wait()
		if n := came.Load(); n != 2 {
			t.Errorf("%d messages were sent in all, want 2", n)
		}
	})
}
