package asks_test

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// cluster is a state and the servers that answer for it.
type cluster struct {
	t *testing.T

	mu        sync.Mutex
	revision  uint64
	workloads map[string]*argosyv1.Workload
	states    map[string]*argosyv1.WorkloadState
	answers   map[string]*argosyv1.WriteResponse
	writes    []*argosyv1.ApplyRequest
	watches   map[chan *argosyv1.WatchResponse]*serverOf
	begun     int
	// meddle is called before a write is judged, once.
	meddle func()
	// lose has the answer to so many writes get lost.
	lose int
	// refuse has so many questions for the state answered as by servers that are all
	// without a leader.
	refuse int
	// logs answers calls for logs.
	logs func(*argosyv1.LogsRequest, grpc.ServerStreamingServer[argosyv1.LogsResponse]) error
}

func newCluster(t *testing.T) *cluster {
	return &cluster{
		t: t, revision: 10, workloads: map[string]*argosyv1.Workload{}, states: map[string]*argosyv1.WorkloadState{},
		answers: map[string]*argosyv1.WriteResponse{}, watches: map[chan *argosyv1.WatchResponse]*serverOf{},
	}
}

// serverOf is one server of a cluster.
type serverOf struct {
	argosyv1.UnimplementedClusterServiceServer
	*cluster
	// cut is set when it hears nothing of the others any more.
	cut bool
}

// cutOff cuts those servers off that are watched.
func (c *cluster) cutOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.watches {
		s.cut = true
	}
}

// listen starts a server at an address, an unused one when it is empty; the result
// stops it.
func (c *cluster) listen(at string) (address string, stop func()) {
	c.t.Helper()
	if at == "" {
		at = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", at)
	if err != nil {
		c.t.Fatal(err)
	}
	server := grpc.NewServer()
	argosyv1.RegisterClusterServiceServer(server, &serverOf{cluster: c})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	stop = sync.OnceFunc(func() { server.Stop(); <-served })
	c.t.Cleanup(stop)
	return listener.Addr().String(), stop
}

// put changes desired state as some user does.
func (c *cluster) put(workloads ...*argosyv1.Workload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change(workloads, nil)
}

func (c *cluster) drop(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change(nil, names)
}

// change is for whoever holds mu.
func (c *cluster) change(workloads []*argosyv1.Workload, deleted []string) {
	c.revision++
	for _, w := range workloads {
		w = proto.CloneOf(w)
		w.Revision = c.revision
		if w.CreatedRevision = c.revision; c.workloads[w.GetName()] != nil {
			w.CreatedRevision = c.workloads[w.GetName()].GetCreatedRevision()
		}
		c.workloads[w.GetName()] = w
	}
	for _, name := range deleted {
		delete(c.workloads, name)
	}
	message := &argosyv1.WatchResponse{DeletedWorkloads: deleted}
	for _, w := range workloads {
		message.Workloads = append(message.Workloads, c.workloads[w.GetName()])
	}
	c.tell(message)
}

// report changes the state of an instance.
func (c *cluster) report(w *argosyv1.Workload, state argosyv1.State, substate argosyv1.Substate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &argosyv1.WorkloadState{Instance: argosyv1.InstanceOf(w), Execution: &argosyv1.ExecutionState{State: state, Substate: substate}}
	c.states[s.GetInstance().Key()] = s
	c.tell(&argosyv1.WatchResponse{States: []*argosyv1.WorkloadState{s}})
}

func (c *cluster) tell(message *argosyv1.WatchResponse) {
	message.Header = c.header()
	for watch, s := range c.watches {
		if !s.cut {
			watch <- message
		}
	}
}

func (c *cluster) header() *argosyv1.ResponseHeader {
	return &argosyv1.ResponseHeader{Revision: c.revision}
}

func (c *cluster) watched() (open, begun int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.watches), c.begun
}

func (c *cluster) carriedOut() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.answers)
}

func (s *serverOf) GetState(_ *argosyv1.GetStateRequest, stream grpc.ServerStreamingServer[argosyv1.GetStateResponse]) error {
	s.mu.Lock()
	if s.cut || s.refuse > 0 {
		if !s.cut {
			s.refuse--
		}
		s.mu.Unlock()
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "no leader")
	}
	response := &argosyv1.GetStateResponse{
		Header: s.header(), Workloads: slices.Collect(maps.Values(s.workloads)), States: slices.Collect(maps.Values(s.states)),
	}
	s.mu.Unlock()
	return stream.Send(response)
}

func (s *serverOf) Watch(_ *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
	messages := make(chan *argosyv1.WatchResponse, 10000)
	s.mu.Lock()
	messages <- &argosyv1.WatchResponse{
		Header: s.header(), SnapshotBegin: true, SnapshotEnd: true,
		Workloads: slices.Collect(maps.Values(s.workloads)), States: slices.Collect(maps.Values(s.states)),
	}
	s.watches[messages] = s
	s.begun++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watches, messages)
		s.mu.Unlock()
	}()
	for {
		select {
		case message := <-messages:
			if err := stream.Send(message); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (s *serverOf) Apply(_ context.Context, request *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
	if meddle := s.takeMeddler(); meddle != nil {
		meddle()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, request)
	response := s.answers[string(request.GetRequestId())]
	if response == nil {
		var err error
		if response, err = s.judge(request); err != nil {
			return nil, err
		}
		s.answers[string(request.GetRequestId())] = response
	}
	if s.lose > 0 {
		s.lose--
		return nil, status.Error(codes.Unavailable, "the answer is lost")
	}
	return response, nil
}

func (c *cluster) takeMeddler() func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	meddle := c.meddle
	c.meddle = nil
	return meddle
}

func (c *cluster) judge(request *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
	for _, e := range request.GetExpected() {
		if at := c.workloads[e.GetName()].GetRevision(); at != e.GetRevision() {
			return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "%s is at revision %d", e.GetName(), at)
		}
	}
	result := &argosyv1.WriteResult{}
	for _, w := range request.GetWorkloads() {
		if w.GetRuntime() == "" {
			return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "workload '%s', field 'runtime': is missing", w.GetName())
		}
		now := argosyv1.InstanceOf(w)
		change := &argosyv1.WorkloadChange{Name: w.GetName(), Kind: argosyv1.ChangeKind_CHANGE_KIND_CREATED, Agent: now.GetAgent(), InstanceId: now.GetId()}
		if c.workloads[w.GetName()] != nil {
			change.Kind = argosyv1.ChangeKind_CHANGE_KIND_UPDATED
		}
		if now.Key() == argosyv1.InstanceOf(c.workloads[w.GetName()]).Key() {
			change.Kind = argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED
		}
		result.Changes = append(result.Changes, change)
	}
	for _, name := range request.GetDeleteWorkloads() {
		was := argosyv1.InstanceOf(c.workloads[name])
		result.Changes = append(result.Changes, &argosyv1.WorkloadChange{Name: name, Kind: argosyv1.ChangeKind_CHANGE_KIND_DELETED, Agent: was.GetAgent(), InstanceId: was.GetId()})
	}
	c.change(request.GetWorkloads(), request.GetDeleteWorkloads())
	return &argosyv1.WriteResponse{Header: c.header(), Result: result}, nil
}

func (s *serverOf) Logs(request *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
	return s.logs(request, stream)
}
