package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) getServersCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:     "servers",
		Aliases: []string{"server"},
		Short:   "Show server replicas",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check("table", "wide", "json", "yaml"); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				status, err := c.Status(cmd.Context())
				if err != nil {
					return err
				}
				return a.printServers(status.GetServers(), o)
			})
		},
	}
	o.addOutput(cmd, "table, wide, json or yaml")
	return cmd
}

// serverRow is one object of the list of servers in JSON.
type serverRow struct {
	ID          string `json:"id" yaml:"id"`
	Name        string `json:"name" yaml:"name"`
	Role        string `json:"role" yaml:"role"`
	Voter       bool   `json:"voter" yaml:"voter"`
	Alive       bool   `json:"alive" yaml:"alive"`
	APIAddress  string `json:"apiAddress" yaml:"apiAddress"`
	RaftAddress string `json:"raftAddress" yaml:"raftAddress"`
	Version     string `json:"version" yaml:"version"`
	Term        uint64 `json:"term" yaml:"term"`
	Applied     uint64 `json:"appliedIndex" yaml:"appliedIndex"`
	LastContact uint64 `json:"lastContactMs" yaml:"lastContactMs"`
	StateHash   string `json:"stateHash" yaml:"stateHash"`
	Problem     string `json:"problem,omitempty" yaml:"problem,omitempty"`

	Lag           uint64   `json:"lagEntries" yaml:"lagEntries"`
	DiskFree      uint64   `json:"diskFreeBytes" yaml:"diskFreeBytes"`
	DiskSize      uint64   `json:"diskSizeBytes" yaml:"diskSizeBytes"`
	SnapshotIndex uint64   `json:"snapshotIndex" yaml:"snapshotIndex"`
	LogStore      string   `json:"logStore" yaml:"logStore"`
	FeatureLevel  uint32   `json:"featureLevel" yaml:"featureLevel"`
	Warnings      []string `json:"warnings,omitempty" yaml:"warnings,omitempty"`
}

func roleText(s *argosyv1.ServerStatus) string {
	switch s.GetRole() {
	case argosyv1.ServerRole_SERVER_ROLE_LEADER:
		return "Leader"
	case argosyv1.ServerRole_SERVER_ROLE_FOLLOWER:
		return "Follower"
	case argosyv1.ServerRole_SERVER_ROLE_CANDIDATE:
		return "Candidate"
	default:
		return "Unreachable"
	}
}

func serverRows(servers []*argosyv1.ServerStatus) []serverRow {
	rows := make([]serverRow, 0, len(servers))
	for _, s := range servers {
		rows = append(rows, serverRow{
			s.GetId(), s.GetName(), roleText(s), s.GetVoter(), s.GetAlive(), s.GetApiAddress(), s.GetRaftAddress(), s.GetVersion(),
			s.GetTerm(), s.GetAppliedIndex(), s.GetLastContactMs(), s.GetStateHash(), s.GetProblem(),
			s.GetLagEntries(), s.GetDiskFreeBytes(), s.GetDiskSizeBytes(), s.GetSnapshotIndex(), s.GetLogStore(), s.GetFeatureLevel(), s.GetWarnings(),
		})
	}
	return rows
}

func (a *app) printServers(servers []*argosyv1.ServerStatus, o getOptions) error {
	rows := serverRows(servers)
	if o.output == "json" || o.output == "yaml" {
		return a.encode(o.output, rows)
	}
	t := table{header: []string{"NAME", "ROLE", "VOTER", "API ADDRESS", "LAG", "DISK FREE", "VERSION", "PROBLEM"}}
	if o.output == "wide" {
		t.header = []string{"NAME", "ROLE", "VOTER", "API ADDRESS", "LAG", "DISK FREE", "VERSION", "APPLIED", "TERM", "RAFT ADDRESS", "LOG STORE", "ID", "STATE HASH", "PROBLEM"}
	}
	for _, r := range rows {
		voter := "yes"
		if !r.Voter {
			voter = "no"
		}
		cells := []string{r.Name, r.Role, voter, r.APIAddress, fmt.Sprint(r.Lag), freeText(r), r.Version}
		if o.output == "wide" {
			cells = append(cells, fmt.Sprint(r.Applied), fmt.Sprint(r.Term), r.RaftAddress, r.LogStore, r.ID, short(r.StateHash))
		}
		t.add(append(cells, r.Problem)...)
	}
	t.print(a.out)
	return nil
}

// freeText is empty where it is not known.
func freeText(r serverRow) string {
	if r.DiskSize == 0 {
		return ""
	}
	return bytesText(r.DiskFree)
}
