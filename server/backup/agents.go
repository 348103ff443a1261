package backup

import (
	"fmt"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// ownAgents returns the records of agents that a restore leaves in the state: all
// that are registered at present. An agent is a machine and no wish: it runs what it
// runs, whatever the backup knows of it, and what it may have is waited for until it
// is back or removed. Of what users say of an agent that the backup knows, they have
// what the backup has.
//
// What a restore takes from an agent it owes. It is told by no remembered request,
// as other deletes are, for these are dropped.
func ownAgents(backup, present *fsm.View) ([]fsm.Own, error) {
	taken := map[string][]string{}
	for row := range present.Workloads() {
		if _, stays := backup.Workload(row.Key); !stays && row.Group != "" {
			taken[row.Group] = append(taken[row.Group], row.Key)
		}
	}
	var own []fsm.Own
	for row := range present.Agents() {
		agent, err := row.Agent()
		if err != nil {
			return nil, fmt.Errorf("keep agents: %w", err)
		}
		agent.CreatedRevision, agent.Revision = 0, 0
		owing := &argosyv1.Owing{Workloads: taken[agent.GetName()]}
		if row, ok := backup.Agent(agent.GetName()); ok {
			known, err := row.Agent()
			if err != nil {
				return nil, fmt.Errorf("keep agents: %w", err)
			}
			agent.UserTags = known.GetUserTags()
			agent.Returns = max(agent.GetReturns(), known.GetReturns())
			// The present may be older than the backup, after a recovery.
			owing = owing.And(known.GetOwing())
		}
		agent.Owing = owing.And(agent.GetOwing())
		own = append(own, fsm.Own{Kind: argosyv1.RowKind_ROW_KIND_AGENT, Key: agent.GetName(), Message: agent})
	}
	return own, nil
}
