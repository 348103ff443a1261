package logs

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest/fake"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const patience = 20 * time.Second

// sink is the server that takes pushes.
type sink struct {
	argosyv1.UnimplementedAgentServiceServer
	mu     sync.Mutex
	lines  map[string][]*argosyv1.LogLine
	opened map[string]int
	ended  int
	hold   chan struct{}
}

func (s *sink) PushLogs(stream grpc.ClientStreamingServer[argosyv1.PushLogsRequest, argosyv1.PushLogsResponse]) error {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended++
	}()
	first := true
	for {
		m, err := stream.Recv()
		if err != nil {
			return stream.SendAndClose(&argosyv1.PushLogsResponse{})
		}
		s.mu.Lock()
		if first {
			s.opened[m.GetStreamId()]++
			first = false
		}
		s.lines[m.GetStreamId()] = append(s.lines[m.GetStreamId()], m.GetLines()...)
		hold := s.hold
		s.mu.Unlock()
		if hold != nil {
			select {
			case <-hold:
			case <-stream.Context().Done():
			}
		}
	}
}

func (s *sink) got(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, line := range s.lines[id] {
		text := string(line.GetLine())
		if line.GetEnd() {
			text = "END " + text
		}
		all = append(all, text)
	}
	return all
}

func (s *sink) open(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened[id] > 0
}

func startSink(t *testing.T) (*sink, argosyv1.AgentServiceClient) {
	t.Helper()
	s := &sink{lines: make(map[string][]*argosyv1.LogLine), opened: make(map[string]int)}
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	argosyv1.RegisterAgentServiceServer(server, s)
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///sink", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
	})
	return s, argosyv1.NewAgentServiceClient(conn)
}

// source has all instances in one runtime.
type source struct{ rt *fake.Runtime }

func (s source) Locate(name *argosyv1.InstanceName) (runtime.LogReader, bool) {
	_, found := s.rt.Get(name)
	return s.rt, found
}

func mustPrint(t *testing.T, rt *fake.Runtime, name string, lines ...string) *argosyv1.InstanceName {
	t.Helper()
	n := &argosyv1.InstanceName{Workload: name, Agent: "node1", Id: "id"}
	rt.Put(runtime.Instance{Name: n, Status: runtime.StatusRunning})
	for _, line := range lines {
		rt.Print(n, line)
	}
	return n
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("not seen: %s", what)
		case <-tick.C:
		}
	}
}

func TestAllLinesArriveInOrderAndTheEndIsSaid(t *testing.T) {
	s, client := startSink(t)
	rt := fake.New("pods")
	var want []string
	for i := range 2000 {
		want = append(want, fmt.Sprint("line ", i))
	}
	name := mustPrint(t, rt, "web", want...)
	p := New(source{rt}, nil)
	p.Start(t.Context(), client, &argosyv1.StartLogs{StreamId: "1", Instance: name, Options: &argosyv1.LogsRequest{}})
	p.Start(t.Context(), client, &argosyv1.StartLogs{StreamId: "2", Instance: name, Options: &argosyv1.LogsRequest{HasTail: true, Tail: 2}})
	p.Wait()
	if got := s.got("1"); !slices.Equal(got, append(want, "END ")) {
		t.Errorf("%d lines arrived, the last is %q", len(got), got[len(got)-1])
	}
	if got := s.got("2"); !slices.Equal(got, []string{"line 1998", "line 1999", "END "}) {
		t.Errorf("tail: %q", got)
	}
}

func TestFollowingGoesOnUntilTheInstanceEnds(t *testing.T) {
	s, client := startSink(t)
	rt := fake.New("pods")
	name := mustPrint(t, rt, "web")
	p := New(source{rt}, nil)
	p.Start(t.Context(), client, &argosyv1.StartLogs{StreamId: "1", Instance: name, Options: &argosyv1.LogsRequest{Follow: true}})
	eventually(t, "the push is known before there is a line", func() bool { return s.open("1") })
	rt.Print(name, "hello")
	eventually(t, "the line", func() bool { return slices.Equal(s.got("1"), []string{"hello"}) })
	rt.Exit(name, 0)
	p.Wait()
	if got := s.got("1"); !slices.Equal(got, []string{"hello", "END "}) {
		t.Errorf("lines: %q", got)
	}
}

func TestAnInstanceThatDoesNotExistIsSaidInTheEnd(t *testing.T) {
	s, client := startSink(t)
	p := New(source{fake.New("pods")}, nil)
	p.Start(t.Context(), client, &argosyv1.StartLogs{StreamId: "1", Instance: &argosyv1.InstanceName{Workload: "web"}})
	p.Wait()
	if got := s.got("1"); len(got) != 1 || !strings.Contains(got[0], "END there is no log") {
		t.Errorf("lines: %q", got)
	}
}

func TestStopAndTheEndOfTheSessionEndPushes(t *testing.T) {
	s, client := startSink(t)
	rt := fake.New("pods")
	name := mustPrint(t, rt, "web")
	p := New(source{rt}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	follow := &argosyv1.LogsRequest{Follow: true}
	for _, id := range []string{"1", "2"} {
		p.Start(ctx, client, &argosyv1.StartLogs{StreamId: id, Instance: name, Options: follow})
		p.Start(ctx, client, &argosyv1.StartLogs{StreamId: id, Instance: name, Options: follow}) // Told twice.
		eventually(t, "push", func() bool { return s.open(id) })
	}
	p.Stop("1")
	p.Stop("unknown")
	ended := func(n int) func() bool {
		return func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.ended == n
		}
	}
	eventually(t, "one push ended", ended(1))
	cancel()
	p.Wait()
	eventually(t, "both ended", ended(2))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened["1"] != 1 || s.opened["2"] != 1 {
		t.Errorf("opened: %v", s.opened)
	}
}

func TestASlowServerHoldsTheReaderBack(t *testing.T) {
	s, client := startSink(t)
	s.hold = make(chan struct{})
	endless := &endless{line: make([]byte, 4<<10)}
	p := New(endless, nil)
	p.Start(t.Context(), client, &argosyv1.StartLogs{StreamId: "1", Instance: &argosyv1.InstanceName{Workload: "web"}})
	// It comes to rest: no line is taken between two looks that are far apart
	// in lines of any working push.
	last := -1
	eventually(t, "the reader is held back", func() bool {
		n := endless.count()
		still := n == last && n > queueLines
		last = n
		return still
	})
	if n := endless.count(); n > 20_000 {
		t.Errorf("%d lines were read for nobody", n)
	}
	p.Stop("1")
	p.Wait()
}

// endless is an instance that never stops printing.
type endless struct {
	line []byte
	mu   sync.Mutex
	n    int
}

func (e *endless) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n
}

func (e *endless) Locate(*argosyv1.InstanceName) (runtime.LogReader, bool) { return e, true }

func (e *endless) Logs(_ context.Context, _ *argosyv1.InstanceName, _ runtime.LogOptions, emit func(runtime.LogLine) error) error {
	for {
		if err := emit(runtime.LogLine{Line: e.line}); err != nil {
			return err
		}
		e.mu.Lock()
		e.n++
		e.mu.Unlock()
	}
}

// fixed is an instance with these lines.
type fixed struct {
	lines  []runtime.LogLine
	err    error
	places bool
	asked  chan runtime.LogOptions
}

func (f *fixed) Locate(*argosyv1.InstanceName) (runtime.LogReader, bool) { return f, true }

func (f *fixed) Logs(_ context.Context, _ *argosyv1.InstanceName, options runtime.LogOptions, emit func(runtime.LogLine) error) error {
	if f.asked != nil {
		f.asked <- options
	}
	for i, line := range f.lines {
		if f.places {
			line.Position = uint64(i + 10)
		}
		if err := emit(line); err != nil {
			return err
		}
	}
	return f.err
}

func TestLinesThatAreTooLongAreSaidToBe(t *testing.T) {
	s, client := startSink(t)
	long := strings.Repeat("x", runtime.MaxLine)
	p := New(&fixed{lines: []runtime.LogLine{{Line: []byte(long)}, {Line: []byte(long), Truncated: true}}, err: runtime.ErrLineTooLong}, nil)
	p.Start(t.Context(), client, &argosyv1.StartLogs{StreamId: "1", Instance: &argosyv1.InstanceName{Workload: "web"}})
	p.Wait()
	want := []string{
		long, long + " [truncated]",
		"The previous message was truncated due to exceeding the maximum 2 MB size.",
		"END The previous log message exceeded the maximum 50 MB size. Closing the log campaign.",
	}
	if got := s.got("1"); !slices.Equal(got, want) {
		for _, line := range got {
			t.Errorf("%d bytes, %q", len(line), line[max(0, len(line)-90):])
		}
	}
}

func TestAReadingGoesOnWhereThereArePlaces(t *testing.T) {
	s, client := startSink(t)
	instance := &argosyv1.InstanceName{Workload: "web", Agent: "a", Id: "1"}
	request := &argosyv1.LogsRequest{After: []*argosyv1.LogPlace{
		{Instance: &argosyv1.InstanceName{Workload: "web", Agent: "b", Id: "1"}, Position: 3},
		{Instance: instance, Position: 9, UnixNanos: 7},
	}}
	reader := &fixed{lines: []runtime.LogLine{{Line: []byte("one")}, {Line: []byte("two")}}, places: true, asked: make(chan runtime.LogOptions, 1)}
	p := New(reader, nil)
	p.Start(t.Context(), client, &argosyv1.StartLogs{StreamId: "1", Instance: instance, Options: request})
	p.Wait()
	if asked := <-reader.asked; asked.After.Position != 9 || asked.After.Time.UnixNano() != 7 {
		t.Errorf("asked for %+v", asked)
	}
	if got := s.got("1"); !slices.Equal(got, []string{"one", "two", "END "}) || s.lines["1"][1].GetPosition() != 11 {
		t.Errorf("lines: %q", s.lines["1"])
	}
	// A runtime without places would show from the beginning what was read already.
	p = New(&fixed{lines: reader.lines}, nil)
	p.Start(t.Context(), client, &argosyv1.StartLogs{StreamId: "2", Instance: instance, Options: request})
	p.Wait()
	if got := s.got("2"); len(got) != 1 || !strings.HasPrefix(got[0], "END its runtime cannot go on") {
		t.Errorf("lines: %q", got)
	}
}
