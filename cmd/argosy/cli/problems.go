package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// problemRow is one problem in JSON.
type problemRow struct {
	Severity string `json:"severity" yaml:"severity"`
	Subject  string `json:"subject" yaml:"subject"`
	What     string `json:"what" yaml:"what"`
	Advice   string `json:"advice,omitempty" yaml:"advice,omitempty"`
}

func severityText(s argosyv1.Severity) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "SEVERITY_"))
}

func problemRows(problems []*argosyv1.Problem) []problemRow {
	rows := []problemRow{}
	for _, p := range problems {
		rows = append(rows, problemRow{severityText(p.GetSeverity()), p.GetSubject(), p.GetWhat(), p.GetAdvice()})
	}
	return rows
}

// findProblems joins what the servers say with what only the one who asks can
// know: which servers do not answer here, and which do not belong together.
func findProblems(views []view, s *argosyv1.StatusResponse) []*argosyv1.Problem {
	silent := map[string]bool{}
	var problems []*argosyv1.Problem
	critical := func(subject, what, advice string) {
		problems = append(problems, &argosyv1.Problem{Severity: argosyv1.Severity_SEVERITY_CRITICAL, Subject: subject, What: what, Advice: advice})
	}
	for _, v := range views {
		switch {
		case v.err != nil:
			silent[v.address] = true
			critical("server at "+v.address, "does not answer: "+client.Reason(v.err), "")
		case v.status.GetHeader().GetClusterId() != s.GetHeader().GetClusterId():
			critical("server at "+v.address, fmt.Sprintf("belongs to cluster %q, others to %q",
				v.status.GetHeader().GetClusterId(), s.GetHeader().GetClusterId()), "name servers of one cluster with --server")
		}
	}
	told := s.GetProblems()
	if s.GetFeatureLevel() == 0 {
		told = ofOldServer(s)
	}
	for _, p := range told {
		if !unreachableAnyway(p, s.GetServers(), silent) {
			problems = append(problems, p)
		}
	}
	slices.SortStableFunc(problems, func(a, b *argosyv1.Problem) int {
		return cmp.Or(-cmp.Compare(a.GetSeverity(), b.GetSeverity()), cmp.Compare(rank(a), rank(b)))
	})
	return problems
}

// rank puts what concerns the whole cluster first.
func rank(p *argosyv1.Problem) int {
	if p.GetSubject() == "cluster" {
		return 0
	}
	return 1
}

// unreachableAnyway tells whether a problem says that a server cannot be reached
// of which it is known here why it does not answer.
func unreachableAnyway(p *argosyv1.Problem, servers []*argosyv1.ServerStatus, silent map[string]bool) bool {
	for _, s := range servers {
		if s.GetRole() == argosyv1.ServerRole_SERVER_ROLE_UNSPECIFIED && silent[s.GetApiAddress()] &&
			p.GetSubject() == cmp.Or(s.GetName(), s.GetId()) {
			return true
		}
	}
	return false
}

// ofOldServer is what can be told of a cluster whose servers are of before they
// told problems themselves.
func ofOldServer(s *argosyv1.StatusResponse) []*argosyv1.Problem {
	var problems []*argosyv1.Problem
	add := func(severity argosyv1.Severity, subject, what, advice string) {
		problems = append(problems, &argosyv1.Problem{Severity: severity, Subject: subject, What: what, Advice: advice})
	}
	if s.GetHeader().GetLeaderId() == "" {
		add(argosyv1.Severity_SEVERITY_CRITICAL, "cluster", s.GetNoLeaderReason(), "")
	}
	for _, server := range s.GetServers() {
		name := cmp.Or(server.GetName(), server.GetId())
		switch {
		case server.GetProblem() != "":
			add(argosyv1.Severity_SEVERITY_CRITICAL, name, server.GetProblem(), "")
		case server.GetRole() == argosyv1.ServerRole_SERVER_ROLE_UNSPECIFIED:
			add(argosyv1.Severity_SEVERITY_CRITICAL, name, "not reachable at "+server.GetApiAddress(), "")
		}
	}
	if lost := s.GetAgents() - min(s.GetAgents(), s.GetAgentsConnected()); lost > 0 {
		add(argosyv1.Severity_SEVERITY_WARNING, "agents", fmt.Sprintf("%d of %d are not connected", lost, s.GetAgents()), "see 'argosy get agents'")
	}
	return problems
}

// printProblems writes each problem on a line, and below it what to do.
func printProblems(w io.Writer, problems []*argosyv1.Problem) {
	colours := paletteFor(w)
	for _, p := range problems {
		line := fmt.Sprintf("! %s: %s", p.GetSubject(), printable(p.GetWhat()))
		if p.GetSeverity() == argosyv1.Severity_SEVERITY_CRITICAL {
			line = colours.red(line)
		} else {
			line = colours.yellow(line)
		}
		fmt.Fprintln(w, line)
		if p.GetAdvice() != "" {
			fmt.Fprintln(w, "  "+printable(p.GetAdvice()))
		}
	}
	if len(problems) > 0 {
		fmt.Fprintln(w)
	}
}
