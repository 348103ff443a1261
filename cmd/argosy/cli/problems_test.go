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
