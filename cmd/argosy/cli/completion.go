package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// completionTimeout bounds what completion may take: a shell that hangs because
// the cluster is down helps nobody.
const completionTimeout = 700 * time.Millisecond

// readForCompletion reads a part of the state quickly, or gives up silently.
func (a *app) readForCompletion(cmd *cobra.Command, request *argosyv1.GetStateRequest) *argosyv1.GetStateResponse {
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, completionTimeout)
	defer cancel()
	request.Consistency = argosyv1.Consistency_CONSISTENCY_STALE
	var state *argosyv1.GetStateResponse
	// Without an answer there is nothing to offer.
	_ = a.withClient(func(c *client.Client) error {
		var err error
		state, err = c.GetState(ctx, request)
		return err
	})
	return state
}

func (a *app) completeWorkloads(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	state := a.readForCompletion(cmd, &argosyv1.GetStateRequest{OmitStates: true, OmitConfigs: true, OmitAgents: true})
	var names []string
	for _, w := range state.GetWorkloads() {
		names = append(names, w.GetName())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeAgents(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	state := a.readForCompletion(cmd, &argosyv1.GetStateRequest{OmitStates: true, OmitWorkloads: true, OmitConfigs: true})
	var names []string
	for _, agent := range state.GetAgents() {
		names = append(names, agent.GetName())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
