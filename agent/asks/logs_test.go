package asks_test

import (
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/agent/asks"
	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/agent/control/controltest"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

type logStream = grpc.ServerStreamingServer[argosyv1.LogsResponse]

func nameOf(w *argosyv1.Workload) *ankaios.WorkloadInstanceName {
	n := argosyv1.InstanceOf(w)
	return &ankaios.WorkloadInstanceName{WorkloadName: n.GetWorkload(), AgentName: n.GetAgent(), Id: n.GetId()}
}

func lineOf(w *argosyv1.Workload, text string) *argosyv1.LogLine {
	return &argosyv1.LogLine{Instance: argosyv1.InstanceOf(w), Line: []byte(text)}
}

func endOf(w *argosyv1.Workload, reason string) *argosyv1.LogLine {
	return &argosyv1.LogLine{Instance: argosyv1.InstanceOf(w), Line: []byte(reason), End: true}
}

// text of a response to a request for logs.
func text(r *ankaios.Response) string {
	switch content := r.GetResponseContent().(type) {
	case *ankaios.Response_LogsRequestAccepted:
		var names []string
		for _, name := range content.LogsRequestAccepted.GetWorkloadNames() {
			names = append(names, name.GetWorkloadName())
		}
		return "accepted " + strings.Join(names, " ")
	case *ankaios.Response_LogEntriesResponse:
		var lines []string
		for _, entry := range content.LogEntriesResponse.GetLogEntries() {
			lines = append(lines, entry.GetWorkloadName().GetWorkloadName()+":"+entry.GetMessage())
		}
		return strings.Join(lines, "|")
	case *ankaios.Response_LogsStopResponse:
		return "stop " + content.LogsStopResponse.GetWorkloadName().GetWorkloadName()
	}
	return r.String()
}

// logScene has workloads a and b with a log each.
func logScene(t *testing.T) (s *scene, by *argosyv1.InstanceName, a, b *argosyv1.Workload) {
	s, a, b = newScene(t, nil), workload("a"), workload("b")
	for _, w := range []*argosyv1.Workload{a, b} {
		s.report(w, argosyv1.State_STATE_RUNNING, argosyv1.Substate_SUBSTATE_RUNNING_OK)
	}
	return s, s.assign("asking", "log:*"), a, b
}

func (s *subscription) wantTexts(want ...string) {
	s.Helper()
	for _, w := range want {
		if got := text(s.next()); got != w {
			s.Fatalf("got %q, want %q", got, w)
		}
	}
}

func TestLogsComeUntilEachInstanceHasEnded(t *testing.T) {
	s, by, a, b := logScene(t)
	var asked *argosyv1.LogsRequest
	s.logs = func(r *argosyv1.LogsRequest, stream logStream) error {
		asked = r
		other := workload("a")
		other.RuntimeConfig = "another instance"
		_ = stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{lineOf(a, "one"), lineOf(other, "not asked for"), lineOf(b, "two \xff")}})
		_ = stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{lineOf(a, "three"), endOf(a, ""), lineOf(a, "after its end"), lineOf(b, "four")}})
		return stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{endOf(b, "gone")}})
	}
	request := controltest.Logs("1", nameOf(a), nameOf(workload("none")), nameOf(b), nameOf(a))
	request.GetLogsRequest().Follow, request.GetLogsRequest().Tail = proto.Bool(true), proto.Int32(7)
	request.GetLogsRequest().Since = proto.String("1970-01-01T00:00:01Z")
	sub := s.begin(by, request, 10)
	sub.wantTexts("accepted a b", "a:one|b:two \uFFFD", "a:three", "stop a", "b:four", "b:The log ended: gone", "stop b")
	sub.wantEnd(nil)
	if !asked.GetFollow() || !asked.GetHasTail() || asked.GetTail() != 7 || asked.GetSinceUnixNanos() != 1e9 || asked.GetUntilUnixNanos() != 0 || len(asked.GetNames()) != 2 {
		t.Errorf("asked for %v", asked)
	}
}

// sinceOf returns from when on logs are asked for, or the refusal.
func sinceOf(t *testing.T, since string) (nanos int64, refused string) {
	s, by, a, _ := logScene(t)
	s.logs = func(r *argosyv1.LogsRequest, stream logStream) error {
		nanos = r.GetSinceUnixNanos()
		return stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{endOf(a, "")}})
	}
	request := controltest.Logs("1", nameOf(a))
	request.GetLogsRequest().Since = proto.String(since)
	sub := s.begin(by, request, 10)
	if <-sub.ended; sub.err != nil {
		return 0, sub.err.Error()
	}
	return nanos, ""
}

func TestMomentsOfLogs(t *testing.T) {
	local := time.Date(2026, 1, 2, 15, 4, 5, 123456000, time.Local)
	for _, test := range []struct {
		text string
		want time.Time
	}{
		{"2026-01-02T15:04:05.5+02:00", time.Date(2026, 1, 2, 13, 4, 5, 5e8, time.UTC)},
		{"2026-01-02T15:04:05Z", time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)},
		{"2026-01-02T15:04:05.123456", local}, // datetime.now() of Python
		{"2026-01-02T15:04:05", local.Truncate(time.Second)},
		{"2026-01-02", time.Date(2026, 1, 2, 0, 0, 0, 0, time.Local)},
		{"2026-01-02Z", time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)},
		{"1700000000", time.Unix(1700000000, 0)},
		{"1700000000.25", time.Unix(1700000000, 25e7)},
		{"0001-01-01T00:00:00", time.Unix(0, 1)}, // datetime.min
		{"9999-12-31T23:59:59.999999", time.Unix(0, math.MaxInt64)},
		{"9999999999999", time.Unix(0, math.MaxInt64)},
	} {
		if got, refused := sinceOf(t, test.text); got != test.want.UnixNano() {
			t.Errorf("%q is %v, want %v: %s", test.text, time.Unix(0, got), test.want, refused)
		}
	}
	hour, _ := sinceOf(t, "1h")
	if two, refused := sinceOf(t, "2h"); hour <= two {
		t.Errorf("2h ago is %v, 1h ago is %v: %s", time.Unix(0, two), time.Unix(0, hour), refused)
	}
	for _, text := range []string{"yesterday", "-5", "1.0000000001", "99999999999999999999", "."} {
		if _, refused := sinceOf(t, text); !strings.Contains(refused, "is not a time") {
			t.Errorf("%q: refused with %q", text, refused)
		}
	}
}

func TestLogsThatBreakOffSayWhy(t *testing.T) {
	s, by, a, _ := logScene(t)
	s.logs = func(_ *argosyv1.LogsRequest, stream logStream) error {
		_ = stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{lineOf(a, "one")}})
		return status.Error(codes.Unavailable, "the server stops")
	}
	sub := s.begin(by, controltest.Logs("1", nameOf(a)), 10)
	sub.wantTexts("accepted a", "a:one", "a:The log ended: the server stops", "stop a")
	sub.wantEnd(nil)
}

func TestLogsThatAreFollowedGoOnWhereTheyBrokeOff(t *testing.T) {
	s, by, a, _ := logScene(t)
	placed := func(text string, position uint64) *argosyv1.LogLine {
		line := lineOf(a, text)
		line.Position = position
		return line
	}
	s.logs = func(request *argosyv1.LogsRequest, stream logStream) error {
		if len(request.GetAfter()) == 0 {
			_ = stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{placed("one", 1)}})
			return status.Error(codes.Unavailable, "the server stops")
		}
		return stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{placed("two", request.GetAfter()[0].GetPosition()+1), endOf(a, "")}})
	}
	request := controltest.Logs("1", nameOf(a))
	request.GetLogsRequest().Follow = proto.Bool(true)
	sub := s.begin(by, request, 10)
	sub.wantTexts("accepted a", "a:one", "a:two", "stop a")
	sub.wantEnd(nil)
}

// A leader that is new, or was cut off from an agent, does not know of its instances
// for a moment.
func TestLogsAreWaitedForUntilTheLeaderHasHeardOfTheInstance(t *testing.T) {
	for _, follow := range []bool{false, true} {
		s, by, a, _ := logScene(t)
		var asked atomic.Int32
		s.logs = func(_ *argosyv1.LogsRequest, stream logStream) error {
			if asked.Add(1) < 3 {
				return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "no agent has spoken of it yet")
			}
			return stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{lineOf(a, "one"), endOf(a, "")}})
		}
		request := controltest.Logs("1", nameOf(a))
		request.GetLogsRequest().Follow = proto.Bool(follow)
		sub := s.begin(by, request, 10)
		sub.wantTexts("accepted a", "a:one", "stop a")
		sub.wantEnd(nil)
	}
}

func TestLogsEndWhenTheWorkloadCancels(t *testing.T) {
	s, by, a, _ := logScene(t)
	s.logs = func(_ *argosyv1.LogsRequest, stream logStream) error {
		_ = stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{lineOf(a, "one")}})
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	sub := s.begin(by, controltest.Logs("1", nameOf(a)), 10)
	sub.wantTexts("accepted a", "a:one")
	sub.cancel(control.ErrCancelled)
	sub.wantEnd(control.ErrCancelled)
}

func TestLogsEndWhenTheyAreNotAllowedAnyMore(t *testing.T) {
	s, by, a, _ := logScene(t)
	more := make(chan struct{})
	s.logs = func(_ *argosyv1.LogsRequest, stream logStream) error {
		_ = stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{lineOf(a, "one")}})
		<-more
		_ = stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{lineOf(a, "two")}})
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	sub := s.begin(by, controltest.Logs("1", nameOf(a)), 10)
	sub.wantTexts("accepted a", "a:one")
	s.assign("asking", "log:b")
	close(more)
	sub.wantEnd(control.ErrDenied)
	if len(sub.responses) > 0 {
		t.Errorf("told %v", <-sub.responses)
	}
}

func TestManyLinesBecomeSeveralMessages(t *testing.T) {
	s, by, a, _ := logScene(t)
	long := strings.Repeat("x", 900_000)
	s.logs = func(_ *argosyv1.LogsRequest, stream logStream) error {
		return stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{lineOf(a, long), lineOf(a, long), lineOf(a, long), endOf(a, "")}})
	}
	sub := s.begin(by, controltest.Logs("1", nameOf(a)), 10)
	sub.wantTexts("accepted a", "a:"+long+"|a:"+long, "a:"+long, "stop a")
}

func TestATimeThatIsNoneIsRefused(t *testing.T) {
	s, by, a, _ := logScene(t)
	request := controltest.Logs("1", nameOf(a))
	request.GetLogsRequest().Until = proto.String("yesterday")
	if _, err := s.ask(by, request); !errors.Is(err, asks.ErrRequest) || !strings.Contains(err.Error(), `until "yesterday"`) {
		t.Errorf("got %v", err)
	}
}
