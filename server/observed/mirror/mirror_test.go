package mirror

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustStore(t interface{ Fatal(...any) }, change ...func(*observed.Config)) *observed.Store {
	cfg := observed.DefaultConfig()
	for _, c := range change {
		c(&cfg)
	}
	s, err := observed.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func handshake(server, cluster string) *argosyv1.PeerHandshake {
	return &argosyv1.PeerHandshake{ServerId: server, ClusterId: cluster, Protocol: argosyv1.SupportedProtocol()}
}

// peerServer serves the mirror of one store.
type peerServer struct {
	argosyv1.UnimplementedPeerServiceServer
	store *observed.Store
	self  *argosyv1.PeerHandshake
}

func (p *peerServer) Mirror(r *argosyv1.MirrorRequest, stream grpc.ServerStreamingServer[argosyv1.MirrorResponse]) error {
	return Serve(p.store, p.self, r, stream)
}

// serve puts a store behind a real gRPC server and returns a client of it.
func serve(t *testing.T, store *observed.Store, cluster string) argosyv1.PeerServiceClient {
	t.Helper()
	listener := bufconn.Listen(64 << 10)
	server := grpc.NewServer()
	argosyv1.RegisterPeerServiceServer(server, &peerServer{store: store, self: handshake("leader", cluster)})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///leader", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		<-served
	})
	return argosyv1.NewPeerServiceClient(conn)
}

// follow runs Follow until the test ends or stop is called, which returns what
// Follow returned.
func follow(t *testing.T, f Follower) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	returned := make(chan error, 1)
	go func() { returned <- Follow(ctx, f) }()
	stop = func() error { cancel(); err := <-returned; returned <- err; return err }
	t.Cleanup(func() { stop() })
	return stop
}

func caughtUp(t *testing.T, follower, leader *observed.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := follower.WaitPosition(ctx, leader.Position()); err != nil {
		t.Fatal(err)
	}
}

func content(s *observed.Store) []string {
	var all []string
	snapshot, _ := s.Subscribe()
	for _, state := range snapshot.States {
		text, _ := proto.MarshalOptions{Deterministic: true}.Marshal(state)
		all = append(all, string(text))
	}
	for _, agent := range snapshot.Agents {
		text, _ := proto.MarshalOptions{Deterministic: true}.Marshal(agent)
		all = append(all, "agent "+string(text))
	}
	slices.Sort(all)
	return all
}

func same(t *testing.T, follower, leader *observed.Store) {
	t.Helper()
	if !slices.Equal(content(follower), content(leader)) {
		t.Errorf("follower at %s and leader at %s differ", follower.Position(), leader.Position())
	}
}

func state(workload, agent string, e *argosyv1.ExecutionState) *argosyv1.WorkloadState {
	return &argosyv1.WorkloadState{Instance: &argosyv1.InstanceName{Workload: workload, Id: "1", Agent: agent}, Execution: e}
}

func running(text string) *argosyv1.ExecutionState {
	return &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK, AdditionalInfo: text}
}

func mustLead(t *testing.T, s *observed.Store, term uint64, agents ...string) *observed.Lead {
	t.Helper()
	l, err := s.Lead(term)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range agents {
		if err := l.SetAgent(&argosyv1.AgentStatus{Name: a, Connected: true}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func mustReport(t *testing.T, l *observed.Lead, agent string, states ...*argosyv1.WorkloadState) {
	t.Helper()
	if _, err := l.Report(agent, false, states); err != nil {
		t.Fatal(err)
	}
}

func TestAFollowerShowsWhatTheLeaderHasAndEveryChange(t *testing.T) {
	leader, follower := mustStore(t), mustStore(t)
	l := mustLead(t, leader, 1, "a", "b")
	// More than fits into one message.
	text := string(make([]byte, 4000))
	var states []*argosyv1.WorkloadState
	for i := range 1000 {
		states = append(states, state(fmt.Sprintf("w%d", i), "a", running(text)))
	}
	mustReport(t, l, "a", states...)
	follow(t, Follower{Store: follower, Leader: serve(t, leader, "c"), Term: 1, Self: handshake("f", "c")})
	caughtUp(t, follower, leader)
	same(t, follower, leader)

	_, sub := follower.Subscribe()
	mustReport(t, l, "b", state("new", "b", running("first")))
	mustReport(t, l, "b", state("new", "b", running("second")))
	if err := l.Disconnect("b", observed.Lost{}); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, follower, leader)
	same(t, follower, leader)
	var texts []string
	for len(texts) < 3 {
		batches, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			for _, s := range b.States {
				if s.GetInstance().GetWorkload() == "new" {
					texts = append(texts, s.GetExecution().GetAdditionalInfo())
				}
			}
		}
	}
	if !slices.Equal(texts, []string{"first", "second", "Last known: Running(Ok)"}) {
		t.Errorf("a watch on the follower showed %q", texts)
	}
}

func TestAFollowerThatIsOvertakenGetsAFullCopyAgain(t *testing.T) {
	leader, follower := mustStore(t, func(c *observed.Config) { c.RingBatches = 4 }), mustStore(t)
	l := mustLead(t, leader, 1, "a")
	follow(t, Follower{Store: follower, Leader: serve(t, leader, "c"), Term: 1, Self: handshake("f", "c")})
	text := string(make([]byte, 4000))
	for i := range 3000 {
		mustReport(t, l, "a", state(fmt.Sprintf("w%d", i%50), "a", running(fmt.Sprint(i)+text)))
	}
	caughtUp(t, follower, leader)
	same(t, follower, leader)
}

func TestAFollowerGoesFromOneLeaderToTheNextAndMayLeadItself(t *testing.T) {
	first, second, third := mustStore(t), mustStore(t), mustStore(t)
	l := mustLead(t, first, 1, "a")
	mustReport(t, l, "a", state("w", "a", running("")))
	client := serve(t, first, "c")
	stopSecond := follow(t, Follower{Store: second, Leader: client, Term: 1, Self: handshake("2", "c")})
	stopThird := follow(t, Follower{Store: third, Leader: client, Term: 1, Self: handshake("3", "c")})
	caughtUp(t, second, first)
	caughtUp(t, third, first)

	// The second server leads now; the first does not know it yet.
	l2 := mustLead(t, second, 2)
	mustReport(t, l, "a", state("from-the-past", "a", running("")))
	mustReport(t, l2, "a", state("new", "a", running("")))
	if err := stopSecond(); !errors.Is(err, observed.ErrFenced) && !errors.Is(err, context.Canceled) {
		t.Errorf("following while leading: %v", err)
	}
	stopThird()
	follow(t, Follower{Store: third, Leader: serve(t, second, "c"), Term: 2, Self: handshake("3", "c")})
	caughtUp(t, third, second)
	same(t, third, second)
	if states := second.Reported("from-the-past"); len(states) > 0 {
		t.Error("the old leader's change reached the new leader")
	}
	if err := Follow(t.Context(), Follower{Store: third, Leader: client, Term: 1, Self: handshake("3", "c")}); !errors.Is(err, observed.ErrStaleTerm) {
		t.Errorf("following the old leader: %v, want ErrStaleTerm", err)
	}
	if err := Follow(t.Context(), Follower{Store: second, Leader: client, Term: 2, Self: handshake("2", "c")}); !errors.Is(err, observed.ErrFenced) {
		t.Errorf("following while leading: %v, want ErrFenced", err)
	}
}

func TestAFollowerWaitsForAServerToLead(t *testing.T) {
	leader, follower := mustStore(t), mustStore(t)
	client := serve(t, leader, "c")
	stream, err := client.Mirror(t.Context(), &argosyv1.MirrorRequest{Handshake: handshake("f", "c")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER {
		t.Fatalf("got %v, want NOT_LEADER", err)
	}
	follow(t, Follower{Store: follower, Leader: client, Term: 1, Self: handshake("f", "c")})
	l := mustLead(t, leader, 1, "a")
	mustReport(t, l, "a", state("w", "a", running("")))
	caughtUp(t, follower, leader)
	same(t, follower, leader)

	stream, err = client.Mirror(t.Context(), &argosyv1.MirrorRequest{Handshake: handshake("f", "c")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	l.Resign()
	for err == nil {
		_, err = stream.Recv()
	}
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER {
		t.Errorf("the stream of a leader that resigned ended with %v, want NOT_LEADER", err)
	}
}

func TestServersThatMustNotTalkDoNot(t *testing.T) {
	leader, follower := mustStore(t), mustStore(t)
	mustLead(t, leader, 1)
	client := serve(t, leader, "one")
	other := handshake("f", "one")
	other.Protocol = &argosyv1.VersionRange{Min: 90, Max: 91}
	for what, self := range map[string]*argosyv1.PeerHandshake{
		"another cluster":  handshake("f", "two"),
		"another protocol": other,
	} {
		err := Follow(t.Context(), Follower{Store: follower, Leader: client, Term: 1, Self: self})
		if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE {
			t.Errorf("%s: got %v, want INCOMPATIBLE", what, err)
		}
	}
}

// Whatever happens on the leader, and however its changes are grouped into
// messages: a copy that has reached a position shows what the leader had there.
func TestAnyHistoryIsMirrored(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		leader, follower := mustStore(rt), mustStore(rt)
		l, err := leader.Lead(1)
		if err != nil {
			rt.Fatal(err)
		}
		copied, err := follower.Copy(1)
		if err != nil {
			rt.Fatal(err)
		}
		agents := rapid.SampledFrom([]string{"a", "b"})
		workloads := rapid.SampledFrom([]string{"x", "y", "z"})
		states := rapid.Custom(func(rt *rapid.T) *argosyv1.ExecutionState {
			return &argosyv1.ExecutionState{
				State:    rapid.SampledFrom([]argosyv1.State{argosyv1.State_STATE_RUNNING, argosyv1.State_STATE_FAILED, argosyv1.State_STATE_REMOVED}).Draw(rt, "state"),
				Restarts: rapid.Uint32Max(2).Draw(rt, "restarts"),
			}
		})
		act := func() {
			agent := agents.Draw(rt, "agent")
			switch rapid.IntRange(0, 9).Draw(rt, "act") {
			case 0:
				err = l.Disconnect(agent, observed.Lost{})
			case 1:
				err = l.RemoveAgent(agent)
			case 2:
				err = l.SetAgent(&argosyv1.AgentStatus{Name: agent, Connected: true})
			default:
				if _, known := leader.Agent(agent); !known {
					return
				}
				var report []*argosyv1.WorkloadState
				for range rapid.IntRange(0, 3).Draw(rt, "states") {
					report = append(report, state(workloads.Draw(rt, "workload"), agent, states.Draw(rt, "execution")))
				}
				_, err = l.Report(agent, rapid.Bool().Draw(rt, "full"), report)
			}
			if err != nil {
				rt.Fatal(err)
			}
		}
		send := func(messages []*argosyv1.MirrorResponse) {
			for _, m := range messages {
				raw, err := proto.Marshal(m)
				if err != nil {
					rt.Fatal(err)
				}
				received := &argosyv1.MirrorResponse{}
				if err := proto.Unmarshal(raw, received); err != nil {
					rt.Fatal(err)
				}
				if err := copied.ApplyMirror(received); err != nil {
					rt.Fatal(err)
				}
			}
		}
		for range rapid.IntRange(0, 20).Draw(rt, "before") {
			act()
		}
		snapshot, sub := leader.Subscribe()
		send(fullCopy(snapshot))
		sequence := snapshot.Position.Sequence
		for range rapid.IntRange(0, 5).Draw(rt, "rounds") {
			for range rapid.IntRange(0, 20).Draw(rt, "acts") {
				act()
			}
			if leader.Position().Sequence > sequence {
				batches, err := sub.Next(context.Background())
				if err != nil {
					rt.Fatal(err)
				}
				send(changes(sequence, batches))
				sequence = batches[len(batches)-1].Position.Sequence
			}
			if follower.Position() != leader.Position() {
				rt.Fatalf("follower is at %s, leader at %s", follower.Position(), leader.Position())
			}
			if got, want := content(follower), content(leader); !slices.Equal(got, want) {
				rt.Fatalf("they differ:\nfollower %q\n  leader %q", got, want)
			}
			if follower.Connected() != leader.Connected() {
				rt.Fatalf("connected: follower %d, leader %d", follower.Connected(), leader.Connected())
			}
		}
	})
}

func TestMessagesAreBoundedAndOnlyTheLastCompletesAChange(t *testing.T) {
	text := string(make([]byte, 4000))
	var states []*argosyv1.WorkloadState
	for i := range 600 {
		states = append(states, state(fmt.Sprintf("w%d", i), "a", running(text)))
	}
	batches := []observed.Batch{
		{Position: observed.Position{Term: 1, Sequence: 5}, States: states},
		{Position: observed.Position{Term: 1, Sequence: 6}, States: states[:1]},
	}
	messages := changes(4, batches)
	if len(messages) < 2 {
		t.Fatalf("%d messages", len(messages))
	}
	seen := 0
	for at, m := range messages {
		if size := proto.Size(m); size > maxMessage+1024 {
			t.Errorf("message %d has %d bytes", at, size)
		}
		want := uint64(4)
		if at == len(messages)-1 {
			want = 6
		}
		if m.GetSequence() != want || m.GetFull() || m.GetPartial() {
			t.Errorf("message %d: sequence %d, want %d", at, m.GetSequence(), want)
		}
		seen += len(m.GetStates())
	}
	if seen != 600 {
		t.Errorf("%d states, want 600: of many changes only the newest of each instance", seen)
	}
}

// The leader may be lost between any two messages, and who takes its place must
// not know that an agent is lost without knowing what it may have.
func TestWhatALostAgentMayHaveIsToldBeforeItsLoss(t *testing.T) {
	var states []*argosyv1.WorkloadState
	for n := range 300 {
		states = append(states, &argosyv1.WorkloadState{
			Instance:  &argosyv1.InstanceName{Workload: fmt.Sprint("w", n), Agent: "lost", Id: "1"},
			Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_AGENT_DISCONNECTED, AdditionalInfo: fmt.Sprintf("%04096d", n)},
		})
	}
	messages := changes(1, []observed.Batch{{
		Position: observed.Position{Term: 1, Sequence: 2},
		States:   states,
		Agents:   []*argosyv1.AgentStatus{{Name: "lost"}, {Name: "back", Connected: true}},
	}})
	if len(messages) < 2 {
		t.Fatal("all of it fits into one message; the test tests nothing")
	}
	first, last := messages[0], messages[len(messages)-1]
	if len(first.GetAgents()) != 1 || first.GetAgents()[0].GetName() != "back" {
		t.Errorf("the first message tells of agents %v, want that one is back", first.GetAgents())
	}
	if len(last.GetAgents()) != 1 || last.GetAgents()[0].GetName() != "lost" {
		t.Errorf("the last message tells of agents %v, want that one is lost", last.GetAgents())
	}
}
