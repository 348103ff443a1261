package neighbours_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/agent/neighbours"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func running(names ...string) (all []*argosyv1.Neighbour) {
	for _, name := range names {
		all = append(all, &argosyv1.Neighbour{Name: name, States: []*argosyv1.WorkloadState{{
			Instance:  &argosyv1.InstanceName{Workload: name, Agent: "b", Id: "1"},
			Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING},
		}}})
	}
	return all
}

func depends(name string, on ...string) []*argosyv1.Dependents {
	return []*argosyv1.Dependents{{Name: name, Dependents: on}}
}

// known writes what a book knows of u, v, w and x.
func known(b *neighbours.Book) string {
	var text []string
	for _, name := range []string{"u", "v", "w", "x"} {
		if n := len(b.States(name)); n > 0 {
			text = append(text, fmt.Sprintf("%s runs", name))
		}
		if d := b.Dependents(name); len(d) > 0 {
			text = append(text, fmt.Sprintf("%s<-%s", name, strings.Join(d, "+")))
		}
	}
	return strings.Join(text, " ")
}

func TestABookKnowsWhatItWasTold(t *testing.T) {
	tests := []struct {
		name    string
		told    []*argosyv1.Neighbours
		want    string
		changed []string
		whole   bool
	}{
		{name: "nothing"},
		{
			name:    "changes",
			told:    []*argosyv1.Neighbours{{Workloads: running("u", "v"), Dependents: depends("w", "x")}},
			want:    "u runs v runs w<-x",
			changed: []string{"u", "v"},
		},
		{
			name: "what goes",
			told: []*argosyv1.Neighbours{
				{Workloads: running("u", "v"), Dependents: depends("w", "x")},
				{Forgotten: []string{"u"}, Workloads: []*argosyv1.Neighbour{{Name: "v"}}, Dependents: depends("w")},
			},
			changed: []string{"v", "u"},
		},
		{
			name: "everything anew",
			told: []*argosyv1.Neighbours{
				{Workloads: running("u", "v"), Dependents: depends("w", "x")},
				{Full: true, Workloads: running("v"), Dependents: depends("u", "v")},
			},
			want: "u<-v v runs", changed: []string{"u", "v"}, whole: true,
		},
		{
			name: "everything in parts, of which the last is missing",
			told: []*argosyv1.Neighbours{
				{Workloads: running("u")},
				{Full: true, Partial: true, Workloads: running("v")},
			},
			want: "u runs",
		},
		{
			name: "everything in parts",
			told: []*argosyv1.Neighbours{
				{Workloads: running("u")},
				{Full: true, Partial: true, Workloads: running("v")},
				{Full: true, Dependents: depends("w", "x", "y")},
			},
			want: "v runs w<-x+y", changed: []string{"u", "v"}, whole: true,
		},
		{
			name: "parts of a session that broke are not taken for those of the next",
			told: []*argosyv1.Neighbours{
				{Full: true, Partial: true, Workloads: running("v")},
				nil,
				{Full: true, Workloads: running("w")},
			},
			want: "w runs", changed: []string{"w"}, whole: true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := neighbours.Open("", nil)
			var changed []string
			whole := false
			for _, m := range test.told {
				if m == nil {
					b.Begin()
					continue
				}
				changed, whole = b.Learn(m)
			}
			if got := known(b); got != test.want {
				t.Errorf("it knows %q, want %q", got, test.want)
			}
			if !slices.Equal(changed, test.changed) || whole != test.whole {
				t.Errorf("changed %v, whole %v; want %v, %v", changed, whole, test.changed, test.whole)
			}
		})
	}
}

func TestWhatIsKnownOutlivesTheAgent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "neighbours")
	first := neighbours.Open(path, nil)
	first.Learn(&argosyv1.Neighbours{Full: true, Workloads: running("u"), Dependents: depends("w", "x")})
	first.Learn(&argosyv1.Neighbours{Dependents: depends("v", "x")})
	first.Forget("v")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := known(neighbours.Open(path, nil)); got != "u runs w<-x" {
		t.Errorf("the next life knows %q", got)
	}

	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, damaged := range map[string][]byte{"cut off": raw[:len(raw)-1], "a bit": append([]byte{raw[0] ^ 1}, raw[1:]...), "empty": nil} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := known(neighbours.Open(path, nil)); got != "" {
			t.Errorf("%s: the next life knows %q", what, got)
		}
	}
}

func TestWhatCouldNotBeWrittenIsWrittenAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "later")
		b := neighbours.Open(filepath.Join(dir, "neighbours"), nil)
		b.Learn(&argosyv1.Neighbours{Full: true, Workloads: running("u")})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		time.Sleep(5 * time.Second) // it has failed once
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if got := known(neighbours.Open(filepath.Join(dir, "neighbours"), nil)); got != "u runs" {
			t.Errorf("the next life knows %q", got)
		}
	})
}
