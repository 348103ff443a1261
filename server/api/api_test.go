package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/forward"
	"github.com/argosy-cluster/argosy/server/observed"
	"github.com/argosy-cluster/argosy/server/writer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// levelPatience ends what no test waits for.
const levelPatience = 10 * time.Millisecond

// replica is a server of one with a real state machine behind its API; entries
// are applied by the test.
type replica struct {
	argosyv1.ClusterServiceClient
	machine *fsm.Machine
	index   uint64
	await   error
	// awaited is called when a read waits.
	awaited func()
	outcome writer.Outcome
	wrote   forward.Write
	store   *observed.Store
	// incarnation is in every header.
	incarnation string
}

func (r *replica) Do(_ context.Context, w forward.Write) (writer.Outcome, error) {
	r.wrote = w
	return r.outcome, r.outcome.Err
}
func (r *replica) Serve(grpc.BidiStreamingServer[argosyv1.WriteRequests, argosyv1.WriteResponses], string, forward.Check, func() *argosyv1.ResponseHeader) error {
	return nil
}
func (r *replica) Await(context.Context) error {
	if r.awaited != nil {
		r.awaited()
	}
	return r.await
}
func (r *replica) Header() *argosyv1.ResponseHeader {
	return &argosyv1.ResponseHeader{ServerId: "me", Term: 3, Incarnation: r.incarnation}
}
func (r *replica) StalenessMillis() uint64 { return 123 }
func (r *replica) TransferLeadership(context.Context, string) error {
	return nil
}
func (r *replica) Logs(*argosyv1.LogsRequest, grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
	return nil
}

// status is apart: the client has a method of that name too.
type behind struct{ *replica }

func (b behind) Status(context.Context) (*argosyv1.StatusResponse, error) {
	return &argosyv1.StatusResponse{Header: b.Header()}, nil
}
func mustServe(t *testing.T, feedBytes int, change ...func(*Deps)) *replica {
	t.Helper()
	machine, err := fsm.New(fsm.Config{FeedBytes: feedBytes})
	if err != nil {
		t.Fatal(err)
	}
	store, err := observed.New(observed.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{machine: machine, store: store, index: 1}
	deps := Deps{Writes: r, Reads: r, State: machine, Observed: store, Replica: behind{r}, LevelPatience: levelPatience}
	for _, change := range change {
		change(&deps)
	}
	service, err := New(deps)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	argosyv1.RegisterClusterServiceServer(server, service)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	r.ClusterServiceClient = argosyv1.NewClusterServiceClient(conn)
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		<-served
	})
	return r
}

// put applies an entry that writes workloads, and returns its revision.
func (r *replica) put(t *testing.T, workloads ...*argosyv1.Workload) uint64 {
	t.Helper()
	var mutations []*argosyv1.Mutation
	for _, w := range workloads {
		mutations = append(mutations, putRow(t, argosyv1.RowKind_ROW_KIND_WORKLOAD, w.GetName(), w.RunsOn(), w))
	}
	return r.apply(t, mutations...)
}

func putRow(t *testing.T, kind argosyv1.RowKind, key, group string, message proto.Message) *argosyv1.Mutation {
	t.Helper()
	value, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return &argosyv1.Mutation{Kind: &argosyv1.Mutation_Put{Put: &argosyv1.PutRow{Kind: kind, Key: key, Group: group, Value: value}}}
}

func dropRow(kind argosyv1.RowKind, key string) *argosyv1.Mutation {
	return &argosyv1.Mutation{Kind: &argosyv1.Mutation_Delete{Delete: &argosyv1.DeleteRow{Kind: kind, Key: key}}}
}

// apply applies an entry, and returns its revision.
func (r *replica) apply(t *testing.T, mutations ...*argosyv1.Mutation) uint64 {
	t.Helper()
	entry := &argosyv1.Entry{Mutations: mutations}
	data, err := proto.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	r.index++
	if err, failed := r.machine.Apply(&raft.Log{Index: r.index, Data: data}).(error); failed {
		t.Fatal(err)
	}
	return r.index
}

func workload(name, agent string) *argosyv1.Workload {
	return &argosyv1.Workload{Name: name, Agent: agent, Runtime: "process", RuntimeConfig: "x"}
}

func TestAWriteIsAnsweredWithItsRevision(t *testing.T) {
	r := mustServe(t, 1<<20)
	r.outcome = writer.Outcome{Revision: 77, Replayed: true, Result: &argosyv1.WriteResult{}}
	response, err := r.Apply(t.Context(), &argosyv1.ApplyRequest{RequestId: []byte("id")})
	if err != nil || response.GetHeader().GetRevision() != 77 || response.GetHeader().GetServerId() != "me" || !response.GetReplayed() {
		t.Errorf("answer is %v, %v", response, err)
	}
	if r.wrote.Principal != "anonymous" || string(r.wrote.Apply.GetRequestId()) != "id" {
		t.Errorf("it was given on as %+v", r.wrote)
	}
	r.outcome.Err = argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "no")
	if _, err := r.Delete(t.Context(), &argosyv1.DeleteRequest{}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
		t.Errorf("error is %v", err)
	}
}

func TestOnlyStaleReadsDoNotWait(t *testing.T) {
	r := mustServe(t, 1<<20)
	at := r.put(t, workload("w", "a"))
	r.await = argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "nobody leads")
	if _, err := r.GetWorkload(t.Context(), &argosyv1.GetWorkloadRequest{Name: "w"}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
		t.Errorf("linearizable read: %v", err)
	}
	read, err := r.GetWorkload(t.Context(), &argosyv1.GetWorkloadRequest{Name: "w", Consistency: argosyv1.Consistency_CONSISTENCY_STALE})
	if err != nil || read.GetHeader().GetStalenessMs() != 123 || read.GetHeader().GetRevision() != at || read.GetWorkload().GetRevision() != at {
		t.Errorf("stale read: %v, %v", read, err)
	}
	if _, err := r.GetWorkload(t.Context(), &argosyv1.GetWorkloadRequest{Name: "w", Consistency: 99}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("unknown consistency: %v", err)
	}
}

func TestTheStateComesInMessagesThatFit(t *testing.T) {
	r := mustServe(t, 1<<20)
	var all []*argosyv1.Workload
	for i := range 40 {
		w := workload(fmt.Sprintf("w%02d", i), []string{"a", "b"}[i%2])
		w.RuntimeConfig = string(make([]byte, 100<<10))
		all = append(all, w)
	}
	at := r.put(t, all...)
	for name, c := range map[string]struct {
		req               *argosyv1.GetStateRequest
		workloads, states int
	}{
		"all":            {&argosyv1.GetStateRequest{}, 40, 40},
		"of an agent":    {&argosyv1.GetStateRequest{Agent: "a"}, 20, 20},
		"by name":        {&argosyv1.GetStateRequest{Names: []string{"w01", "w02", "w02", "nobody"}}, 2, 2},
		"by both":        {&argosyv1.GetStateRequest{Names: []string{"w01", "w02"}, Agent: "a"}, 1, 1},
		"states only":    {&argosyv1.GetStateRequest{OmitWorkloads: true}, 0, 40},
		"workloads only": {&argosyv1.GetStateRequest{OmitStates: true, OmitAgents: true}, 40, 0},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := r.GetState(t.Context(), c.req)
			if err != nil {
				t.Fatal(err)
			}
			workloads, states := 0, 0
			for first := true; ; first = false {
				m, err := stream.Recv()
				if err != nil {
					break
				}
				if first != (m.GetHeader() != nil) || first && m.GetHeader().GetRevision() != at {
					t.Errorf("header is %v", m.GetHeader())
				}
				if size := proto.Size(m); size > 2<<20 {
					t.Errorf("a message has %d bytes", size)
				}
				workloads += len(m.GetWorkloads())
				states += len(m.GetStates())
			}
			if workloads != c.workloads || states != c.states {
				t.Errorf("%d workloads and %d states, want %d and %d", workloads, states, c.workloads, c.states)
			}
		})
	}
}

func TestAWatchThatTheFeedCannotResumeStartsWithASnapshot(t *testing.T) {
	r := mustServe(t, 1)
	old := r.put(t, workload("w", "a"))
	for range 5 {
		r.put(t, workload("v", "a"))
	}
	stream, err := r.Watch(t.Context(), &argosyv1.WatchRequest{AfterRevision: old})
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if !m.GetSnapshotBegin() || !m.GetSnapshotEnd() || len(m.GetWorkloads()) != 2 || len(m.GetStates()) != 2 {
		t.Errorf("it began with %v", m)
	}
}

func TestAWatchAfterARevisionOfTheFutureWaitsForIt(t *testing.T) {
	r := mustServe(t, 1<<20)
	r.put(t, workload("w", "a"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := r.Watch(ctx, &argosyv1.WatchRequest{AfterRevision: r.index + 1, OmitObserved: true})
	if err != nil {
		t.Fatal(err)
	}
	r.put(t, workload("seen", "a"))
	at := r.put(t, workload("new", "a"))
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if m.GetHeader().GetRevision() != at || len(m.GetWorkloads()) != 1 || m.GetWorkloads()[0].GetName() != "new" {
		t.Errorf("it told %v", m)
	}
	cancel()
	if _, err := stream.Recv(); err == nil || errors.Is(err, fsm.ErrCompacted) {
		t.Errorf("it ended with %v", err)
	}
}
