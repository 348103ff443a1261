package load_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/load"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a cluster of one that does wrong, after a while, what the bug says.
type server struct {
	argosyv1.UnimplementedClusterServiceServer
	bug string

	mu       sync.Mutex
	revision uint64
	there    map[string]*argosyv1.Workload
	first    map[string]*argosyv1.Workload
	watchers []chan *argosyv1.Workload
}

// due is the number of the write from which on it does wrong.
const due = 50

func (s *server) wrong(bug string) bool { return s.bug == bug && s.revision >= due }

func (s *server) header() *argosyv1.ResponseHeader {
	return &argosyv1.ResponseHeader{Revision: s.revision}
}

func (s *server) Apply(_ context.Context, request *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := proto.CloneOf(request.GetWorkloads()[0])
	if have := s.there[w.GetName()].GetRevision(); have != request.GetExpectedRevision() {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "%s is at revision %d", w.GetName(), have)
	}
	s.revision++
	w.Revision = s.revision
	response := &argosyv1.WriteResponse{Header: s.header()}
	if s.wrong("it loses a write") {
		return response, nil
	}
	if s.wrong("it does a write twice") {
		s.revision++
		w.Revision = s.revision
	}
	if s.first[w.GetName()] == nil {
		s.first[w.GetName()] = w
	}
	s.there[w.GetName()] = w
	for _, watcher := range s.watchers {
		if s.wrong("its watch goes back") {
			watcher <- s.first[w.GetName()]
		}
		watcher <- w
	}
	return response, nil
}

func (s *server) GetWorkload(_ context.Context, request *argosyv1.GetWorkloadRequest) (*argosyv1.GetWorkloadResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.there[request.GetName()]
	if s.wrong("it reads what was") {
		w = s.first[request.GetName()]
	}
	if w == nil || s.wrong("it reads nothing") {
		return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "there is no %s", request.GetName())
	}
	return &argosyv1.GetWorkloadResponse{Header: s.header(), Workload: w}, nil
}

func (s *server) GetState(_ *argosyv1.GetStateRequest, stream grpc.ServerStreamingServer[argosyv1.GetStateResponse]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	response := &argosyv1.GetStateResponse{Header: s.header()}
	for _, w := range s.there {
		if !s.wrong("it has forgotten all in the end") {
			response.Workloads = append(response.Workloads, w)
		}
	}
	return stream.Send(response)
}

func (s *server) Watch(_ *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
	s.mu.Lock()
	// Room for all that is written in one test.
	changes := make(chan *argosyv1.Workload, 1<<16)
	s.watchers = append(s.watchers, changes)
	begin := &argosyv1.WatchResponse{Header: s.header(), SnapshotBegin: true, SnapshotEnd: true}
	for _, w := range s.there {
		begin.Workloads = append(begin.Workloads, w)
	}
	s.mu.Unlock()
	if err := stream.Send(begin); err != nil {
		return err
	}
	for {
		select {
		case w := <-changes:
			if err := stream.Send(&argosyv1.WatchResponse{Header: &argosyv1.ResponseHeader{Revision: w.GetRevision()}, Workloads: []*argosyv1.Workload{w}}); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func TestEveryWrongIsFound(t *testing.T) {
	for bug, want := range map[string]string{
		"":                                "",
		"it loses a write":                "could not be set",
		"it does a write twice":           "could not be set",
		"it reads what was":               "a stale read",
		"it reads nothing":                "was not there",
		"it has forgotten all in the end": "there is \"\" at revision 0",
		"its watch goes back":             "the watch showed",
	} {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			c := mustServe(t, &server{bug: bug, there: map[string]*argosyv1.Workload{}, first: map[string]*argosyv1.Workload{}})
			l, err := load.Start(t.Context(), c, 3, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(l.Stop)
			deadline := time.After(time.Minute)
			for l.Acknowledged() < 2*due && l.Wrong() == nil {
				select {
				case <-time.After(time.Millisecond):
				case <-deadline:
					t.Fatalf("%d writes were acknowledged", l.Acknowledged())
				}
			}
			err = l.End(t.Context())
			switch {
			case want == "" && err != nil:
				t.Errorf("of a server that does all right it says: %v", err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("it says %v, want %q", err, want)
			}
		})
	}
}

// mustServe makes a cluster, none of whose processes runs, of a server in this
// one.
func mustServe(t *testing.T, s *server) *cluster.Cluster {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	served := grpc.NewServer()
	argosyv1.RegisterClusterServiceServer(served, s)
	var group sync.WaitGroup
	group.Go(func() { _ = served.Serve(listener) })
	t.Cleanup(func() { served.Stop(); group.Wait() })
	c, err := cluster.New(cluster.Config{
		Dir: t.TempDir(), Servers: 1,
		Place: func(string) (cluster.Place, error) {
			return cluster.Place{Host: "192.0.2.1", DataDir: t.TempDir()}, nil
		},
		Dial: func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
