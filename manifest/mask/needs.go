package mask

import (
	"maps"
	"slices"
)

// Names are names that something is limited to. The zero value is none.
type Names struct {
	// All is set when any name is meant; then Only is empty.
	All bool
	// Only are the names, sorted.
	Only []string
}

// None tells whether there is no name at all.
func (n Names) None() bool { return !n.All && len(n.Only) == 0 }

// Has tells whether a name is meant.
func (n Names) Has(name string) bool {
	_, found := slices.BinarySearch(n.Only, name)
	return n.All || found
}

// Needs say what of a state masks can select, without looking at one: whoever
// gathers the state need not ask for more.
type Needs struct {
	// Workloads and Configs are those of desiredState.
	Workloads, Configs Names
	// Effective are the workloads of effectiveState. What it takes to make them
	// (configs) is not counted.
	Effective Names
	// StateAgents and StateWorkloads limit workloadStates: only entries that both
	// have. Both are none when no state is needed.
	StateAgents, StateWorkloads Names
	// Agents are those of agents.
	Agents Names
}

// Needs returns what of a state the masks can select.
func (s *Set) Needs() Needs {
	root := steps{s.selects}
	byAgent := root.enter(workloadStates)
	return Needs{
		Workloads:      root.enter(desiredState).enter("workloads").wanted(),
		Configs:        root.enter(desiredState).enter("configs").wanted(),
		Effective:      root.enter(effectiveState).enter("workloads").wanted(),
		StateAgents:    byAgent.wanted(),
		StateWorkloads: byAgent.below().wanted(),
		Agents:         root.enter(agents).wanted(),
	}
}

// below returns the steps one name further, whatever the name.
func (active steps) below() steps {
	if active.whole() {
		return active
	}
	var next steps
	for _, a := range active {
		for _, child := range a.names {
			next = next.with(child)
		}
		next = next.with(a.any)
	}
	return next
}

// wanted returns the names of what is selected at least in part.
func (active steps) wanted() Names {
	if active.whole() || active.wild() {
		return Names{All: true}
	}
	return Names{Only: slices.Sorted(maps.Keys(active.names()))}
}
