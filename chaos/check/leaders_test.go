package check

import (
	"testing"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// Two that were elected in one term depose each other before either has led.
func TestATermElectsOnce(t *testing.T) {
	elected := func(server, id string, term uint64) history.Leadership {
		return history.Leadership{Server: server, ID: id, Term: term, Elected: true}
	}
	began := history.Leadership{Server: "server-1", ID: "a", Term: 3, Gained: true}
	for _, tc := range []struct {
		name  string
		led   []history.Leadership
		found int64
	}{
		{"one is elected and leads", []history.Leadership{elected("server-1", "a", 3), began}, 0},
		{"it was elected before it had said its id", []history.Leadership{elected("server-1", "", 3), began}, 0},
		{"others are elected in other terms", []history.Leadership{elected("server-1", "a", 3), elected("server-2", "b", 4)}, 0},
		{"two are elected", []history.Leadership{elected("server-1", "a", 3), elected("server-2", "b", 3)}, 1},
		{"one leads and another is elected", []history.Leadership{began, elected("server-2", "b", 3)}, 1},
		{"one that was rebuilt is elected again", []history.Leadership{began, elected("server-1", "b", 3)}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if r := leaders(newAccount(&history.History{Leaderships: tc.led})); r.Found != tc.found {
				t.Errorf("found %d violations, want %d: %v", r.Found, tc.found, r.Violations)
			}
		})
	}
}
