package sessions

import (
	"log/slog"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

// Who claims the name of an agent that was removed is not taken for the session
// that was accepted before: it may be sent nothing until it is welcomed.
func TestASessionAfterTheRemovalOfItsAgentIsNotAcceptedYet(t *testing.T) {
	store, err := observed.New(observed.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	lead, err := store.Lead(1)
	if err != nil {
		t.Fatal(err)
	}
	r := newRoster(DefaultConfig(), lead, nil, slog.New(slog.DiscardHandler), func() {})
	begin := func(instance string) *session {
		s := newSession(t.Context(), &argosyv1.AgentHello{Name: "a", InstanceId: instance}, DefaultConfig(), nil)
		if err := r.claim(s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := begin("first")
	if err := r.accept(first, &argosyv1.AgentStatus{Name: "a", Connected: true}); err != nil {
		t.Fatal(err)
	}
	if s, ok := r.session("a"); !ok || s != first {
		t.Fatal("an accepted session is not found")
	}
	if err := r.remove("a"); err != nil {
		t.Fatal(err)
	}
	next := begin("next")
	if _, ok := r.session("a"); ok || r.seated() != 0 {
		t.Error("a session counts as accepted that is not")
	}
	next.end(errBroken)
	r.leave(next)
	begin("another") // nothing is kept for one that never was accepted
}
