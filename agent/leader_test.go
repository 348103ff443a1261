package agent

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const patience = 20 * time.Second

// leader is a server that leads in a term and assigns what a test says.
type leader struct {
	argosyv1.UnimplementedAgentServiceServer
	term    uint64
	address string
	grpc    *grpc.Server

	mu        sync.Mutex
	workloads []*argosyv1.Workload
	revision  uint64
	hellos    []*argosyv1.AgentHello
	reports   []*argosyv1.StateReport
	states    map[string]*argosyv1.WorkloadState
	converged uint64
	goodbyes  int
	send      chan *argosyv1.ServerMessage
}

func startLeader(t *testing.T, term, revision uint64, workloads ...*argosyv1.Workload) *leader {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &leader{
		term: term, revision: revision, workloads: workloads, address: listener.Addr().String(), grpc: grpc.NewServer(),
		states: make(map[string]*argosyv1.WorkloadState), send: make(chan *argosyv1.ServerMessage, 10),
	}
	argosyv1.RegisterAgentServiceServer(l.grpc, l)
	go func() { _ = l.grpc.Serve(listener) }()
	t.Cleanup(l.grpc.Stop)
	return l
}

func (l *leader) Session(stream grpc.BidiStreamingServer[argosyv1.AgentMessage, argosyv1.ServerMessage]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.hellos = append(l.hellos, first.GetHello())
	current := first.GetHello().GetAssignmentRevision() > 0 && bytes.Equal(first.GetHello().GetAssignmentHash(), argosyv1.AssignmentHash(l.workloads))
	all := &argosyv1.Assignments{Full: true, Revision: l.revision, Term: l.term, Upserts: l.workloads}
	l.mu.Unlock()
	if err := stream.Send(&argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Welcome{Welcome: &argosyv1.Welcome{
		ClusterId: "c1", LeaderId: l.address, Term: l.term, Protocol: 1, HeartbeatIntervalMs: 50, SessionTimeoutMs: 10_000, AssignmentsCurrent: current,
	}}}); err != nil {
		return err
	}
	if !current {
		if err := stream.Send(&argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Assignments{Assignments: all}}); err != nil {
			return err
		}
	}
	over := make(chan error, 1)
	go func() { over <- l.receive(stream) }()
	for {
		select {
		case err := <-over:
			return err
		case m := <-l.send:
			if err := stream.Send(m); err != nil {
				return err
			}
		}
	}
}

func (l *leader) receive(stream grpc.BidiStreamingServer[argosyv1.AgentMessage, argosyv1.ServerMessage]) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		l.mu.Lock()
		switch kind := m.GetKind().(type) {
		case *argosyv1.AgentMessage_States:
			l.reports = append(l.reports, kind.States)
			if kind.States.GetFull() {
				clear(l.states)
			}
			for _, s := range kind.States.GetStates() {
				l.states[s.GetInstance().Key()] = s
			}
		case *argosyv1.AgentMessage_Converged:
			l.converged = kind.Converged.GetRevision()
		case *argosyv1.AgentMessage_Goodbye:
			l.goodbyes++
		}
		l.mu.Unlock()
		if m.GetGoodbye() != nil {
			return nil
		}
	}
}

// assign tells the agent of one more revision.
func (l *leader) assign(revision uint64, upserts []*argosyv1.Workload, removals ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revision = revision
	for _, w := range upserts {
		l.workloads = slices.DeleteFunc(l.workloads, func(old *argosyv1.Workload) bool { return old.GetName() == w.GetName() })
		l.workloads = append(l.workloads, w)
	}
	l.workloads = slices.DeleteFunc(l.workloads, func(old *argosyv1.Workload) bool { return slices.Contains(removals, old.GetName()) })
	l.send <- &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Assignments{Assignments: &argosyv1.Assignments{
		Revision: revision, Term: l.term, Upserts: upserts, Removals: removals,
	}}}
}

// mustShow waits until the leader was told a state of a workload's instance.
func (l *leader) mustShow(t *testing.T, w *argosyv1.Workload, want string) {
	t.Helper()
	got := ""
	eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		got = l.states[argosyv1.InstanceOf(w).Key()].GetExecution().Text()
		return got == want
	}, func() string { return w.GetName() + " is " + got + ", want " + want })
}

func (l *leader) mustConverge(t *testing.T, revision uint64) {
	t.Helper()
	var got uint64
	eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		got = l.converged
		return got == revision
	}, func() string { return "the agent has not converged" })
}

func (l *leader) firstReport() *argosyv1.StateReport {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.reports) == 0 {
		return nil
	}
	return l.reports[0]
}

func (l *leader) hello() *argosyv1.AgentHello {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hellos[len(l.hellos)-1]
}

func eventually(t *testing.T, condition func() bool, otherwise func() string) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatal(otherwise())
		case <-tick.C:
		}
	}
}
