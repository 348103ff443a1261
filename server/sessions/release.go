package sessions

import (
	"maps"
	"slices"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

// This file looks again at what is held back from agents, when what it waits for has
// come: a report, a good-bye, the removal of an agent, or the end of a time.

// reported looks again at what a report may have let go. It is called after the
// report is in the store; gone are the workloads of which it dropped an
// instance.
func (a *assigner) reported(s *session, r *argosyv1.StateReport, gone []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.targets[s.name]
	if !ok || t.session != s {
		return
	}
	for _, state := range r.GetStates() {
		found := a.handoff.found(s.name, state.GetInstance())
		if a.handoff.landed(s.name, state.GetInstance()) || found {
			gone = append(gone, state.GetInstance().GetWorkload())
		}
	}
	if r.GetFull() {
		gone = append(gone, a.handoff.landAll(s.name, func(f *flight) bool { return f.session != s })...)
		t.reported = true
		if _, waits := a.waiting[t]; waits {
			a.sendAll(a.machine.View(), t)
		}
		a.settle(s.name)
	}
	if len(gone) > 0 {
		a.release(gone)
	}
	if r.GetFull() || len(gone) > 0 {
		a.ledger.lookIfOwing(s.name)
	}
}

// converged looks again at what waits for an agent that has carried out all
// that it was told up to a revision.
func (a *assigner) converged(s *session, revision uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	landed := a.handoff.landAll(s.name, func(f *flight) bool {
		return f.session == s && f.removed != 0 && f.removed <= revision
	})
	if len(landed) > 0 {
		a.release(landed)
		a.ledger.lookIfOwing(s.name)
	}
}

// departed notes that an agent has said goodbye: it has told all there is, if it
// has told anything.
func (a *assigner) departed(s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t, ok := a.targets[s.name]; ok && t.session == s && t.reported {
		a.settle(s.name)
	}
}

// lost returns what an agent that is lost may have beyond what it has told.
func (a *assigner) lost(agent string) observed.Lost {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.handoff.lost(agent)
}

// settle looks again at what waited for an agent that has told all it has. The
// caller holds mu.
func (a *assigner) settle(agent string) {
	switch workloads, all := a.handoff.settle(agent); {
	case all:
		a.release(nil)
	case len(workloads) > 0:
		a.release(workloads)
	}
}

// deleted notes that an agent is not registered any more: nothing waits for it.
func (a *assigner) deleted(agent string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handoff.landAll(agent, func(*flight) bool { return true })
	a.handoff.settle(agent)
	a.release(nil)
}

// forgetRemoved forgets agents whose records were deleted while nobody looked: by a
// leader that was gone before observed state had followed, or among changes that
// were missed. Nobody could remove them again.
func (a *assigner) forgetRemoved() {
	agents := a.handoff.notHeard()
	for _, status := range a.store.Agents() {
		agents[status.GetName()] = struct{}{}
	}
	// Whoever is known by now was registered before.
	view := a.machine.View()
	for name := range agents {
		if _, registered := view.Agent(name); !registered {
			a.log.Info("agent was removed", "agent", name)
			a.agentDeleted(name)
		}
	}
}

// settleAll ends the time in which agents that the leader before may have sent
// something are waited for.
func (a *assigner) settleAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handoff.settleAll()
	a.release(nil)
	a.ledger.look(slices.Collect(maps.Keys(a.handoff.notHeard()))...)
}

// release looks again at workloads that were held back, all of them for nil, and
// then also at agents whose full sets were.
func (a *assigner) release(workloads []string) {
	view := a.machine.View()
	if workloads == nil {
		// For single workloads this is left to the full report that each of them
		// waits for: thousands may wait, and thousands of reports come.
		for t := range a.waiting {
			a.sendAll(view, t)
		}
	}
	if len(a.held) == 0 {
		return
	}
	if workloads == nil {
		for name := range a.held {
			workloads = append(workloads, name)
		}
		slices.Sort(workloads)
	}
	var touched []touch
	for _, name := range workloads {
		if _, held := a.held[name]; !held {
			continue
		}
		row, ok := view.Workload(name)
		if !ok || a.targets[row.Group] == nil {
			delete(a.held, name) // looked at again when the agent comes
			continue
		}
		touched = append(touched, touch{name, row.Group})
	}
	a.evaluate(touched)
}
