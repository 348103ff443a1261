package cli

import (
	"errors"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestLinesAreToldApartWhereThereAreSeveralInstances(t *testing.T) {
	for _, test := range []struct {
		names     bool
		instances map[string]int
		want      string
	}{
		{false, map[string]int{"web": 1}, ""},
		{true, map[string]int{"web": 1}, "web "},
		{false, map[string]int{"web": 1, "db": 1}, "web "},
		{false, map[string]int{"web": 2}, "web@a "},
		{true, map[string]int{"web": 2, "db": 1}, "web@a "},
	} {
		p := &linePrinter{names: test.names, instances: test.instances}
		if got := p.prefix(&argosyv1.InstanceName{Workload: "web", Agent: "a"}); got != test.want {
			t.Errorf("%v, %v: prefix is %q, want %q", test.names, test.instances, got, test.want)
		}
	}
}

func TestALostLogSaysHowToGoOn(t *testing.T) {
	cause := errors.New("the leader was lost")
	for _, test := range []struct {
		err  error
		want string
	}{
		{cause, "the leader was lost"},
		{
			&client.LogsLostError{Workload: "web", Last: time.Unix(1, 5), Err: cause},
			"follow logs of web: the leader was lost; its runtime does not tell places in its log, so that nobody can go on without a gap or a line twice: go on with: argosy logs -f web --since 1970-01-01T00:00:01.000000005Z",
		},
		{
			&client.LogsLostError{Workload: "web", Err: cause},
			"follow logs of web: the leader was lost; its runtime does not tell places in its log, so that nobody can go on without a gap or a line twice: begin again with: argosy logs -f web",
		},
	} {
		if got := howToGoOn(test.err); got.Error() != test.want || !errors.Is(got, cause) {
			t.Errorf("error is %q, want %q", got, test.want)
		}
	}
	if howToGoOn(nil) != nil {
		t.Error("nothing is an error")
	}
}
