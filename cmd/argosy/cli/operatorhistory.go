package cli

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) raftHistoryCommand() *cobra.Command {
	var o getOptions
	var limit uint32
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show who led when, and why each leadership ended",
		Long: `History shows the leaderships that the answering server remembers, by its own
clock: the newest last. Name one server with --server to ask that one.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check("table", "json", "yaml"); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				response, err := c.ListLeaderships(cmd.Context(), &argosyv1.ListLeadershipsRequest{Limit: limit})
				if err != nil {
					return err
				}
				return a.printLeaderships(response.GetLeaderships(), o.output, time.Now())
			})
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "table", "output format: table, json or yaml")
	cmd.Flags().Uint32VarP(&limit, "limit", "n", 20, "show at most so many, the newest; 0 shows all")
	return cmd
}

// leadershipRow is one object of the history in JSON.
type leadershipRow struct {
	Term       uint64 `json:"term" yaml:"term"`
	ServerID   string `json:"serverId" yaml:"serverId"`
	ServerName string `json:"serverName,omitempty" yaml:"serverName,omitempty"`
	Began      string `json:"began" yaml:"began"`
	Ended      string `json:"ended,omitempty" yaml:"ended,omitempty"`
	Duration   string `json:"duration" yaml:"duration"`
	End        string `json:"end,omitempty" yaml:"end,omitempty"`
	Reason     string `json:"reason,omitempty" yaml:"reason,omitempty"`
}

func leadershipRows(all []*argosyv1.Leadership, now time.Time) []leadershipRow {
	rows := make([]leadershipRow, 0, len(all))
	for _, l := range all {
		began, ended := time.Unix(0, l.GetBeganUnixNanos()), now
		row := leadershipRow{
			Term: l.GetTerm(), ServerID: l.GetServerId(), ServerName: l.GetServerName(),
			Began: began.UTC().Format(time.RFC3339Nano), Reason: l.GetReason(),
		}
		if l.GetEndedUnixNanos() != 0 {
			ended = time.Unix(0, l.GetEndedUnixNanos())
			row.Ended = ended.UTC().Format(time.RFC3339Nano)
			row.End = endText(l.GetEnd())
		}
		row.Duration = max(0, ended.Sub(began)).Round(time.Millisecond).String()
		rows = append(rows, row)
	}
	return rows
}

// endText is why a leadership ended, in a word: leader-gone.
func endText(end argosyv1.LeadershipEnd) string {
	if end == argosyv1.LeadershipEnd_LEADERSHIP_END_UNSPECIFIED {
		return "unknown"
	}
	text := strings.TrimPrefix(end.String(), "LEADERSHIP_END_")
	return strings.ReplaceAll(strings.ToLower(text), "_", "-")
}

func (a *app) printLeaderships(all []*argosyv1.Leadership, output string, now time.Time) error {
	rows := leadershipRows(all, now)
	if output != "table" {
		return a.encode(output, rows)
	}
	t := table{header: []string{"TERM", "LEADER", "BEGAN", "LASTED", "END", "REASON"}}
	for i, r := range rows {
		began := time.Unix(0, all[i].GetBeganUnixNanos()).Local().Format(time.DateTime)
		t.add(strconv.FormatUint(r.Term, 10), cmp.Or(r.ServerName, r.ServerID), began, r.Duration, cmp.Or(r.End, "leads"), r.Reason)
	}
	t.print(a.out)
	return nil
}
