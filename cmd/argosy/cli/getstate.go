package cli

import (
	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// completeState is the whole state as users see it.
type completeState struct {
	// Revision is that of the state: what --if-state-revision takes.
	Revision       uint64                                                 `json:"revision" yaml:"revision"`
	DesiredState   manifest.Document                                      `json:"desiredState" yaml:"desiredState"`
	WorkloadStates map[string]map[string]map[string]completeWorkloadState `json:"workloadStates" yaml:"workloadStates"`
	Agents         map[string]completeAgent                               `json:"agents" yaml:"agents"`
}

type completeWorkloadState struct {
	State          string `json:"state" yaml:"state"`
	SubState       string `json:"subState" yaml:"subState"`
	AdditionalInfo string `json:"additionalInfo" yaml:"additionalInfo"`
}

type completeAgent struct {
	Status *completeAgentStatus `json:"status,omitempty" yaml:"status,omitempty"`
	Tags   map[string]string    `json:"tags,omitempty" yaml:"tags,omitempty"`
}

type completeAgentStatus struct {
	CPUUsage   uint32 `json:"cpuUsage" yaml:"cpuUsage"`
	FreeMemory uint64 `json:"freeMemory" yaml:"freeMemory"`
}

func (a *app) getStateCommand() *cobra.Command {
	o := getOptions{}
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Show the whole state: what shall be, what is, and the agents",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check("yaml", "json"); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				state, err := c.GetState(cmd.Context(), &argosyv1.GetStateRequest{Consistency: o.consistency()})
				if err != nil {
					return err
				}
				a.tellStaleness(state.GetHeader())
				return a.encode(o.output, toCompleteState(state))
			})
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "yaml", "output format: yaml or json")
	cmd.Flags().BoolVar(&o.stale, "stale", false, "take what the server has, without asking the leader")
	return cmd
}

func toCompleteState(state *argosyv1.GetStateResponse) completeState {
	complete := completeState{
		Revision:       state.GetHeader().GetRevision(),
		DesiredState:   manifest.ToDocument(state.GetWorkloads(), state.GetConfigs()),
		WorkloadStates: map[string]map[string]map[string]completeWorkloadState{},
		Agents:         map[string]completeAgent{},
	}
	for _, s := range state.GetStates() {
		instance, execution := s.GetInstance(), s.GetExecution()
		byWorkload, ok := complete.WorkloadStates[instance.GetAgent()]
		if !ok {
			byWorkload = map[string]map[string]completeWorkloadState{}
			complete.WorkloadStates[instance.GetAgent()] = byWorkload
		}
		byID, ok := byWorkload[instance.GetWorkload()]
		if !ok {
			byID = map[string]completeWorkloadState{}
			byWorkload[instance.GetWorkload()] = byID
		}
		byID[instance.GetId()] = completeWorkloadState{execution.GetState().Name(), execution.SubstateName(), execution.GetAdditionalInfo()}
	}
	for _, agent := range state.GetAgents() {
		complete.Agents[agent.GetName()] = completeAgent{Tags: agent.GetTags()}
	}
	for _, status := range state.GetAgentStatuses() {
		if !status.GetConnected() {
			continue
		}
		agent := complete.Agents[status.GetName()]
		agent.Status = &completeAgentStatus{status.GetCpuPercent(), status.GetFreeMemoryBytes()}
		complete.Agents[status.GetName()] = agent
	}
	return complete
}
