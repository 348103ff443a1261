package complete

import (
	"slices"

	"github.com/argosy-cluster/argosy/manifest/mask"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// StateRequest returns the least request that reads all that masks can select.
func StateRequest(masks *mask.Set) *argosyv1.GetStateRequest {
	needs := masks.Needs()
	request := &argosyv1.GetStateRequest{
		OmitWorkloads: needs.Workloads.None() && needs.Effective.None(),
		OmitStates:    needs.StateWorkloads.None() || needs.StateAgents.None(),
		OmitConfigs:   needs.Configs.None(),
		OmitAgents:    needs.Agents.None(),
		Names:         workloadsNeeded(needs),
	}
	if !needs.Configs.All {
		request.ConfigKeys = needs.Configs.Only
	}
	if request.OmitWorkloads && len(needs.StateAgents.Only) == 1 {
		request.Agent = needs.StateAgents.Only[0]
	}
	return request
}

// WatchRequest returns the least request that tells all changes of what masks can
// select.
func WatchRequest(masks *mask.Set) *argosyv1.WatchRequest {
	needs := masks.Needs()
	noWorkloads := needs.Workloads.None() && needs.Effective.None()
	noStates := needs.StateWorkloads.None() || needs.StateAgents.None()
	request := &argosyv1.WatchRequest{
		OmitDesired:  noWorkloads && needs.Configs.None(),
		OmitObserved: noStates && needs.Agents.None(),
		OmitConfigs:  needs.Configs.None(),
		OmitAgents:   needs.Agents.None(),
		Names:        workloadsNeeded(needs),
	}
	if noWorkloads && noStates {
		// No workload has the empty name.
		request.Names = []string{""}
	}
	return request
}

// workloadsNeeded returns the names of all workloads of which anything is needed;
// none means all of them.
func workloadsNeeded(needs mask.Needs) []string {
	if needs.Workloads.All || needs.Effective.All || needs.StateWorkloads.All {
		return nil
	}
	names := slices.Concat(needs.Workloads.Only, needs.Effective.Only, needs.StateWorkloads.Only)
	slices.Sort(names)
	return slices.Compact(names)
}
