package trial

import (
	"context"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// lookEvery is how often agents are looked at.
const lookEvery = 100 * time.Millisecond

// look records how far the agents are, over and over, until the context ends.
// Moments at which nobody answers leave no record.
func (t *trial) look(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		// The error says that nobody could tell.
		_, _ = t.agents(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// agents looks at the agents once, and tells whether all of them have done what
// they shall.
func (t *trial) agents(ctx context.Context) (converged bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	state, err := t.stage.client.GetState(ctx, &argosyv1.GetStateRequest{OmitStates: true, Names: t.traffic.Probes()})
	if err != nil {
		return false, err
	}
	at := t.clock()
	// An agent is told, and says, nothing of what changes for others.
	wanted := map[string]uint64{}
	for _, workload := range state.GetWorkloads() {
		wanted[workload.GetAgent()] = max(wanted[workload.GetAgent()], workload.GetRevision())
	}
	converged = len(state.GetAgentStatuses()) == len(t.stage.cluster.Agents)
	for _, agent := range state.GetAgentStatuses() {
		t.recorder.Look(history.Look{
			Agent: agent.GetName(), At: at, Connected: agent.GetConnected(), Converged: agent.GetConvergedRevision(), Wanted: wanted[agent.GetName()],
		})
		converged = converged && agent.GetConnected() && agent.GetConvergedRevision() >= wanted[agent.GetName()]
	}
	return converged, nil
}
