package client_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// printed is a line of an instance with a place, or without one when it is 0.
func printed(workload string, place uint64) *argosyv1.LogLine {
	return &argosyv1.LogLine{
		Instance: &argosyv1.InstanceName{Workload: workload, Agent: "a", Id: "1"},
		Line:     fmt.Append(nil, place), Position: place, UnixNanos: int64(place) + 1,
	}
}

func ended(workload, reason string, interrupted bool) *argosyv1.LogLine {
	line := printed(workload, 0)
	line.Line, line.End, line.Interrupted = []byte(reason), true, interrupted
	return line
}

// reading is one answered call: what was asked for, what is sent, how it ends.
type reading struct {
	names []string
	after map[string]uint64
	lines []*argosyv1.LogLine
	err   error
}

// mustFollow follows logs of a server that answers one call after the other.
func mustFollow(t *testing.T, request *argosyv1.LogsRequest, readings ...reading) (shown []string, err error) {
	t.Helper()
	calls := 0
	server := &scripted{logs: func(req *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
		if calls == len(readings) {
			t.Errorf("a call too many: %v", req)
			return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INVALID, "no more calls are scripted")
		}
		r := readings[calls]
		calls++
		after := map[string]uint64{}
		for _, place := range req.GetAfter() {
			after[place.GetInstance().GetWorkload()] = place.GetPosition()
			if place.GetUnixNanos() != int64(place.GetPosition())+1 {
				t.Errorf("place %v has another time", place)
			}
		}
		if !slices.Equal(req.GetNames(), r.names) || fmt.Sprint(after) != fmt.Sprint(r.after) {
			t.Errorf("call %d asks for %v after %v, want %v after %v", calls, req.GetNames(), after, r.names, r.after)
		}
		if calls > 1 && (req.GetHasTail() || !req.GetFollow()) {
			t.Errorf("call %d asks for %v", calls, req)
		}
		for _, line := range r.lines {
			if err := stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{line}}); err != nil {
				return err
			}
		}
		return r.err
	}}
	c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, server)}, Timeout: 20 * time.Second})
	err = c.FollowLogs(t.Context(), request, func(batch *argosyv1.LogsResponse) error {
		for _, line := range batch.GetLines() {
			text := line.GetInstance().GetWorkload() + " " + string(line.GetLine())
			if line.GetEnd() {
				text = line.GetInstance().GetWorkload() + " END " + string(line.GetLine())
			}
			shown = append(shown, text)
		}
		return nil
	})
	if calls != len(readings) {
		t.Errorf("%d calls, want %d", calls, len(readings))
	}
	return shown, err
}

func TestFollowedLogsGoOnAfterTheLastLine(t *testing.T) {
	lost := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "the leader was lost")
	all := []string{"web", "db", "new"}
	shown, err := mustFollow(t, &argosyv1.LogsRequest{Names: all, Follow: true, HasTail: true, Tail: 5},
		reading{all, nil, []*argosyv1.LogLine{printed("web", 1), printed("db", 3), printed("web", 2)}, lost},
		// A new leader that knows nothing yet.
		reading{all, map[string]uint64{"web": 2, "db": 3}, nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "no instance")},
		// Nor are the agents back.
		reading{all, map[string]uint64{"web": 2, "db": 3}, []*argosyv1.LogLine{ended("web", "agent is not connected", true)}, nil},
		reading{all, map[string]uint64{"web": 2, "db": 3}, []*argosyv1.LogLine{printed("web", 7), ended("web", "", false), printed("new", 1)}, lost},
		// What has ended has ended, whatever is said of it.
		reading{[]string{"db", "new"}, map[string]uint64{"web": 7, "db": 3, "new": 1}, []*argosyv1.LogLine{
			ended("web", "again", false), ended("db", "removed", false), printed("new", 2), ended("new", "", false),
		}, nil},
	)
	if want := []string{"web 1", "db 3", "web 2", "web 7", "web END ", "new 1", "db END removed", "new 2", "new END "}; err != nil || !slices.Equal(shown, want) {
		t.Errorf("%q, %v, want %q", shown, err, want)
	}
}

func TestLogsWithoutPlacesAreNotGoneOnWith(t *testing.T) {
	lost := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "the leader was lost")
	shown, err := mustFollow(t, &argosyv1.LogsRequest{Names: []string{"web", "db"}, Follow: true},
		reading{[]string{"web", "db"}, nil, []*argosyv1.LogLine{
			printed("web", 1), printed("db", 0),
			// Nobody can go on with all of them: it is told as it is.
			ended("web", "lost agent", true),
		}, lost})
	var why *client.LogsLostError
	if !errors.As(err, &why) || why.Workload != "db" || why.Last.UnixNano() != 1 || argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
		t.Errorf("error %v", err)
	}
	if want := []string{"web 1", "db 0", "web END lost agent"}; !slices.Equal(shown, want) {
		t.Errorf("%q, want %q", shown, want)
	}

	// Of one that has shown nothing, what was printed before is not known when only
	// what is new was asked for.
	_, err = mustFollow(t, &argosyv1.LogsRequest{Names: []string{"web"}, Follow: true, HasTail: true},
		reading{[]string{"web"}, nil, []*argosyv1.LogLine{ended("web", "lost agent", true)}, nil})
	if err != nil {
		t.Error(err)
	}
}

func TestAnErrorOfTheCallerOrTheRequestEndsFollowing(t *testing.T) {
	_, err := mustFollow(t, &argosyv1.LogsRequest{Names: []string{"web"}, Follow: true},
		reading{[]string{"web"}, nil, nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "no instance")})
	if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND {
		t.Errorf("error %v", err)
	}
	server := &scripted{logs: func(_ *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
		return stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{printed("web", 1)}})
	}}
	c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, server)}})
	enough := errors.New("enough")
	for _, want := range []error{enough, nil} {
		returned := want
		if want == nil {
			returned = client.ErrStop
		}
		err := c.FollowLogs(t.Context(), &argosyv1.LogsRequest{Names: []string{"web"}, Follow: true}, func(*argosyv1.LogsResponse) error { return returned })
		if !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
}
