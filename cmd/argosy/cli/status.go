package cli

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const statusTimeout = 2 * time.Second

// view is what one server said of the cluster.
type view struct {
	address string
	status  *argosyv1.StatusResponse
	err     error
}

func (a *app) statusCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the cluster is; works without a leader too",
		Long: `Status asks every server that it was given, and shows problems first. It ends
with 0 when there is a leader, and with 5 when there is none or no server answers.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check("table", "wide", "json", "yaml"); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				return a.printStatus(askAll(cmd.Context(), c), o)
			})
		},
	}
	o.addOutput(cmd, "table, wide, json or yaml")
	return cmd
}

func askAll(ctx context.Context, c *client.Client) []view {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	addresses := slices.Sorted(slices.Values(c.Endpoints()))
	views := make([]view, len(addresses))
	var group sync.WaitGroup
	for i, address := range addresses {
		group.Go(func() {
			answer, err := c.StatusOf(ctx, address)
			views[i] = view{address, answer, err}
		})
	}
	group.Wait()
	return views
}

// best is the view that knows most: the leader's, else that of the highest term.
func best(views []view) *view {
	var chosen *view
	for i := range views {
		v := &views[i]
		if v.err != nil {
			continue
		}
		leads := v.status.GetHeader().GetLeaderId() == v.status.GetHeader().GetServerId() && v.status.GetHeader().GetLeaderId() != ""
		if chosen == nil || leads || (chosen.status.GetHeader().GetLeaderId() == "" && v.status.GetHeader().GetLeaderId() != "") {
			chosen = v
		}
		if leads {
			break
		}
	}
	return chosen
}

func (a *app) printStatus(views []view, o getOptions) error {
	b := best(views)
	if b == nil {
		for _, v := range views {
			fmt.Fprintf(a.err, "server %s does not answer: %v\n", v.address, client.Reason(v.err))
		}
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "none of the %d servers asked answers: check that they run and that --server names them", len(views))
	}
	s := b.status
	problems := findProblems(views, s)
	if o.output == "json" || o.output == "yaml" {
		if err := a.encode(o.output, statusDocument(s, problems)); err != nil {
			return err
		}
	} else {
		a.statusScreen(s, problems, o)
	}
	if s.GetHeader().GetLeaderId() == "" {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "there is no leader: %s", s.GetNoLeaderReason())
	}
	return nil
}

func findProblems(views []view, s *argosyv1.StatusResponse) []string {
	var problems []string
	if s.GetHeader().GetLeaderId() == "" {
		problems = append(problems, "no leader: "+s.GetNoLeaderReason())
	}
	told := map[string]bool{}
	for _, v := range views {
		if v.err != nil {
			told[v.address] = true
			problems = append(problems, fmt.Sprintf("server at %s does not answer: %v", v.address, client.Reason(v.err)))
		}
	}
	for _, server := range s.GetServers() {
		switch {
		case told[server.GetApiAddress()]:
			// Why it does not answer is known better than the other servers know it.
		case server.GetProblem() != "":
			problems = append(problems, fmt.Sprintf("server %s: %s", server.GetName(), server.GetProblem()))
		case server.GetRole() == argosyv1.ServerRole_SERVER_ROLE_UNSPECIFIED:
			problems = append(problems, fmt.Sprintf("server %s (%s) is not reachable", server.GetName(), server.GetApiAddress()))
		}
	}
	if lost := s.GetAgents() - min(s.GetAgents(), s.GetAgentsConnected()); lost > 0 {
		problems = append(problems, fmt.Sprintf("%d of %d agents are not connected: see 'argosy get agents'", lost, s.GetAgents()))
	}
	return problems
}

func (a *app) statusScreen(s *argosyv1.StatusResponse, problems []string, o getOptions) {
	colours := paletteFor(a.out)
	for _, problem := range problems {
		fmt.Fprintln(a.out, colours.red("! "+problem))
	}
	leader := "none"
	reachable := 0
	for _, server := range s.GetServers() {
		if server.GetId() == s.GetHeader().GetLeaderId() {
			leader = fmt.Sprintf("%s (%s), term %d", server.GetName(), server.GetApiAddress(), s.GetHeader().GetTerm())
		}
		if server.GetVoter() && server.GetRole() != argosyv1.ServerRole_SERVER_ROLE_UNSPECIFIED {
			reachable++
		}
	}
	fmt.Fprintf(a.out, "cluster    %s\n", s.GetHeader().GetClusterId())
	fmt.Fprintf(a.out, "leader     %s\n", leader)
	quorum := fmt.Sprintf("%d of %d voters reachable, %d needed", reachable, s.GetVoters(), s.GetQuorum())
	switch spare := reachable - int(s.GetQuorum()); {
	case spare > 0:
		quorum += colours.green(fmt.Sprintf(": %d more may be lost", spare))
	case spare == 0:
		quorum += colours.red(": none more may be lost")
	default:
		quorum += colours.red(": no quorum")
	}
	fmt.Fprintf(a.out, "quorum     %s\n", quorum)
	fmt.Fprintf(a.out, "agents     %d of %d connected\n", s.GetAgentsConnected(), s.GetAgents())
	fmt.Fprintf(a.out, "workloads  %d\n", s.GetWorkloads())
	fmt.Fprintf(a.out, "revision   %d\n\n", s.GetHeader().GetRevision())
	// A list that is printed to a terminal or a pipe cannot fail in a way that
	// somebody could be told of.
	_ = a.printServers(s.GetServers(), o)
}

func statusDocument(s *argosyv1.StatusResponse, problems []string) map[string]any {
	if problems == nil {
		problems = []string{}
	}
	return map[string]any{
		"clusterId": s.GetHeader().GetClusterId(), "leaderId": s.GetHeader().GetLeaderId(), "leaderAddress": s.GetHeader().GetLeaderAddress(),
		"term": s.GetHeader().GetTerm(), "revision": s.GetHeader().GetRevision(), "voters": s.GetVoters(), "quorum": s.GetQuorum(),
		"workloads": s.GetWorkloads(), "agents": s.GetAgents(), "agentsConnected": s.GetAgentsConnected(),
		"noLeaderReason": s.GetNoLeaderReason(), "version": s.GetVersion(), "servers": serverRows(s.GetServers()), "problems": problems,
	}
}
