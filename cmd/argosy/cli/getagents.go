package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// agentRow is one line of the list of agents, and one object of its JSON.
type agentRow struct {
	Name      string            `json:"name" yaml:"name"`
	Connected bool              `json:"connected" yaml:"connected"`
	Workloads int               `json:"workloads" yaml:"workloads"`
	CPU       uint32            `json:"cpuPercent" yaml:"cpuPercent"`
	Free      uint64            `json:"freeMemoryBytes" yaml:"freeMemoryBytes"`
	Version   string            `json:"version" yaml:"version"`
	Runtimes  []string          `json:"runtimes" yaml:"runtimes"`
	Address   string            `json:"address" yaml:"address"`
	Converged uint64            `json:"convergedRevision" yaml:"convergedRevision"`
	Tags      map[string]string `json:"tags,omitempty" yaml:"tags,omitempty"`
}

func (a *app) getAgentsCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:     "agents",
		Aliases: []string{"agent"},
		Short:   "Show agents",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check("table", "wide", "json", "yaml"); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				state, err := c.GetState(cmd.Context(), &argosyv1.GetStateRequest{Consistency: o.consistency(), OmitWorkloads: true, OmitConfigs: true})
				if err != nil {
					return err
				}
				a.tellStaleness(state.GetHeader())
				return a.printAgents(agentRows(state), o)
			})
		},
	}
	o.addOutput(cmd, "table, wide, json or yaml")
	return cmd
}

func agentRows(state *argosyv1.GetStateResponse) []agentRow {
	rows := map[string]*agentRow{}
	for _, registered := range state.GetAgents() {
		rows[registered.GetName()] = &agentRow{Name: registered.GetName(), Tags: registered.TagsInForce(), Runtimes: []string{}}
	}
	for _, status := range state.GetAgentStatuses() {
		row, ok := rows[status.GetName()]
		if !ok {
			row = &agentRow{Name: status.GetName()}
			rows[status.GetName()] = row
		}
		row.Connected, row.CPU, row.Free = status.GetConnected(), status.GetCpuPercent(), status.GetFreeMemoryBytes()
		row.Version, row.Address, row.Converged = status.GetVersion(), status.GetAddress(), status.GetConvergedRevision()
		row.Runtimes = []string{}
		for _, r := range status.GetRuntimes() {
			text := strings.TrimSpace(r.GetName() + " " + r.GetVersion())
			if r.GetProblem() != "" {
				text += " (" + r.GetProblem() + ")"
			}
			row.Runtimes = append(row.Runtimes, text)
		}
	}
	for _, s := range state.GetStates() {
		if row, ok := rows[s.GetInstance().GetAgent()]; ok {
			row.Workloads++
		}
	}
	list := make([]agentRow, 0, len(rows))
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		list = append(list, *rows[name])
	}
	return list
}

func (a *app) printAgents(rows []agentRow, o getOptions) error {
	if o.output == "json" || o.output == "yaml" {
		return a.encode(o.output, rows)
	}
	t := table{header: []string{"NAME", "STATUS", "WORKLOADS", "CPU USAGE", "FREE MEMORY"}}
	if o.output == "wide" {
		t.header = append(t.header, "VERSION", "ADDRESS", "RUNTIMES", "TAGS")
	}
	for _, r := range rows {
		status := "Disconnected"
		cpu, free := "", ""
		if r.Connected {
			status = "Connected"
			cpu, free = fmt.Sprintf("%d%%", r.CPU), fmt.Sprintf("%dB", r.Free)
		}
		cells := []string{r.Name, status, fmt.Sprint(r.Workloads), cpu, free}
		if o.output == "wide" {
			var tags []string
			for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
				tags = append(tags, key+"="+r.Tags[key])
			}
			cells = append(cells, r.Version, r.Address, strings.Join(r.Runtimes, ", "), strings.Join(tags, ","))
		}
		t.add(cells...)
	}
	t.print(a.out)
	return nil
}
