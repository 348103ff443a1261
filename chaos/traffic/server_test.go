package traffic_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// server is a cluster of one, with all it has in memory, that lets some callers
// wait for ever, with or without doing what they asked for.
type server struct {
	argosyv1.UnimplementedClusterServiceServer

	mu       sync.Mutex
	rand     *rand.Rand
	revision uint64
	there    map[string]*argosyv1.Workload
	// answers are those of writes, by request id.
	answers map[string]*argosyv1.WriteResponse
	// log has every change, wake is closed at the next.
	log  []*argosyv1.WatchResponse
	wake chan struct{}
	// silences counts the callers who got no answer, broken the watches that were
	// broken off.
	silences, broken int
}

func newServer() *server {
	return &server{
		rand: rand.New(rand.NewPCG(3, 4)), revision: 1, there: map[string]*argosyv1.Workload{},
		answers: map[string]*argosyv1.WriteResponse{}, wake: make(chan struct{}),
	}
}

func (s *server) header() *argosyv1.ResponseHeader {
	return &argosyv1.ResponseHeader{Revision: s.revision, ServerId: "id-1", LeaderId: "id-1", Term: 2}
}

// silent tells whether a caller gets no answer.
func (s *server) silent() bool {
	if s.rand.IntN(50) > 0 {
		return false
	}
	s.silences++
	return true
}

// write makes a write, unless the request was seen before.
func (s *server) write(ctx context.Context, id []byte, judge func() (*argosyv1.WriteResult, *argosyv1.WatchResponse, error)) (*argosyv1.WriteResponse, error) {
	response, silent, err := func() (*argosyv1.WriteResponse, bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.silent() {
			// Not even heard.
			return nil, true, nil
		}
		if response := s.answers[string(id)]; response != nil {
			again := proto.CloneOf(response)
			again.Replayed = true
			return again, false, nil
		}
		result, change, err := judge()
		if err != nil {
			return nil, false, err
		}
		s.revision++
		for _, w := range change.GetWorkloads() {
			w.Revision, w.CreatedRevision = s.revision, s.revision
			if was := s.there[w.GetName()]; was != nil {
				w.CreatedRevision = was.GetCreatedRevision()
			}
			s.there[w.GetName()] = w
		}
		for _, name := range change.GetDeletedWorkloads() {
			delete(s.there, name)
		}
		response := &argosyv1.WriteResponse{Header: s.header(), Result: result}
		s.answers[string(id)] = response
		change.Header = s.header()
		s.log = append(s.log, change)
		close(s.wake)
		s.wake = make(chan struct{})
		return response, s.silent(), nil
	}()
	if silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return response, err
}

func (s *server) Apply(ctx context.Context, r *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
	return s.write(ctx, r.GetRequestId(), func() (*argosyv1.WriteResult, *argosyv1.WatchResponse, error) {
		result, change := &argosyv1.WriteResult{}, &argosyv1.WatchResponse{}
		if expected := r.GetExpectedStateRevision(); expected != 0 && expected < s.revision {
			return nil, nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "the state is at %d", s.revision)
		}
		for _, w := range r.GetWorkloads() {
			have := s.there[w.GetName()]
			if r.GetMustNotExist() && have != nil || r.GetExpectedRevision() != 0 && r.GetExpectedRevision() != have.GetRevision() {
				return nil, nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "%s is at %d", w.GetName(), have.GetRevision())
			}
			kind := argosyv1.ChangeKind_CHANGE_KIND_UPDATED
			if have == nil {
				kind = argosyv1.ChangeKind_CHANGE_KIND_CREATED
			}
			result.Changes = append(result.Changes, &argosyv1.WorkloadChange{Name: w.GetName(), Kind: kind})
			change.Workloads = append(change.Workloads, proto.CloneOf(w))
		}
		return result, change, nil
	})
}

func (s *server) Delete(ctx context.Context, r *argosyv1.DeleteRequest) (*argosyv1.WriteResponse, error) {
	return s.write(ctx, r.GetRequestId(), func() (*argosyv1.WriteResult, *argosyv1.WatchResponse, error) {
		result, change := &argosyv1.WriteResult{}, &argosyv1.WatchResponse{}
		for _, name := range r.GetNames() {
			have, kind := s.there[name], argosyv1.ChangeKind_CHANGE_KIND_MISSING
			switch {
			case have == nil && !r.GetIgnoreMissing():
				return nil, nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "there is no %s", name)
			case have != nil && r.GetExpectedRevision() != 0 && r.GetExpectedRevision() != have.GetRevision():
				return nil, nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "%s is at %d", name, have.GetRevision())
			case have != nil:
				kind = argosyv1.ChangeKind_CHANGE_KIND_DELETED
				change.DeletedWorkloads = append(change.DeletedWorkloads, name)
			}
			result.Changes = append(result.Changes, &argosyv1.WorkloadChange{Name: name, Kind: kind})
		}
		return result, change, nil
	})
}

func (s *server) GetWorkload(_ context.Context, r *argosyv1.GetWorkloadRequest) (*argosyv1.GetWorkloadResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.there[r.GetName()]; w != nil {
		return &argosyv1.GetWorkloadResponse{Header: s.header(), Workload: w}, nil
	}
	return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "there is no %s", r.GetName())
}

func (s *server) GetState(r *argosyv1.GetStateRequest, stream grpc.ServerStreamingServer[argosyv1.GetStateResponse]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	response := &argosyv1.GetStateResponse{Header: s.header()}
	for name, w := range s.there {
		if len(r.GetNames()) == 0 || slices.Contains(r.GetNames(), name) {
			response.Workloads = append(response.Workloads, w)
		}
	}
	return stream.Send(response)
}

func (s *server) Watch(r *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
	ctx, cancel := context.WithTimeout(stream.Context(), 4*time.Second)
	defer cancel()
	after := r.GetAfterRevision()
	if after == 0 {
		s.mu.Lock()
		after = s.revision
		begin := &argosyv1.WatchResponse{Header: s.header(), SnapshotBegin: true, SnapshotEnd: true}
		for _, w := range s.there {
			begin.Workloads = append(begin.Workloads, w)
		}
		s.mu.Unlock()
		if err := stream.Send(begin); err != nil {
			return err
		}
	}
	for {
		s.mu.Lock()
		var next *argosyv1.WatchResponse
		if i := slices.IndexFunc(s.log, func(m *argosyv1.WatchResponse) bool { return m.GetHeader().GetRevision() > after }); i >= 0 {
			next = s.log[i]
		}
		wake := s.wake
		s.mu.Unlock()
		if next != nil {
			if err := stream.Send(next); err != nil {
				return err
			}
			after = next.GetHeader().GetRevision()
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			s.mu.Lock()
			defer s.mu.Unlock()
			s.broken++
			return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_STOPPING, "this server stops")
		}
	}
}
