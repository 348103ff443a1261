package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) listAgentsCommand() *cobra.Command {
	list := a.getAgentsCommand()
	list.Use, list.Aliases, list.Short = "list", []string{"ls"}, "Show agents, as 'argosy get agents' does"
	return list
}

func (a *app) removeAgentCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Aliases: []string{"rm"},
		Short:   "Forget an agent that is gone for good",
		Long: `Remove forgets an agent whose machine is gone for good, and what is known of its
instances. Nothing waits for it any more: what was moved away from it starts elsewhere.

Make sure that the machine is off. What it still runs goes on unseen, and may then
run twice. Should the agent come back, it is a new one: it is told what it is to run,
and removes all else that it has.

It is refused when the agent is connected, or when workloads are assigned to it.`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeAgents,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				response, err := c.RemoveAgent(cmd.Context(), &argosyv1.RemoveAgentRequest{Name: args[0], Force: force})
				if err != nil {
					return err
				}
				a.tellForgotten(args[0], response.GetForgotten())
				fmt.Fprintf(a.out, "agent %s was removed\n", args[0])
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "remove it even if it is connected or workloads are assigned to it")
	return cmd
}

// tellForgotten warns of what may go on running.
func (a *app) tellForgotten(agent string, states []*argosyv1.WorkloadState) {
	if len(states) == 0 {
		return
	}
	var names []string
	for _, state := range states {
		names = append(names, state.GetInstance().GetWorkload())
	}
	slices.Sort(names)
	fmt.Fprintf(a.err, "warning: these may still run on the machine of agent %s, and nobody looks after them any more: %s\n",
		agent, strings.Join(slices.Compact(names), ", "))
}
