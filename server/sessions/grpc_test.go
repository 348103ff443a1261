package sessions

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"

	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/membership/identity/identitytest"
)

// network is a world behind a real gRPC server; time is real.
type network struct {
	*world
	dial func() (net.Conn, error)
}

type noLogs struct{}

func (noLogs) PushLogs(grpc.ClientStreamingServer[argosyv1.PushLogsRequest, argosyv1.PushLogsResponse]) error {
	return nil
}

func newNetwork(t testing.TB, cfg Config, options ...grpc.ServerOption) *network {
	t.Helper()
	n := &network{world: newWorld(t, cfg)}
	listener := bufconn.Listen(256 << 10)
	n.dial = listener.Dial
	server := grpc.NewServer(append(options, grpc.WaitForHandlers(true))...)
	Register(server, n.service, noLogs{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-served })
	return n
}

func (n *network) client(t testing.TB, options ...grpc.DialOption) argosyv1.AgentServiceClient {
	t.Helper()
	options = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return n.dial() }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16 << 20)),
	}, options...)
	conn, err := grpc.NewClient("passthrough:///server", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return argosyv1.NewAgentServiceClient(conn)
}

type clientStream = grpc.BidiStreamingClient[argosyv1.AgentMessage, argosyv1.ServerMessage]

func hello(t testing.TB, client argosyv1.AgentServiceClient, name, instanceID string) clientStream {
	t.Helper()
	stream, err := client.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	message := &argosyv1.AgentHello{Name: name, Protocol: argosyv1.SupportedProtocol(), InstanceId: instanceID}
	if err := stream.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Hello{Hello: message}}); err != nil {
		t.Fatal(err)
	}
	return stream
}

// next returns the next message with assignments.
func next(t testing.TB, stream clientStream) *argosyv1.Assignments {
	t.Helper()
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if a := m.GetAssignments(); a != nil {
			return a
		}
	}
}

// upserts receives assignments until the workload of a name has come, and
// returns how many came.
func upserts(t testing.TB, stream clientStream, last string) (count int) {
	t.Helper()
	for {
		for _, w := range next(t, stream).GetUpserts() {
			count++
			if w.GetName() == last {
				return count
			}
		}
	}
}

func mustWant(n *network, workloads ...string) {
	var mutations []*argosyv1.Mutation
	for _, text := range workloads {
		mutations = append(mutations, workload(text))
	}
	n.apply(mutations...)
}

func TestASessionOverAConnection(t *testing.T) {
	n := newNetwork(t, DefaultConfig())
	n.lead(1)
	client := n.client(t)
	stream := hello(t, client, "a", "1")
	if m, err := stream.Recv(); err != nil || m.GetWelcome() == nil {
		t.Fatalf("got %v, %v; want a welcome", m, err)
	}
	if !next(t, stream).GetFull() {
		t.Error("the first assignments are not a full set")
	}
	mustWant(n, "web@a")
	upserts(t, stream, "web")

	// The reason of a refusal arrives with its code.
	second := hello(t, n.client(t), "a", "2")
	_, err := second.Recv()
	code(t, err, argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "process 1", "process 2")

	// So does that of the end.
	n.stopLead()
	for err = nil; err == nil; {
		_, err = stream.Recv()
	}
	code(t, err, argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER)
	n.follow("s2:1", 2)
	stream = hello(t, client, "a", "1")
	if m, err := stream.Recv(); err != nil || m.GetRedirect().GetLeaderAddress() != "s2:1" {
		t.Errorf("got %v, %v; want a redirect", m, err)
	}
}

func TestAnAgentThatDoesNotReadIsCutOffByItself(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxQueuedMessages = 16
	n := newNetwork(t, cfg)
	n.lead(1)
	slow := hello(t, n.client(t), "slow", "1")
	next(t, slow)
	fast := hello(t, n.client(t), "fast", "1")
	next(t, fast)
	config := string(make([]byte, 64<<10)) // what gRPC takes without being read, at once
	for i := range 64 {
		mustWant(n, fmt.Sprintf("s%d@slow=%s", i, config))
		mustWant(n, fmt.Sprintf("f%d@fast", i))
		upserts(t, fast, fmt.Sprintf("f%d", i)) // so that each change is a message of its own
	}
	// It gets what was on its way, and then the reason.
	var err error
	for err == nil {
		_, err = slow.Recv()
	}
	code(t, err, argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER)
	again := hello(t, n.client(t), "slow", "1")
	if got := upserts(t, again, "s63"); got == 0 {
		t.Error("it was told nothing when it came back")
	}
}

func TestAnAgentSpeaksForTheNameInItsCertificate(t *testing.T) {
	ca := identitytest.NewCA(t)
	load := func(names ...string) *identity.Identity {
		t.Helper()
		id, err := identity.Load(ca.Issue(t, t.TempDir(), names...))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	n := newNetwork(t, DefaultConfig(), grpc.Creds(credentials.NewTLS(load(identity.ServerName).ServerTLS())))
	n.service.deps.PeerNames = identity.PeerNames
	n.lead(1)
	client := n.client(t, grpc.WithTransportCredentials(credentials.NewTLS(load("a", "a2").ClientTLS(""))))
	for _, name := range []string{"a", "a2"} {
		stream := hello(t, client, name, "1")
		if m, err := stream.Recv(); err != nil || m.GetWelcome() == nil {
			t.Errorf("agent %s: got %v, %v; want a welcome", name, m, err)
		}
	}
	_, err := hello(t, client, "b", "1").Recv()
	code(t, err, argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, `"b"`, `"a"`)
}

func TestAThousandAgentsComeAtOnce(t *testing.T) {
	const agents = 1000
	cfg := DefaultConfig()
	// A busy machine must not end them, or send them away.
	cfg.SessionTimeout, cfg.HelloTimeout, cfg.BeginWait = time.Minute, time.Minute, time.Minute
	n := newNetwork(t, cfg)
	var all []string
	for i := range agents {
		all = append(all, fmt.Sprintf("w%d@agent-%d", i, i))
	}
	mustWant(n, all...)
	n.lead(1)
	client := n.client(t)
	var sessions sync.WaitGroup
	for i := range agents {
		sessions.Go(func() {
			stream := hello(t, client, fmt.Sprintf("agent-%d", i), "1")
			if got := next(t, stream).GetUpserts(); len(got) != 1 || got[0].GetName() != fmt.Sprintf("w%d", i) {
				t.Errorf("agent %d was sent %v", i, got)
			}
			report := &argosyv1.StateReport{Full: true, States: []*argosyv1.WorkloadState{{
				Instance:  &argosyv1.InstanceName{Workload: fmt.Sprintf("w%d", i), Agent: fmt.Sprintf("agent-%d", i), Id: argosyv1.InstanceID("")},
				Execution: runningOK,
			}}}
			if err := stream.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_States{States: report}}); err != nil {
				t.Error(err)
			}
			if err := stream.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Heartbeat{Heartbeat: &argosyv1.Heartbeat{}}}); err != nil {
				t.Error(err)
			}
			for {
				m, err := stream.Recv()
				if err != nil {
					t.Error(err)
				}
				if err != nil || m.GetHeartbeatAck() != nil {
					return
				}
			}
		})
	}
	sessions.Wait()
	if n.store.Connected() != agents {
		t.Errorf("%d agents are connected, want %d", n.store.Connected(), agents)
	}
	snapshot, _ := n.store.Subscribe()
	if len(snapshot.States) != agents {
		t.Errorf("%d states, want %d", len(snapshot.States), agents)
	}
}

// BenchmarkDistribution is one apply of 10,000 workloads of 1 KB to the moment
// in which the last agent has the last of them.
func BenchmarkDistribution(b *testing.B) {
	const workloads, agents = 10000, 4
	config := string(make([]byte, 1024))
	for b.Loop() {
		b.StopTimer()
		n := newNetwork(b, DefaultConfig())
		n.lead(1)
		var streams []clientStream
		for i := range agents {
			stream := hello(b, n.client(b), fmt.Sprintf("agent-%d", i), "1")
			next(b, stream)
			streams = append(streams, stream)
		}
		var mutations []*argosyv1.Mutation
		for i := range workloads {
			mutations = append(mutations, workload(fmt.Sprintf("w%d@agent-%d=%s", i, i%agents, config)))
		}
		b.StartTimer()
		n.apply(mutations...)
		for i, stream := range streams {
			upserts(b, stream, fmt.Sprintf("w%d", workloads-agents+i))
		}
		b.StopTimer()
		n.stopLead()
		b.StartTimer()
	}
}

// BenchmarkOneChangeAmongAThousandSessions is one changed workload to the moment
// in which its agent has it, while 999 other agents have sessions.
func BenchmarkOneChangeAmongAThousandSessions(b *testing.B) {
	const agents = 1000
	n := newNetwork(b, DefaultConfig())
	n.lead(1)
	client := n.client(b)
	var streams []clientStream
	for i := range agents {
		stream := hello(b, client, fmt.Sprintf("agent-%d", i), "1")
		next(b, stream)
		streams = append(streams, stream)
	}
	stop := beat(b, streams)
	defer stop()
	i := 0
	for b.Loop() {
		mustWant(n, fmt.Sprintf("w@agent-%d=%d", 7, i))
		upserts(b, streams[7], "w")
		i++
	}
}

// beat keeps sessions alive.
func beat(b *testing.B, streams []clientStream) (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			for _, s := range streams {
				if err := s.Send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Heartbeat{Heartbeat: &argosyv1.Heartbeat{}}}); err != nil {
					b.Error(err)
					return
				}
			}
		}
	})
	return func() { cancel(); done.Wait() }
}
