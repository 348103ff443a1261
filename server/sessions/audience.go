package sessions

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// awaitedByAgent is the place in own of what an agent says it waits for; no
// workload has this name.
const awaitedByAgent = ""

// audience is one session as far as it is told of neighbours.
type audience struct {
	session *session
	// own are the names that each of the agent's workloads makes it want to know,
	// and needs those of them that the workload depends on.
	own, needs map[string][]string
	// parting are those of them that the agent is to remove. It forgets who depends on
	// them, and is told again when it gets one back.
	parting map[string]struct{}
	wanted  map[string]int // how many of own want to know a name
	// whole is set once all of the agent's workloads are in own.
	whole bool
	// told is what the agent was last told.
	told           map[string]string
	toldDependents map[string][]string
	// unclear are the names, and the workloads of its own, of which there may be
	// something else to tell by now.
	unclear, unclearOwn map[string]struct{}
}

// doubtAll has everything looked at again.
func (a *audience) doubtAll() {
	for name := range a.wanted {
		a.unclear[name] = struct{}{}
	}
	for workload := range a.own {
		a.unclearOwn[workload] = struct{}{}
	}
}

// account tells an agent everything anew. Before it is known who depends on
// whom it is not said to be everything: the agent keeps what it knows.
func (n *neighbours) account(a *audience) {
	if !n.read {
		n.update(a)
		return
	}
	clear(a.told)
	clear(a.toldDependents)
	a.doubtAll()
	m := &argosyv1.Neighbours{}
	n.fill(a, m)
	n.put(a, m, true)
}

// update tells an agent what has changed since it was last told.
func (n *neighbours) update(a *audience) {
	m := &argosyv1.Neighbours{}
	n.fill(a, m)
	if len(m.Workloads)+len(m.Forgotten)+len(m.Dependents) > 0 {
		n.put(a, m, false)
	}
}

// fill adds what is unclear and has changed.
func (n *neighbours) fill(a *audience, m *argosyv1.Neighbours) {
	for name := range a.unclear {
		told, known := a.told[name]
		if a.wanted[name] == 0 {
			if known {
				delete(a.told, name)
				m.Forgotten = append(m.Forgotten, name)
			}
			continue
		}
		states, summary := n.statesFor(a, name)
		wanted := n.wantedOf(name)
		if summary += wanted; !known || told != summary {
			a.told[name] = summary
			m.Workloads = append(m.Workloads, &argosyv1.Neighbour{Name: name, States: states, Wanted: wanted})
		}
	}
	clear(a.unclear)
	if !n.read {
		return
	}
	for workload := range a.unclearOwn {
		_, own := a.own[workload]
		_, parting := a.parting[workload]
		if !own || parting || workload == awaitedByAgent {
			continue
		}
		dependents := n.edges.on(workload)
		if !slices.Equal(a.toldDependents[workload], dependents) {
			a.toldDependents[workload] = dependents
			m.Dependents = append(m.Dependents, &argosyv1.Dependents{Name: workload, Dependents: dependents})
		}
	}
	clear(a.unclearOwn)
}

// statesFor returns the states of a workload's instances that an agent does not
// know itself, with no more than it needs, and a text that tells them from others.
func (n *neighbours) statesFor(a *audience, name string) ([]*argosyv1.WorkloadState, string) {
	var states []*argosyv1.WorkloadState
	var summary strings.Builder
	for _, state := range n.store.Reported(name) {
		if state.GetInstance().GetAgent() == a.session.name {
			continue
		}
		e := state.GetExecution()
		states = append(states, &argosyv1.WorkloadState{
			Instance:  state.GetInstance(),
			Execution: &argosyv1.ExecutionState{State: e.GetState(), Substate: e.GetSubstate()},
		})
		fmt.Fprintf(&summary, "%s %d %d\n", state.GetInstance().Key(), e.GetState(), e.GetSubstate())
	}
	return states, summary.String()
}

// wanted is the instance that a workload asks for, by its row of a revision.
type wanted struct {
	revision uint64
	key      string
}

// wantedOf returns the key of the instance that a workload asks for; empty for none.
func (n *neighbours) wantedOf(name string) string {
	row, exists := n.machine.View().Workload(name)
	if !exists || row.Group == "" {
		return ""
	}
	known, ok := n.instances[name]
	if !ok || known.revision != row.Revision {
		w, err := row.Workload()
		if err != nil {
			return ""
		}
		known = wanted{row.Revision, argosyv1.InstanceOf(w).Key()}
		n.instances[name] = known
	}
	return known.key
}

// put sends an account in messages of a bounded size.
func (n *neighbours) put(a *audience, m *argosyv1.Neighbours, full bool) {
	var parts []queued
	part := &argosyv1.Neighbours{Full: full, Forgotten: m.Forgotten}
	size := proto.Size(part)
	flush := func(partial bool) {
		part.Partial = partial
		parts = append(parts, queued{
			message: &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Neighbours{Neighbours: part}},
			size:    size + controlSize,
		})
		part, size = &argosyv1.Neighbours{Full: full}, 0
	}
	room := func(need int) {
		if size > 0 && size+need > n.limit {
			flush(full)
		}
		size += need
	}
	for _, w := range m.Workloads {
		room(proto.Size(w))
		part.Workloads = append(part.Workloads, w)
	}
	for _, d := range m.Dependents {
		room(proto.Size(d))
		part.Dependents = append(part.Dependents, d)
	}
	flush(false)
	if err := a.session.put(parts...); err != nil {
		n.log.Debug("neighbours not queued", "agent", a.session.name, "error", err)
	}
}
