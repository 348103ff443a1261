package sessions

import (
	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// A workload that moves from one agent to another is started on the new one only
// when the old one cannot have it any more. That it still may is known from
// three things, none of which is replicated:
//
//  1. Observed state has an instance of it on another agent, connected or not.
//     It goes when the agent reports it removed.
//  2. It was sent to another agent that has not said a word of it yet (a
//     flight). It lands when the agent reports that instance in any state, says
//     that it carried out the removal, or comes back in a new session and does
//     not name it in its full report.
//  3. This leader has not heard from another agent yet that the leader before
//     may have sent it to (an unsettled agent). An agent settles with its first
//     full report or its goodbye, all do when the session timeout is over: what
//     a lost agent had is in the mirror then, or was never known to any leader.
//
// This holds back only what an agent does not have: a workload that was sent to
// an agent, or that the agent says it holds, is never taken away by it.

// flight is a workload on its way to an agent.
type flight struct {
	instanceKey string
	session     *session
	removed     uint64 // revision with which its removal was sent; 0: it was not
}

// handoff knows which agents may have an instance that they have not reported.
// It is guarded by the assigner.
type handoff struct {
	began     uint64                         // revision at which the leadership began
	unsettled map[string]struct{}            // agents
	departed  map[string]struct{}            // older workloads deleted while agents were unsettled
	flights   map[string]map[string]*flight  // by agent and workload
	bound     map[string]map[string]struct{} // agents with a flight, by workload
}

func newHandoff(began uint64, unsettled map[string]struct{}) *handoff {
	return &handoff{
		began:     began,
		unsettled: unsettled,
		departed:  map[string]struct{}{},
		flights:   map[string]map[string]*flight{},
		bound:     map[string]map[string]struct{}{},
	}
}

// mayHave returns an agent other than the named one that may have a workload
// without having reported it.
func (h *handoff) mayHave(row *fsm.Row, agent string) (string, bool) {
	for other := range h.bound[row.Key] {
		if other != agent {
			return other, true
		}
	}
	if _, departed := h.departed[row.Key]; !departed && row.CreatedRevision > h.began {
		return "", false // no leader before this one can have sent it
	}
	for other := range h.unsettled {
		if other != agent {
			return other, true
		}
	}
	return "", false
}

// sent notes that a workload was sent to an agent.
func (h *handoff) sent(agent, workload string, f flight) {
	add(h.flights, agent, workload, &f)
	add(h.bound, workload, agent, struct{}{})
}

// removalSent notes that an agent was told to remove a workload.
func (h *handoff) removalSent(agent, workload string, revision uint64) {
	if f, ok := h.flights[agent][workload]; ok {
		f.removed = revision
	}
}

// landed notes that an agent has said something of an instance; it returns
// whether it was in flight.
func (h *handoff) landed(agent string, instance *argosyv1.InstanceName) bool {
	workload := instance.GetWorkload()
	f, ok := h.flights[agent][workload]
	if !ok || f.instanceKey != instance.Key() {
		return false
	}
	h.land(agent, workload)
	return true
}

func (h *handoff) land(agent, workload string) {
	remove(h.flights, agent, workload)
	remove(h.bound, workload, agent)
}

// landAll takes all flights to an agent that match out and returns their
// workloads.
func (h *handoff) landAll(agent string, match func(*flight) bool) []string {
	var landed []string
	for workload, f := range h.flights[agent] {
		if match(f) {
			landed = append(landed, workload)
		}
	}
	for _, workload := range landed {
		h.land(agent, workload)
	}
	return landed
}

func add[V any](m map[string]map[string]V, outer, inner string, value V) {
	if m[outer] == nil {
		m[outer] = map[string]V{}
	}
	m[outer][inner] = value
}

func remove[V any](m map[string]map[string]V, outer, inner string) {
	delete(m[outer], inner)
	if len(m[outer]) == 0 {
		delete(m, outer)
	}
}

// noteDeleted remembers a workload that is deleted while an agent that may have
// it has not been heard of: one of the same name made anew must wait for it.
func (h *handoff) noteDeleted(row *fsm.Row) {
	if len(h.unsettled) > 0 && row.CreatedRevision <= h.began {
		h.departed[row.Key] = struct{}{}
	}
}

// settle notes that an agent has told all it has; it returns whether this may
// have let something go.
func (h *handoff) settle(agent string) bool {
	if _, ok := h.unsettled[agent]; !ok {
		return false
	}
	delete(h.unsettled, agent)
	if len(h.unsettled) == 0 {
		clear(h.departed)
	}
	return len(h.unsettled) <= 1
}

// settleAll notes that the time in which agents are waited for is over.
func (h *handoff) settleAll() {
	clear(h.unsettled)
	clear(h.departed)
}
