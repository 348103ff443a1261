package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a relay behind a real gRPC server, with agents that do as the test
// says and a user.
type rig struct {
	t     *testing.T
	store *observed.Store
	lead  *observed.Lead
	relay *Relay
	user  argosyv1.ClusterServiceClient
	agent argosyv1.AgentServiceClient
	names func() ([]string, bool)

	mu    sync.Mutex
	links map[string]*link
	err   error // of reaching any agent
}

// link is the session of an agent.
type link struct {
	agent  string
	starts chan *argosyv1.StartLogs
	stops  chan string
	ctx    context.Context
	lose   context.CancelCauseFunc
}

func (l *link) Send(m *argosyv1.ServerMessage) error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	if start := m.GetStartLogs(); start != nil {
		l.starts <- start
	}
	if stop := m.GetStopLogs(); stop != nil {
		l.stops <- stop.GetStreamId()
	}
	return nil
}
func (l *link) Done() <-chan struct{} { return l.ctx.Done() }
func (l *link) Err() error            { return context.Cause(l.ctx) }

func (r *rig) Reach(agent string) (Link, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	l, ok := r.links[agent]
	if !ok {
		return nil, fmt.Errorf("agent %q is not connected", agent)
	}
	return l, nil
}

type agentService struct {
	argosyv1.UnimplementedAgentServiceServer
	rig *rig
}

func (s agentService) PushLogs(stream grpc.ClientStreamingServer[argosyv1.PushLogsRequest, argosyv1.PushLogsResponse]) error {
	return s.rig.relay.PushLogs(stream)
}

type clusterService struct {
	argosyv1.UnimplementedClusterServiceServer
	rig *rig
}

func (s clusterService) Logs(req *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
	return s.rig.relay.Logs(req, stream)
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, links: map[string]*link{}, names: func() ([]string, bool) { return nil, false }}
	var err error
	if r.store, err = observed.New(observed.DefaultConfig()); err != nil {
		t.Fatal(err)
	}
	if r.lead, err = r.store.Lead(1); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	for _, c := range change {
		c(&cfg)
	}
	r.relay, err = New(Deps{Agents: r, Store: r.store, PeerNames: func(context.Context) ([]string, bool) { return r.names() }}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	listener := bufconn.Listen(64 << 10)
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	argosyv1.RegisterAgentServiceServer(server, agentService{rig: r})
	argosyv1.RegisterClusterServiceServer(server, clusterService{rig: r})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); server.Stop(); <-served; r.empty() })
	r.user, r.agent = argosyv1.NewClusterServiceClient(conn), argosyv1.NewAgentServiceClient(conn)
	return r
}

// empty checks that the relay has forgotten all calls.
func (r *rig) empty() {
	r.relay.mu.Lock()
	defer r.relay.mu.Unlock()
	if n := len(r.relay.pushes); n > 0 {
		r.t.Errorf("the relay still knows %d pushes", n)
	}
}

// connect makes an agent with these workloads.
func (r *rig) connect(agent string, workloads ...string) *link {
	r.t.Helper()
	if err := r.lead.SetAgent(&argosyv1.AgentStatus{Name: agent, Connected: true}); err != nil {
		r.t.Fatal(err)
	}
	var states []*argosyv1.WorkloadState
	for _, w := range workloads {
		states = append(states, &argosyv1.WorkloadState{
			Instance:  &argosyv1.InstanceName{Workload: w, Agent: agent, Id: "1"},
			Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING},
		})
	}
	if _, err := r.lead.Report(agent, true, states); err != nil {
		r.t.Fatal(err)
	}
	l := &link{agent: agent, starts: make(chan *argosyv1.StartLogs, 100), stops: make(chan string, 100)}
	l.ctx, l.lose = context.WithCancelCause(context.Background())
	r.mu.Lock()
	r.links[agent] = l
	r.mu.Unlock()
	return l
}

type userStream = grpc.ServerStreamingClient[argosyv1.LogsResponse]

// read begins to read logs.
func (r *rig) read(req *argosyv1.LogsRequest) (userStream, context.CancelFunc) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	r.t.Cleanup(cancel)
	stream, err := r.user.Logs(ctx, req)
	if err != nil {
		r.t.Fatal(err)
	}
	return stream, cancel
}

type pushStream = grpc.ClientStreamingClient[argosyv1.PushLogsRequest, argosyv1.PushLogsResponse]

// push opens the stream that an agent was asked for.
func (r *rig) push(id string) pushStream {
	r.t.Helper()
	stream, err := r.agent.PushLogs(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := stream.Send(&argosyv1.PushLogsRequest{StreamId: id}); err != nil {
		r.t.Fatal(err)
	}
	return stream
}

func line(text string) *argosyv1.LogLine { return &argosyv1.LogLine{Line: []byte(text)} }

func send(t *testing.T, stream pushStream, lines ...*argosyv1.LogLine) {
	t.Helper()
	if err := stream.Send(&argosyv1.PushLogsRequest{Lines: lines}); err != nil {
		t.Fatal(err)
	}
}

// all reads to the end; each line is "workload@agent text" or ends in " END" or " LOST".
func all(t *testing.T, stream userStream) (lines []string, err error) {
	t.Helper()
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		for _, l := range m.GetLines() {
			text := l.GetInstance().GetWorkload() + "@" + l.GetInstance().GetAgent() + " " + string(l.GetLine())
			switch {
			case l.GetInterrupted():
				text += " LOST"
			case l.GetEnd():
				text += " END"
			}
			lines = append(lines, text)
		}
	}
}

func wantLines(t *testing.T, stream userStream, want ...string) {
	t.Helper()
	got, err := all(t, stream)
	if err != nil {
		t.Errorf("the call failed: %v", err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLinesOfOneInstanceComeInOrderAndEnd(t *testing.T) {
	r := newRig(t)
	a := r.connect("a", "web", "other")
	req := &argosyv1.LogsRequest{Names: []string{"web", "web"}, Follow: true, Tail: 5, HasTail: true, SinceUnixNanos: 1, UntilUnixNanos: 2}
	stream, _ := r.read(req)
	start := <-a.starts
	if start.GetInstance().Key() != "web.1.a" {
		t.Errorf("asked for %s", start.GetInstance().Key())
	}
	if o := start.GetOptions(); !o.GetFollow() || o.GetTail() != 5 || !o.GetHasTail() || o.GetSinceUnixNanos() != 1 || o.GetUntilUnixNanos() != 2 || len(o.GetNames()) != 0 {
		t.Errorf("options: %v", o)
	}
	push := r.push(start.GetStreamId())
	send(t, push, line("one"), line("two"))
	send(t, push, line("three"), &argosyv1.LogLine{End: true, Line: []byte("exit")}, line("after the end"))
	wantLines(t, stream, "web@a one", "web@a two", "web@a three", "web@a exit END")
	if _, err := push.CloseAndRecv(); err != nil {
		t.Errorf("the push ended with %v", err)
	}
}

func TestAnAgentIsToldThePlaceOfItsInstanceAlone(t *testing.T) {
	r := newRig(t)
	a, b := r.connect("a", "web"), r.connect("b", "web")
	place := &argosyv1.LogPlace{Instance: &argosyv1.InstanceName{Workload: "web", Agent: "a", Id: "1"}, Position: 3, UnixNanos: 4}
	other := &argosyv1.LogPlace{Instance: &argosyv1.InstanceName{Workload: "db", Agent: "a", Id: "1"}, Position: 5}
	stream, _ := r.read(&argosyv1.LogsRequest{Names: []string{"web"}, After: []*argosyv1.LogPlace{other, place}})
	toA, toB := <-a.starts, <-b.starts
	if got := toA.GetOptions().GetAfter(); len(got) != 1 || got[0].GetPosition() != 3 || got[0].GetUnixNanos() != 4 {
		t.Errorf("a was told %v", got)
	}
	if got := toB.GetOptions().GetAfter(); len(got) != 0 {
		t.Errorf("b was told %v", got)
	}
	for _, start := range []*argosyv1.StartLogs{toA, toB} {
		send(t, r.push(start.GetStreamId()), &argosyv1.LogLine{End: true})
	}
	if _, err := all(t, stream); err != nil {
		t.Error(err)
	}

	r = newRig(t, func(c *Config) { c.MaxInstances = 1 })
	stream, _ = r.read(&argosyv1.LogsRequest{Names: []string{"web"}, After: []*argosyv1.LogPlace{other, place}})
	if _, err := all(t, stream); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("too many places: %v", err)
	}
}

func TestSeveralInstancesAreMergedAndEndEachByItself(t *testing.T) {
	r := newRig(t)
	a, b := r.connect("a", "web", "db"), r.connect("b", "web")
	stream, _ := r.read(&argosyv1.LogsRequest{Names: []string{"web", "db"}})
	pushes := map[string]pushStream{}
	for range 2 {
		start := <-a.starts
		pushes[start.GetInstance().Key()] = r.push(start.GetStreamId())
	}
	start := <-b.starts
	pushes[start.GetInstance().Key()] = r.push(start.GetStreamId())
	for key, push := range pushes {
		send(t, push, line("hello from "+key), &argosyv1.LogLine{End: true})
		if _, err := push.CloseAndRecv(); err != nil {
			t.Error(err)
		}
	}
	got, err := all(t, stream)
	if err != nil {
		t.Error(err)
	}
	slices.Sort(got)
	want := []string{
		"db@a  END", "db@a hello from db.1.a", "web@a  END", "web@a hello from web.1.a", "web@b  END", "web@b hello from web.1.b",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhyLogsCannotBeRead(t *testing.T) {
	cases := []struct {
		what    string
		names   []string
		code    argosyv1.ErrorCode
		mention string
	}{
		{"nothing is named", nil, argosyv1.ErrorCode_ERROR_CODE_INVALID, "name at least one"},
		{"a workload is not known", []string{"web", "nosuch"}, argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, `"nosuch"`},
		{"there are too many", []string{"web", "db", "x"}, argosyv1.ErrorCode_ERROR_CODE_INVALID, "more than 2"},
	}
	r := newRig(t, func(c *Config) { c.MaxInstances = 2 })
	a := r.connect("a", "web", "db", "x")
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			stream, _ := r.read(&argosyv1.LogsRequest{Names: c.names})
			_, err := all(t, stream)
			if argosyv1.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.mention) {
				t.Errorf("got %v, want %s with %q", err, c.code, c.mention)
			}
		})
	}
	if len(a.starts) > 0 {
		t.Error("an agent was asked all the same")
	}
	r.err = argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "another server leads")
	stream, _ := r.read(&argosyv1.LogsRequest{Names: []string{"web"}})
	if _, err := all(t, stream); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER {
		t.Errorf("got %v, want NOT_LEADER", err)
	}
}

func TestWhateverHappensToAnAgentItsLinesEnd(t *testing.T) {
	const patience = 50 * time.Millisecond
	cases := []struct {
		what string
		act  func(r *rig, a *link, next func() string)
		want []string
	}{
		{"it is lost before it answered", func(_ *rig, a *link, _ func() string) {
			<-a.starts
			a.lose(errors.New("no sign of life"))
		}, []string{"lost agent a: no sign of life LOST"}},
		{"it is lost in the middle", func(r *rig, a *link, next func() string) {
			push := r.push((<-a.starts).GetStreamId())
			send(r.t, push, line("one"))
			next()
			a.lose(errors.New("no sign of life"))
		}, []string{"one", "lost agent a: no sign of life LOST"}},
		{"it does not answer", func(r *rig, a *link, _ func() string) { <-a.starts },
			[]string{"agent a did not answer within 50ms END"}},
		{"it says why there are none", func(r *rig, a *link, _ func() string) {
			send(r.t, r.push((<-a.starts).GetStreamId()), &argosyv1.LogLine{End: true, Line: []byte("no such container")})
		}, []string{"no such container END"}},
		{"its stream breaks", func(r *rig, a *link, next func() string) {
			ctx, cancel := context.WithCancel(r.t.Context())
			push, err := r.agent.PushLogs(ctx)
			if err != nil {
				r.t.Fatal(err)
			}
			if err := push.Send(&argosyv1.PushLogsRequest{StreamId: (<-a.starts).GetStreamId(), Lines: []*argosyv1.LogLine{line("one")}}); err != nil {
				r.t.Fatal(err)
			}
			next()
			cancel()
		}, []string{"one", "lost the log stream of agent a: rpc error: code = Canceled desc = context canceled LOST"}},
		{"it ends its stream and does not say that the log ended", func(r *rig, a *link, _ func() string) {
			push := r.push((<-a.starts).GetStreamId())
			send(r.t, push, line("one"))
			if _, err := push.CloseAndRecv(); err != nil {
				r.t.Error(err)
			}
		}, []string{"one", "agent a pushes no more of it; the instance may go on LOST"}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			r := newRig(t, func(cfg *Config) {
				if c.what == "it does not answer" {
					cfg.AnswerTimeout = patience
				}
			})
			a := r.connect("a", "web")
			stream, _ := r.read(&argosyv1.LogsRequest{Names: []string{"web"}, Follow: true})
			var got []string
			c.act(r, a, func() string {
				m, err := stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, "web@a "+string(m.GetLines()[0].GetLine()))
				return got[0]
			})
			rest, err := all(t, stream)
			if err != nil {
				t.Error(err)
			}
			var want []string
			for _, l := range c.want {
				want = append(want, "web@a "+l)
			}
			if got = append(got, rest...); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestAnAgentWithoutASessionEndsItsPartOnly(t *testing.T) {
	r := newRig(t)
	a := r.connect("a", "web")
	r.connect("b", "web")
	r.mu.Lock()
	delete(r.links, "b")
	r.mu.Unlock()
	stream, _ := r.read(&argosyv1.LogsRequest{Names: []string{"web"}})
	push := r.push((<-a.starts).GetStreamId())
	send(t, push, line("one"), &argosyv1.LogLine{End: true})
	got, err := all(t, stream)
	if err != nil {
		t.Error(err)
	}
	slices.Sort(got)
	if want := []string{"web@a  END", "web@a one", `web@b lost agent b: agent "b" is not connected LOST`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestALeaderThatStopsToLeadFailsTheCall(t *testing.T) {
	r := newRig(t)
	a := r.connect("a", "web")
	stream, _ := r.read(&argosyv1.LogsRequest{Names: []string{"web"}, Follow: true})
	r.push((<-a.starts).GetStreamId())
	a.lose(argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "another server leads"))
	if _, err := all(t, stream); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER {
		t.Errorf("got %v, want NOT_LEADER", err)
	}
}

func TestAUserWhoGoesStopsTheAgent(t *testing.T) {
	r := newRig(t)
	a := r.connect("a", "web")
	for what, opened := range map[string]bool{"before the agent answered": false, "while lines come": true} {
		t.Run(what, func(t *testing.T) {
			stream, cancel := r.read(&argosyv1.LogsRequest{Names: []string{"web"}, Follow: true})
			start := <-a.starts
			var push pushStream
			if opened {
				push = r.push(start.GetStreamId())
				send(t, push, line("one"))
				if _, err := stream.Recv(); err != nil {
					t.Fatal(err)
				}
			}
			cancel()
			if stopped := <-a.stops; stopped != start.GetStreamId() {
				t.Errorf("stopped %q, want %q", stopped, start.GetStreamId())
			}
			if opened {
				if err := push.RecvMsg(&argosyv1.PushLogsResponse{}); err != nil {
					t.Errorf("the push ended with %v, want a response", err)
				}
				return
			}
			_, err := r.push(start.GetStreamId()).CloseAndRecv()
			if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
				t.Errorf("a push that nobody waits for: %v, want NOT_FOUND", err)
			}
		})
	}
}

func TestAUserWhoDoesNotReadHoldsUpTheAgentAndNobodyElse(t *testing.T) {
	r := newRig(t)
	a := r.connect("a", "chatty", "quiet")
	slow, cancel := r.read(&argosyv1.LogsRequest{Names: []string{"chatty"}, Follow: true})
	push := r.push((<-a.starts).GetStreamId())
	// The agent pushes until it is held up: far more than fits on the way.
	const total = 64
	sent := make(chan int, total)
	var pushing sync.WaitGroup
	pushing.Go(func() {
		text := string(bytes.Repeat([]byte("x"), 256<<10))
		for i := range total {
			if push.Send(&argosyv1.PushLogsRequest{Lines: []*argosyv1.LogLine{line(text)}}) != nil {
				return
			}
			sent <- i
		}
	})
	// Somebody else reads meanwhile.
	stream, _ := r.read(&argosyv1.LogsRequest{Names: []string{"quiet"}})
	other := r.push((<-a.starts).GetStreamId())
	send(t, other, line("hello"), &argosyv1.LogLine{End: true})
	wantLines(t, stream, "quiet@a hello", "quiet@a  END")
	if n := len(sent); n == total {
		t.Errorf("the agent could push all %d messages though nobody read", n)
	}
	for range total {
		if _, err := slow.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	pushing.Wait()
	cancel()
	<-a.stops
}

func TestLongLinesAndLargeBatchesAreCut(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxLine, c.MaxMessage = 1000, 3000 })
	a := r.connect("a", "web")
	stream, _ := r.read(&argosyv1.LogsRequest{Names: []string{"web"}})
	push := r.push((<-a.starts).GetStreamId())
	long := strings.Repeat("x", 1001)
	var lines []*argosyv1.LogLine
	for range 10 {
		lines = append(lines, line(long))
	}
	lines = append(lines, line(long[:1000]), &argosyv1.LogLine{End: true, Line: []byte(long)})
	send(t, push, lines...)
	messages, count := 0, 0
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		messages++
		size := 0
		for _, l := range m.GetLines() {
			want := long[:1000] + truncated
			if count == 10 {
				want = long[:1000]
			}
			if string(l.GetLine()) != want {
				t.Errorf("line %d has %d bytes and ends in %q", count, len(l.GetLine()), l.GetLine()[max(0, len(l.GetLine())-20):])
			}
			count++
			size += len(l.GetLine())
		}
		if size > 4500 {
			t.Errorf("a message has %d bytes", size)
		}
	}
	if count != 12 || messages < 5 {
		t.Errorf("%d lines in %d messages", count, messages)
	}
}

func TestAnAgentPushesOnlyWhatItWasAskedFor(t *testing.T) {
	r := newRig(t)
	a := r.connect("a", "web")
	stream, cancel := r.read(&argosyv1.LogsRequest{Names: []string{"web"}, Follow: true})
	id := (<-a.starts).GetStreamId()

	_, err := r.push("made-up").CloseAndRecv()
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
		t.Errorf("a made up id: %v, want NOT_FOUND", err)
	}
	r.names = func() ([]string, bool) { return []string{"b"}, true }
	_, err = r.push(id).CloseAndRecv()
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN {
		t.Errorf("another agent's certificate: %v, want FORBIDDEN", err)
	}
	r.names = func() ([]string, bool) { return []string{"a"}, true }
	push := r.push(id)
	send(t, push, &argosyv1.LogLine{Line: []byte("x"), Instance: &argosyv1.InstanceName{Workload: "bank", Agent: "b", Id: "9"}})
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got := m.GetLines()[0].GetInstance().Key(); got != "web.1.a" {
		t.Errorf("the line is of %s, want web.1.a", got)
	}
	_, err = r.push(id).CloseAndRecv()
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
		t.Errorf("a second stream: %v, want CONFLICT", err)
	}
	empty, err := r.agent.PushLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := empty.CloseAndRecv(); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("a stream without anything: %v, want INVALID", err)
	}
	cancel()
	<-a.stops
}

func TestTheConfigurationIsChecked(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{}).Validate(); err == nil {
		t.Error("an empty configuration was accepted")
	}
	if _, err := New(Deps{}, DefaultConfig()); err == nil {
		t.Error("a relay without anything to work with was made")
	}
}
