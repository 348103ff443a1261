package client_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a server whose answers a test decides.
type scripted struct {
	argosyv1.UnimplementedClusterServiceServer
	apply  func(ctx context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error)
	watch  func(req *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error
	logs   func(req *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error
	state  func(stream grpc.ServerStreamingServer[argosyv1.GetStateResponse]) error
	status func(ctx context.Context) error
	// write is what becomes of streams of writes; nil is a server that knows none.
	write error
	calls atomic.Int32
	mu    sync.Mutex
	ids   []string
}

func (s *scripted) Apply(ctx context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
	s.calls.Add(1)
	s.mu.Lock()
	s.ids = append(s.ids, string(req.GetRequestId()))
	s.mu.Unlock()
	return s.apply(ctx, req)
}

func (s *scripted) Write(stream grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses]) error {
	if s.write != nil {
		return s.write
	}
	return s.UnimplementedClusterServiceServer.Write(stream)
}

func (s *scripted) GetState(_ *argosyv1.GetStateRequest, stream grpc.ServerStreamingServer[argosyv1.GetStateResponse]) error {
	return s.state(stream)
}

func (s *scripted) Status(ctx context.Context, _ *argosyv1.StatusRequest) (*argosyv1.StatusResponse, error) {
	return &argosyv1.StatusResponse{}, s.status(ctx)
}

// requests returns the ids of the writes that came in.
func (s *scripted) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids)
}

func (s *scripted) Watch(req *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
	return s.watch(req, stream)
}

func (s *scripted) Logs(req *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
	return s.logs(req, stream)
}

func mustServe(t *testing.T, s *scripted) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	argosyv1.RegisterClusterServiceServer(server, s)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return listener.Addr().String()
}

// mustRefuse returns an address on which nothing listens.
func mustRefuse(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func mustClient(t *testing.T, config client.Config) *client.Client {
	t.Helper()
	c, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func answer(revision uint64) func(context.Context, *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
	return func(context.Context, *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
		return &argosyv1.WriteResponse{Header: &argosyv1.ResponseHeader{Revision: revision}}, nil
	}
}

func fail(code argosyv1.ErrorCode) func(context.Context, *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
	return func(context.Context, *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
		return nil, argosyv1.Errorf(code, "scripted failure")
	}
}

func TestAWriteMovesOnToAServerThatAnswers(t *testing.T) {
	silent := func(ctx context.Context, _ *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	tests := []struct {
		name  string
		first func(context.Context, *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error)
	}{
		{"nothing listens", nil},
		{"no leader known", fail(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER)},
		{"stopping", fail(argosyv1.ErrorCode_ERROR_CODE_STOPPING)},
		{"fate unknown", fail(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN)},
		{"overloaded", fail(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED)},
		{"silent", silent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bad, good := &scripted{apply: test.first}, &scripted{apply: answer(7)}
			first := mustRefuse(t)
			if test.first != nil {
				first = mustServe(t, bad)
			}
			second := mustServe(t, good)
			c := mustClient(t, client.Config{Endpoints: []string{first, second}, HedgeAfter: 20 * time.Millisecond})
			response, err := c.Apply(t.Context(), &argosyv1.ApplyRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if response.GetHeader().GetRevision() != 7 {
				t.Fatalf("answered %v", response)
			}
			if before, after := bad.requests(), good.requests(); len(before) > 0 && (before[0] != after[0] || len(before[0]) != 16) {
				t.Errorf("the repeat bears another request id: %x, then %x", before, after)
			}
			if got := c.Endpoints()[0]; got != second {
				t.Errorf("prefers %s after %s answered", got, second)
			}
		})
	}
}

func TestASlowServerThatAnswersOthersIsNotAskedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var slow scripted
		slow.apply = func(ctx context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
			if len(req.GetWorkloads()) == 0 {
				return answer(1)(ctx, req)
			}
			<-release
			return answer(2)(ctx, req)
		}
		other := &scripted{apply: answer(3)}
		c := mustClientInBubble(t, client.Config{HedgeAfter: 300 * time.Millisecond}, &slow, other)
		result := make(chan uint64)
		go func() {
			response, _ := c.Apply(t.Context(), &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{Name: "a"}}})
			result <- response.GetHeader().GetRevision()
		}()
		// While the slow call is under way, the server goes on answering others for
		// longer than the client's patience.
		for begin := time.Now(); time.Since(begin) < 450*time.Millisecond; time.Sleep(10 * time.Millisecond) {
			if _, err := c.Apply(t.Context(), &argosyv1.ApplyRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		close(release)
		if got := <-result; got != 2 {
			t.Fatalf("answered by revision %d, want the slow server's 2", got)
		}
		if other.calls.Load() != 0 {
			t.Fatalf("the other server was asked %d times", other.calls.Load())
		}
	})
}

func TestALargeStateIsNotReadTwiceWhileItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, other := &scripted{}, &scripted{}
		slow.state = func(stream grpc.ServerStreamingServer[argosyv1.GetStateResponse]) error {
			for range 10 {
				select {
				case <-time.After(time.Second):
				case <-stream.Context().Done():
				}
				if err := stream.Send(&argosyv1.GetStateResponse{Workloads: []*argosyv1.Workload{{Name: "w"}}}); err != nil {
					return err
				}
			}
			return nil
		}
		other.state = func(grpc.ServerStreamingServer[argosyv1.GetStateResponse]) error {
			t.Error("the other server was asked")
			return nil
		}
		c := mustClientInBubble(t, client.Config{}, slow, other)
		state, err := c.GetState(t.Context(), &argosyv1.GetStateRequest{})
		if err != nil || len(state.GetWorkloads()) != 10 {
			t.Errorf("read %d workloads, %v", len(state.GetWorkloads()), err)
		}
	})
}

func TestAFinalErrorIsNotRepeated(t *testing.T) {
	for _, code := range []argosyv1.ErrorCode{
		argosyv1.ErrorCode_ERROR_CODE_INVALID, argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND,
		argosyv1.ErrorCode_ERROR_CODE_CONFLICT, argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN,
	} {
		t.Run(code.String(), func(t *testing.T) {
			one, two := &scripted{apply: fail(code)}, &scripted{apply: answer(1)}
			// However slow the first one is: nobody shall be asked for its silence.
			c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, one), mustServe(t, two)}, HedgeAfter: time.Minute})
			_, err := c.Apply(t.Context(), &argosyv1.ApplyRequest{})
			if argosyv1.CodeOf(err) != code {
				t.Fatalf("error %v", err)
			}
			if one.calls.Load() != 1 || two.calls.Load() != 0 {
				t.Fatalf("asked %d and %d times, want 1 and 0", one.calls.Load(), two.calls.Load())
			}
		})
	}
}

func TestTheErrorTellsWhetherAWriteMayHaveHappened(t *testing.T) {
	silent := func(ctx context.Context, _ *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	tests := []struct {
		name string
		// end is what each server answers; without it nobody listens.
		end  func(context.Context, *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error)
		want argosyv1.ErrorCode
	}{
		{"refused everywhere", nil, argosyv1.ErrorCode_ERROR_CODE_NO_LEADER},
		{"no leader", fail(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER), argosyv1.ErrorCode_ERROR_CODE_NO_LEADER},
		{"fate unknown", fail(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN), argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		{"no answer", silent, argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				servers := make([]any, 2)
				for i := range servers {
					if test.end != nil {
						servers[i] = &scripted{apply: test.end}
					}
				}
				c := mustClientInBubble(t, client.Config{Timeout: 150 * time.Millisecond}, servers...)
				_, err := c.Apply(t.Context(), &argosyv1.ApplyRequest{})
				if argosyv1.CodeOf(err) != test.want {
					t.Fatalf("error %v, want code %v", err, test.want)
				}
			})
		})
	}
}

// What its caller gives up is not undone.
func TestAWriteThatIsGivenUpMayHaveHappened(t *testing.T) {
	for _, tc := range []struct {
		name string
		// sent tells that it had come to a server.
		sent bool
		want argosyv1.ErrorCode
	}{
		{"it was sent", true, argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		{"nobody listened", false, argosyv1.ErrorCode_ERROR_CODE_UNSPECIFIED},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var server any
				if tc.sent {
					server = &scripted{apply: func(ctx context.Context, _ *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
						<-ctx.Done()
						return nil, ctx.Err()
					}}
				}
				c := mustClientInBubble(t, client.Config{}, server)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				_, err := c.Apply(ctx, named("w"))
				if argosyv1.CodeOf(err) != tc.want || !errors.Is(err, context.Canceled) {
					t.Errorf("error %v, want code %v", err, tc.want)
				}
			})
		})
	}
}

func TestAServerThatIsAskedAloneIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustClientInBubble(t, client.Config{Timeout: time.Minute}, &scripted{status: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := c.StatusOf(ctx, c.Endpoints()[0])
			done <- err
		}()
		time.Sleep(2 * time.Minute)
		cancel()
		if err := <-done; status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("error %v", err)
		}
	})
}

func TestACallThatIsCancelledForAReasonTellsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustClientInBubble(t, client.Config{}, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		time.AfterFunc(time.Second, func() { cancel(enough) })
		if _, err := c.Status(ctx); !errors.Is(err, enough) {
			t.Errorf("error %v", err)
		}
	})
}

// Of one write that two servers were asked for one may be refused, and the other
// carried out later, when what stood against it has gone.
func TestARefusalIsNotTheEndOfAWriteThatAnotherServerWasAskedFor(t *testing.T) {
	conflict := argosyv1.ErrorCode_ERROR_CODE_CONFLICT
	type apply = func(context.Context, *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error)
	// Each case has its own: handlers of the one before may not have ended yet.
	type asking struct {
		asked chan struct{}
		tell  func()
	}
	// after answers when the other server has been asked, too.
	after := func(answer apply) func(asking) apply {
		return func(a asking) apply {
			return func(ctx context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
				select {
				case <-a.asked:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				return answer(ctx, req)
			}
		}
	}
	// told may be asked twice: for the silence of the first, and for its end.
	told := func(answer apply) func(asking) apply {
		return func(a asking) apply {
			return func(ctx context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
				a.tell()
				return answer(ctx, req)
			}
		}
	}
	always := func(answer apply) func(asking) apply { return func(asking) apply { return answer } }
	silent := func(ctx context.Context, _ *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	broken := func(context.Context, *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
		return nil, status.Error(codes.Unavailable, "gone")
	}
	// recorded is refused for good when it says that it is not the only copy.
	recorded := func(_ context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
		err := argosyv1.Errorf(conflict, "scripted failure")
		err.Detail.Recorded = req.GetRepeat()
		return nil, err
	}
	late := func(ctx context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
		return answer(7)(ctx, req)
	}
	for _, tc := range []struct {
		name          string
		first, second func(asking) apply
		want          argosyv1.ErrorCode
	}{
		{"it is carried out", after(fail(conflict)), told(late), 0},
		{"it is refused, too", after(fail(conflict)), told(fail(conflict)), conflict},
		{"it does not say", after(fail(conflict)), told(silent), argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		{"the first does not say", always(silent), told(fail(conflict)), argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		{"the first is gone", always(broken), told(fail(conflict)), argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		{"it does not say, but the refusal is recorded", after(recorded), told(silent), conflict},
		{"the first is gone, but the refusal is recorded", always(broken), told(recorded), conflict},
		{"it says that there is no leader", after(fail(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER)), told(silent), argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		{"the first has failed", always(fail(argosyv1.ErrorCode_ERROR_CODE_INTERNAL)), told(fail(conflict)), argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		{"the first has failed, and the other is too old", always(fail(argosyv1.ErrorCode_ERROR_CODE_INTERNAL)), told(fail(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE)), argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN},
		{"it is wrong in itself", always(broken), told(fail(argosyv1.ErrorCode_ERROR_CODE_INVALID)), argosyv1.ErrorCode_ERROR_CODE_INVALID},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := asking{asked: make(chan struct{})}
				a.tell = sync.OnceFunc(func() { close(a.asked) })
				c := mustClientInBubble(t, client.Config{HedgeAfter: 20 * time.Millisecond, Timeout: 2 * time.Second},
					&scripted{apply: tc.first(a)}, &scripted{apply: tc.second(a)})
				response, err := c.Apply(t.Context(), &argosyv1.ApplyRequest{})
				if argosyv1.CodeOf(err) != tc.want || tc.want == 0 && response.GetHeader().GetRevision() != 7 {
					t.Errorf("answered %v, %v; want %v", response, err, tc.want)
				}
			})
		})
	}
}

func TestTheReasonThatAServerGaveOutlivesTheClientsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Like a server without a leader: it waits for one nearly as long as its
		// client does, and then says why there is none.
		waiting := &scripted{apply: func(ctx context.Context, _ *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
			deadline, _ := ctx.Deadline()
			select {
			case <-time.After(time.Until(deadline) * 9 / 10):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "the others are gone")
		}}
		c := mustClientInBubble(t, client.Config{Timeout: 2 * time.Second}, nil, waiting, nil)
		_, err := c.Apply(t.Context(), &argosyv1.ApplyRequest{})
		if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER || !strings.Contains(err.Error(), "the others are gone") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestReasonsAreForPeople(t *testing.T) {
	for text, want := range map[string]string{
		`connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"`: "dial tcp 127.0.0.1:1: connect: connection refused",
		`connection error: desc = "transport: authentication handshake failed: tls: bad"`:                              "authentication handshake failed: tls: bad",
		`connection error: desc = "error reading server preface: EOF"`:                                                 "it takes connections and says nothing: it is frozen, expects TLS, or is not a server of ours",
		"write: no leader": "write: no leader",
	} {
		if got := client.Reason(status.Error(codes.Unavailable, text)); got != want {
			t.Errorf("reason of %s is %q, want %q", text, got, want)
		}
	}
}

func TestAWatchOfDesiredStateResumesElsewhereWithoutAGap(t *testing.T) {
	send := func(stream grpc.ServerStreamingServer[argosyv1.WatchResponse], revision uint64, begin, end bool) {
		_ = stream.Send(&argosyv1.WatchResponse{Header: &argosyv1.ResponseHeader{Revision: revision}, SnapshotBegin: begin, SnapshotEnd: end})
	}
	first := &scripted{watch: func(_ *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
		send(stream, 5, true, true)
		send(stream, 6, false, false)
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER, "cut off")
	}}
	var resumed atomic.Uint64
	second := &scripted{watch: func(req *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
		resumed.Store(req.GetAfterRevision())
		send(stream, 7, false, false)
		<-stream.Context().Done()
		return nil
	}}
	c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, first), mustServe(t, second)}})
	var seen []uint64
	err := c.Watch(t.Context(), &argosyv1.WatchRequest{OmitObserved: true}, func(message *argosyv1.WatchResponse) error {
		seen = append(seen, message.GetHeader().GetRevision())
		if message.GetHeader().GetRevision() == 7 {
			return client.ErrStop
		}
		return nil
	})
	if err != nil || !slices.Equal(seen, []uint64{5, 6, 7}) || resumed.Load() != 6 {
		t.Fatalf("error %v, saw %v, resumed after %d", err, seen, resumed.Load())
	}
}

func TestAWatchOfObservedStateBeginsAgainElsewhereWithASnapshot(t *testing.T) {
	first := &scripted{watch: func(req *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
		_ = stream.Send(&argosyv1.WatchResponse{Header: &argosyv1.ResponseHeader{Revision: req.GetAfterRevision() + 1}})
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_STOPPING, "it stops")
	}}
	second := &scripted{watch: func(req *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
		// After a revision that was given it sends changes, without a snapshot.
		return stream.Send(&argosyv1.WatchResponse{Header: &argosyv1.ResponseHeader{Revision: 7}, SnapshotBegin: req.GetAfterRevision() == 0})
	}}
	c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, first), mustServe(t, second)}})
	err := c.Watch(t.Context(), &argosyv1.WatchRequest{AfterRevision: 5, Incarnation: "1-00000000"}, func(message *argosyv1.WatchResponse) error {
		if message.GetHeader().GetRevision() == 7 && !message.GetSnapshotBegin() {
			return errors.New("changes that were shown already are shown again, and nobody says so")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestASnapshotThatBreaksOffIsBegunAgain: the caller has forgotten what he had, and
// a server that can go on after the revision that was first asked for would not
// tell him of it.
func TestASnapshotThatBreaksOffIsBegunAgain(t *testing.T) {
	first := &scripted{watch: func(_ *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
		_ = stream.Send(&argosyv1.WatchResponse{Header: &argosyv1.ResponseHeader{Revision: 6}, SnapshotBegin: true})
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_STOPPING, "this server stops")
	}}
	asked := make(chan uint64, 1)
	second := &scripted{watch: func(req *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
		asked <- req.GetAfterRevision()
		_ = stream.Send(&argosyv1.WatchResponse{Header: &argosyv1.ResponseHeader{Revision: 7}, SnapshotBegin: true, SnapshotEnd: true})
		return nil
	}}
	c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, first), mustServe(t, second)}})
	request := &argosyv1.WatchRequest{AfterRevision: 3, OmitObserved: true}
	if err := c.Watch(t.Context(), request, func(*argosyv1.WatchResponse) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if after := <-asked; after != 0 {
		t.Errorf("it was resumed after revision %d", after)
	}
}

func TestLogsThatBreakOffSaySo(t *testing.T) {
	broken := &scripted{logs: func(_ *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
		_ = stream.Send(&argosyv1.LogsResponse{})
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "the leader was lost")
	}}
	c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, broken)}})
	err := c.Logs(t.Context(), &argosyv1.LogsRequest{}, func(*argosyv1.LogsResponse) error { return nil })
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
		t.Fatalf("error %v", err)
	}
}

func TestBadConfigurationsAreRefused(t *testing.T) {
	for _, config := range []client.Config{
		{}, {Endpoints: []string{""}}, {Endpoints: []string{":1"}}, {Endpoints: []string{"a"}, Timeout: -1},
		{Endpoints: []string{":::"}}, {Endpoints: []string{"a:"}}, {Endpoints: []string{"a b"}}, {Endpoints: []string{"http://a"}},
	} {
		if c, err := client.New(config); err == nil {
			t.Errorf("%+v was accepted: %v", config, c.Endpoints())
		}
	}
	good := []string{"a", "a:1", "::1", "[::1]", "[::1]:1", "192.0.2.1"}
	want := []string{"a:25551", "a:1", "[::1]:25551", "[::1]:25551", "[::1]:1", "192.0.2.1:25551"}
	if c := mustClient(t, client.Config{Endpoints: good}); !slices.Equal(c.Endpoints(), want) {
		t.Errorf("endpoints are %q, want %q", c.Endpoints(), want)
	}
	if _, err := client.New(client.Config{}); !errors.Is(err, client.ErrNoEndpoints) {
		t.Errorf("error %v", err)
	}
}
