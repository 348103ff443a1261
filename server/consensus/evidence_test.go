package consensus

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestConsentToAnAccusation(t *testing.T) {
	const silence = 70 * time.Millisecond
	for name, test := range map[string]struct {
		responder string
		answer    *argosyv1.ContactResponse
		accused   string
		want      bool
	}{
		"silent about the same leader":    {"b", &argosyv1.ContactResponse{Follower: true, LeaderId: "l", Term: 5, SilentMs: 80}, "l", true},
		"has heard from it":               {"b", &argosyv1.ContactResponse{Follower: true, LeaderId: "l", Term: 5, SilentMs: 20}, "l", false},
		"follows another one":             {"b", &argosyv1.ContactResponse{Follower: true, LeaderId: "x", Term: 5, SilentMs: 80}, "l", false},
		"knows no leader":                 {"b", &argosyv1.ContactResponse{Follower: true, Term: 5, SilentMs: 80}, "l", true},
		"has only just started":           {"b", &argosyv1.ContactResponse{Follower: true, Term: 5, SilentMs: 3}, "l", false},
		"is a candidate":                  {"b", &argosyv1.ContactResponse{LeaderId: "l", Term: 5, SilentMs: 80}, "l", false},
		"is in a later term":              {"b", &argosyv1.ContactResponse{Follower: true, Term: 6, SilentMs: 80}, "l", false},
		"is the accused and leads":        {"l", &argosyv1.ContactResponse{LeaderId: "l", Term: 5}, "l", false},
		"is the accused and follows":      {"l", &argosyv1.ContactResponse{Follower: true, Term: 5}, "l", true},
		"nobody leads, and it agrees":     {"b", &argosyv1.ContactResponse{Follower: true, Term: 5, SilentMs: 80}, "", true},
		"nobody leads, but it has a lead": {"b", &argosyv1.ContactResponse{Follower: true, LeaderId: "l", Term: 5, SilentMs: 80}, "", false},
		"does not answer":                 {"b", nil, "l", false},
	} {
		if got := consents(test.responder, test.answer, test.accused, 5, silence); got != test.want {
			t.Errorf("%s: consents %v, want %v", name, got, test.want)
		}
	}
}

func TestRanksOfSurvivors(t *testing.T) {
	at := standing{voters: []string{"a", "b", "c", "d", "e"}}
	for _, test := range []struct {
		self, accused string
		want          int
	}{{"a", "b", 0}, {"b", "a", 0}, {"c", "a", 1}, {"c", "e", 2}, {"e", "a", 3}, {"e", "", 4}, {"a", "", 0}} {
		if got := at.rank(test.self, test.accused); got != test.want {
			t.Errorf("rank of %s when %q is gone: %d, want %d", test.self, test.accused, got, test.want)
		}
	}
}

func TestWhoLeadsInsteadOfTheAccused(t *testing.T) {
	accusation := standing{leader: "l", term: 5}
	for name, test := range map[string]struct {
		now  standing
		want bool
	}{
		"nobody":                      {standing{state: raft.Follower, term: 6}, false},
		"still the accused":           {standing{state: raft.Follower, term: 5, leader: "l"}, false},
		"the accused, elected again":  {standing{state: raft.Follower, term: 7, leader: "l"}, true},
		"another one":                 {standing{state: raft.Follower, term: 6, leader: "x"}, true},
		"this server":                 {standing{state: raft.Leader, term: 6}, true},
		"nobody: this is a candidate": {standing{state: raft.Candidate, term: 6}, false},
	} {
		if got := test.now.led(accusation); got != test.want {
			t.Errorf("%s: led %v, want %v", name, got, test.want)
		}
	}
}

func TestOlderLogs(t *testing.T) {
	for _, test := range []struct {
		a, b entryID
		want bool
	}{
		{entryID{2, 9}, entryID{3, 1}, true},
		{entryID{3, 1}, entryID{2, 9}, false},
		{entryID{3, 4}, entryID{3, 5}, true},
		{entryID{3, 5}, entryID{3, 5}, false},
	} {
		if got := test.a.olderThan(test.b); got != test.want {
			t.Errorf("%v older than %v: %v", test.a, test.b, got)
		}
	}
}

func TestOwnAbsenceIsNotTheLeadersSilence(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	p := &pulse{tolerance: 25 * time.Millisecond, allowance: 50 * time.Millisecond}

	p.expect(at(100))
	if late := p.awake(at(110)); late {
		t.Fatal("10 ms late counts as a pause")
	}
	if got := p.silence(at(110), at(0)); got != 110*time.Millisecond {
		t.Fatalf("silent for %v", got)
	}

	// Paused from before 200 until 900; the leader was last heard at 150.
	p.expect(at(200))
	if got := p.silence(at(900), at(150)); got != 0 {
		t.Fatalf("before it noticed its own pause: silent for %v", got)
	}
	if late := p.awake(at(901)); !late {
		t.Fatal("a pause of 700 ms was not noticed")
	}
	if got := p.silence(at(901), at(150)); got != 50*time.Millisecond {
		t.Fatalf("right after its own pause: silent for %v, want the allowance", got)
	}
	if got := p.silence(at(951), at(150)); got != 100*time.Millisecond {
		t.Fatalf("50 ms later: silent for %v", got)
	}
	if got := p.silence(at(951), at(950)); got != time.Millisecond {
		t.Fatalf("heard again: silent for %v", got)
	}
}
