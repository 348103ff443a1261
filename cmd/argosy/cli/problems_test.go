package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func problemLines(problems []*argosyv1.Problem) string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, fmt.Sprintf("%s %s: %s", severityText(p.GetSeverity()), p.GetSubject(), p.GetWhat()))
	}
	return strings.Join(lines, "\n")
}

func TestProblemsOfServersAndOfTheOneWhoAsks(t *testing.T) {
	header := &argosyv1.ResponseHeader{ClusterId: "c", LeaderId: "id1"}
	servers := []*argosyv1.ServerStatus{
		{Id: "id1", Name: "s1", ApiAddress: "h1:1", Role: argosyv1.ServerRole_SERVER_ROLE_LEADER},
		{Id: "id2", Name: "s2", ApiAddress: "h2:1"},
	}
	critical, warning := argosyv1.Severity_SEVERITY_CRITICAL, argosyv1.Severity_SEVERITY_WARNING
	now := &argosyv1.StatusResponse{Header: header, Servers: servers, FeatureLevel: 2, Problems: []*argosyv1.Problem{
		{Severity: critical, Subject: "s2", What: "not reachable at h2:1"},
		{Severity: warning, Subject: "agents", What: "1 of 2 are not connected: a"},
	}}
	old := &argosyv1.StatusResponse{Header: header, Servers: servers, Agents: 2, AgentsConnected: 1}
	foreign := &argosyv1.StatusResponse{Header: &argosyv1.ResponseHeader{ClusterId: "other"}}
	for name, c := range map[string]struct {
		views  []view
		status *argosyv1.StatusResponse
		want   string
	}{
		"what a server says": {[]view{{"h1:1", now, nil}}, now,
			"critical s2: not reachable at h2:1\nwarning agents: 1 of 2 are not connected: a"},
		"why a server does not answer is said once, by who knows best": {[]view{{"h1:1", now, nil}, {"h2:1", nil, errors.New("refused")}}, now,
			"critical server at h2:1: does not answer: refused\nwarning agents: 1 of 2 are not connected: a"},
		"a server of before": {[]view{{"h1:1", old, nil}}, old,
			"critical s2: not reachable at h2:1\nwarning agents: 1 of 2 are not connected"},
		"servers of two clusters": {[]view{{"h1:1", now, nil}, {"h3:1", foreign, nil}}, now,
			"critical server at h3:1: belongs to cluster \"other\", others to \"c\"\ncritical s2: not reachable at h2:1\nwarning agents: 1 of 2 are not connected: a"},
	} {
		if got := problemLines(findProblems(c.views, c.status)); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func TestTheViewThatKnowsMostIsShown(t *testing.T) {
	seen := func(address, server, leader string, term uint64) view {
		return view{address: address, status: &argosyv1.StatusResponse{Header: &argosyv1.ResponseHeader{ServerId: server, LeaderId: leader, Term: term}}}
	}
	silent := view{address: "gone", err: errors.New("gone")}
	for name, c := range map[string]struct {
		views []view
		want  string
	}{
		"the leader's":                              {[]view{seen("1", "a", "b", 3), seen("2", "b", "b", 3)}, "2"},
		"that of the newest of two that lead":       {[]view{seen("1", "a", "a", 3), seen("2", "b", "b", 5)}, "2"},
		"one that knows of a later leader":          {[]view{seen("1", "a", "a", 3), seen("2", "b", "c", 5)}, "2"},
		"one that knows of a leader":                {[]view{seen("1", "a", "", 5), seen("2", "b", "c", 5)}, "2"},
		"one that knows of a leader that was":       {[]view{seen("1", "a", "", 6), seen("2", "b", "c", 5)}, "2"},
		"one that answers":                          {[]view{silent, seen("2", "b", "", 5)}, "2"},
		"the first of those that know equally much": {[]view{seen("1", "a", "c", 5), seen("2", "b", "c", 5)}, "1"},
	} {
		if got := best(c.views); got == nil || got.address != c.want {
			t.Errorf("not %s, but that of %v", name, got)
		}
	}
	if got := best([]view{silent}); got != nil {
		t.Errorf("that of %v, which does not answer", got)
	}
}
