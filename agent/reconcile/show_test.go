package reconcile

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestShow(t *testing.T) {
	usable := map[string]bool{"pods": true}
	detail := at("image: a", runtime.StatusUnknown, 0)
	detail.instance.Detail = "paused"
	tests := []struct {
		name     string
		s        situation
		starting bool
		want     string
	}{
		{"nothing before anything is done", situation{}, false, "-"},
		{"start in flight", situation{book: book{called: true}}, true, "Pending(Starting) Triggered at runtime."},
		{"runs before start returns", situation{actual: []observed{at("image: a", runtime.StatusRunning, 0)}}, true, "Running(Ok) "},
		{"old run while it is started anew", situation{book: book{called: true, seen: true}, actual: []observed{at("image: a", runtime.StatusExited, 1)}}, true, "Pending(Starting) Triggered at runtime."},
		{"retry", situation{book: book{attempts: 3, reason: "no such image"}}, false, "Pending(Starting) Retry 3: no such image"},
		{"retry in flight", situation{book: book{attempts: 3, reason: "no such image"}}, true, "Pending(Starting) Retry 3: no such image"},
		{"retry with something left over", situation{book: book{attempts: 1, reason: "x"}, actual: []observed{at("image: a", runtime.StatusExited, 127)}}, false, "Pending(Starting) Retry 1: x"},
		{"cannot work", situation{book: book{invalid: "line 3: bad"}}, false, "Pending(StartingFailed) line 3: bad"},
		{"no such runtime", situation{usable: map[string]bool{}}, false, "Pending(StartingFailed) Unsupported Runtime"},
		{"found created", situation{actual: []observed{at("image: a", runtime.StatusStarting, 0)}}, false, "Pending(Starting) "},
		{"still created", situation{book: book{called: true}, actual: []observed{at("image: a", runtime.StatusStarting, 0)}}, false, "Pending(Starting) Triggered at runtime."},
		{"runs", situation{actual: []observed{at("image: a", runtime.StatusRunning, 0)}}, false, "Running(Ok) "},
		{"is stopped by somebody", situation{actual: []observed{at("image: a", runtime.StatusStopping, 0)}}, false, "Stopping(Stopping) "},
		{"succeeded", situation{actual: []observed{at("image: a", runtime.StatusExited, 0)}}, false, "Succeeded(Ok) "},
		{"failed", situation{actual: []observed{at("image: a", runtime.StatusExited, 42)}}, false, "Failed(ExecFailed) Exit code: '42'"},
		{"means nothing to us", situation{actual: []observed{detail}}, false, "Failed(Unknown) paused"},
		{"lost", situation{book: book{seen: true}}, false, "Failed(Lost) The runtime does not have it any more"},
		{"ended, then vanished", situation{book: book{seen: true, exited: true, exitCode: 2}}, false, "Failed(ExecFailed) Exit code: '2'"},
		{"runtime does not answer", situation{usable: map[string]bool{"pods": false}, book: book{seen: true}}, false, "-"},
		{"runtime does not answer to what ran", situation{usable: map[string]bool{"pods": false}, actual: []observed{at("image: a", runtime.StatusRunning, 0)}}, false, "-"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := test.s
			s.desired = wanted(never)
			if s.usable == nil {
				s.usable = usable
			}
			if got := text(show(s, test.starting)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func text(e *argosyv1.ExecutionState) string {
	if e == nil {
		return "-"
	}
	return e.Text() + " " + e.GetAdditionalInfo()
}

func TestTextsOfRuntimesAreMadeFitToTravel(t *testing.T) {
	got := clean("  \xff broken " + strings.Repeat("ä", 5000))
	if !utf8.ValidString(got) || len(got) > 2*maxInfo || strings.HasPrefix(got, " ") {
		t.Errorf("clean returned %d bytes, valid %v", len(got), utf8.ValidString(got))
	}
}
