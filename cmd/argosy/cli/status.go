package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
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
		Long: `Status asks every server that it was given, and shows problems first: what is
wrong or will soon be, and what to do about it. Then follows what may still be
lost. It ends with 0 when there is a leader, and with 5 when there is none or no
server answers.`,
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

// best is the view that knows most, nil when no server has answered: of those that
// know of a leader that of the highest term, the leader's own before others. One
// that was cut off may go on for a moment as the leader of a term that is over, and
// one that finds no leader may be in a higher term for that alone.
func best(views []view) *view {
	var chosen *view
	for i := range views {
		if v := &views[i]; v.err == nil && (chosen == nil || v.compare(chosen) > 0) {
			chosen = v
		}
	}
	return chosen
}

// compare is above 0 when a view knows more than another one.
func (v *view) compare(other *view) int {
	one, two := v.status.GetHeader(), other.status.GetHeader()
	number := func(holds bool) int {
		if holds {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(number(one.GetLeaderId() != ""), number(two.GetLeaderId() != "")),
		cmp.Compare(one.GetTerm(), two.GetTerm()),
		cmp.Compare(number(one.GetLeaderId() == one.GetServerId()), number(two.GetLeaderId() == two.GetServerId())),
	)
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

func (a *app) statusScreen(s *argosyv1.StatusResponse, problems []*argosyv1.Problem, o getOptions) {
	printProblems(a.out, problems)
	leader := "none"
	for _, server := range s.GetServers() {
		if server.GetId() == s.GetHeader().GetLeaderId() {
			leader = fmt.Sprintf("%s (%s), term %d", server.GetName(), server.GetApiAddress(), s.GetHeader().GetTerm())
		}
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(a.out, "%-11s%s\n", name, fmt.Sprintf(format, args...))
	}
	line("cluster", "%s", s.GetHeader().GetClusterId())
	line("leader", "%s", leader)
	line("quorum", "%s", quorumText(s, paletteFor(a.out)))
	line("agents", "%d of %d connected", s.GetAgentsConnected(), s.GetAgents())
	line("workloads", "%s", workloadsText(s))
	state := fmt.Sprintf("revision %d", s.GetHeader().GetRevision())
	if s.GetStateQuotaBytes() > 0 {
		state += fmt.Sprintf(", %s of %s", bytesText(s.GetStateBytes()), bytesText(s.GetStateQuotaBytes()))
	}
	line("state", "%s\n", state)
	// A list that is printed to a terminal or a pipe cannot fail in a way that
	// somebody could be told of.
	_ = a.printServers(s.GetServers(), o)
}

// quorumText says what may still be lost.
func quorumText(s *argosyv1.StatusResponse, colours palette) string {
	reachable := 0
	for _, server := range s.GetServers() {
		if server.GetVoter() && server.GetRole() != argosyv1.ServerRole_SERVER_ROLE_UNSPECIFIED {
			reachable++
		}
	}
	text := fmt.Sprintf("%d of %d voters reachable, %d needed", reachable, s.GetVoters(), s.GetQuorum())
	switch spare := reachable - int(s.GetQuorum()); {
	case spare > 0:
		return text + colours.green(fmt.Sprintf(": %d more may be lost", spare))
	case spare == 0:
		return text + colours.red(": none more may be lost")
	default:
		return text + colours.red(": no quorum")
	}
}

// workloadsText counts workloads, and their instances by state, the most first.
func workloadsText(s *argosyv1.StatusResponse) string {
	text := fmt.Sprint(s.GetWorkloads())
	states := slices.Collect(maps.Keys(s.GetWorkloadStates()))
	if len(states) == 0 {
		return text
	}
	slices.SortFunc(states, func(a, b string) int {
		return cmp.Or(-cmp.Compare(s.GetWorkloadStates()[a], s.GetWorkloadStates()[b]), cmp.Compare(a, b))
	})
	for i, state := range states {
		states[i] = fmt.Sprintf("%d %s", s.GetWorkloadStates()[state], state)
	}
	return text + ": " + strings.Join(states, ", ")
}

func statusDocument(s *argosyv1.StatusResponse, problems []*argosyv1.Problem) map[string]any {
	states := s.GetWorkloadStates()
	if states == nil {
		states = map[string]uint64{}
	}
	return map[string]any{
		"clusterId": s.GetHeader().GetClusterId(), "leaderId": s.GetHeader().GetLeaderId(), "leaderAddress": s.GetHeader().GetLeaderAddress(),
		"term": s.GetHeader().GetTerm(), "revision": s.GetHeader().GetRevision(), "voters": s.GetVoters(), "quorum": s.GetQuorum(),
		"mayLose": s.GetMayLose(), "workloads": s.GetWorkloads(), "workloadStates": states, "agents": s.GetAgents(),
		"agentsConnected": s.GetAgentsConnected(), "agentsLost": append([]string{}, s.GetAgentsLost()...),
		"stateBytes": s.GetStateBytes(), "stateQuotaBytes": s.GetStateQuotaBytes(), "featureLevel": s.GetFeatureLevel(),
		"recentLeaderships": s.GetRecentLeaderships(),
		"noLeaderReason":    s.GetNoLeaderReason(), "version": s.GetVersion(), "servers": serverRows(s.GetServers()), "problems": problemRows(problems),
	}
}
