package sessions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

// neighbours tells each agent what it must know of workloads that others run, to
// start and stop its own in order, and nothing else.
//
// An agent is told the states of the workloads that its own depend on before it
// is told to run these: it would otherwise show them waiting for what is long
// there. It is told ahead of time who depends on its own, not when one of them
// is to be removed: by then it may have lost the servers.
//
// Who depends on a workload follows from desired state, with one exception: one
// that was deleted counts until no instance of it is left, since what it depends
// on may be deleted right after it. Only this leader knows of that; the agent
// takes over what it knows when it begins to remove. It is told, too, which instance
// each of them asks for, and one of its own that others depend on: who is to go on
// beside the next instance of a workload is not waited for.
type neighbours struct {
	machine Machine
	store   *observed.Store
	limit   int
	log     *slog.Logger

	mu sync.Mutex
	// read is set once the edges were read from desired state, of revision built.
	// later are the changes that came in before that.
	read  bool
	built uint64
	later []edgeChange
	// edges are the workloads that must run for another to run, by the name of the
	// latter; outgoing are those of workloads that were deleted but are still there.
	edges, outgoing map[string][]string
	// dependents are the edges the other way round.
	dependents map[string]map[string]struct{}
	audiences  map[*session]*audience
	// listeners are those who want to know of a workload.
	listeners map[string]map[*audience]struct{}
}

// edgeChange is a change of one workload in desired state.
type edgeChange struct {
	name     string
	revision uint64
	needs    []string
	deleted  bool
}

// awaitedByAgent is the place in own of what an agent says it waits for; no
// workload has this name.
const awaitedByAgent = ""

// audience is one session as far as it is told of neighbours.
type audience struct {
	session *session
	// own are the names that each of the agent's workloads makes it want to know,
	// and needs those of them that the workload depends on.
	own, needs map[string][]string
	// parting are those of them that the agent is to remove.
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

func newNeighbours(machine Machine, store *observed.Store, cfg Config, log *slog.Logger) *neighbours {
	return &neighbours{
		machine: machine, store: store, limit: cfg.MaxMessage, log: log,
		edges: map[string][]string{}, outgoing: map[string][]string{},
		dependents: map[string]map[string]struct{}{},
		audiences:  map[*session]*audience{},
		listeners:  map[string]map[*audience]struct{}{},
	}
}

// run reads who depends on whom, then tells agents of states as they change,
// until ctx ends.
func (n *neighbours) run(ctx context.Context) error {
	n.build(n.machine.View())
	_, changes := n.store.Subscribe()
	n.tellAll()
	for {
		batches, err := changes.Next(ctx)
		switch {
		case errors.Is(err, observed.ErrCompacted):
			_, changes = n.store.Subscribe()
			n.tellAll()
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("follow observed state: %w", err)
		default:
			n.observed(batches)
		}
	}
}

func (n *neighbours) build(view *fsm.View) {
	edges := map[string][]string{}
	for row := range view.Workloads() {
		if needs := running(n.dependenciesOf(row)); len(needs) > 0 {
			edges[row.Key] = needs
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, needs := range edges {
		n.setEdges(name, needs)
	}
	n.read, n.built = true, view.Revision()
	for _, change := range n.later {
		if change.revision > n.built {
			n.change(change)
		}
	}
	n.later = nil
	for _, a := range n.audiences {
		if a.whole {
			n.recount(a, slices.Collect(maps.Keys(a.needs)))
			n.account(a)
		}
	}
}

// dependenciesOf returns the dependencies of a workload; nil when it has none or
// cannot be read, which whoever assigns it complains of.
func (n *neighbours) dependenciesOf(row *fsm.Row) map[string]argosyv1.DependencyCondition {
	if !hasDependencies(row.Value) {
		return nil
	}
	w, err := row.Workload()
	if err != nil {
		return nil
	}
	return w.GetDependencies()
}

// Numbers of fields of Workload.
const (
	fieldDependencies  = 7
	fieldFiles         = 9
	fieldControlAccess = 10
)

// hasDependencies tells whether an encoded workload has dependencies.
func hasDependencies(value []byte) bool { return hasField(value, fieldDependencies) }

// needsAbilities tells whether an encoded workload needs an agent that can do more
// than those of the first release.
func needsAbilities(value []byte) bool {
	return hasField(value, fieldDependencies, fieldFiles, fieldControlAccess)
}

// hasField tells whether an encoded message has one of some fields, without
// decoding it: a new leader looks at every workload.
func hasField(value []byte, numbers ...protowire.Number) bool {
	for len(value) > 0 {
		number, kind, length := protowire.ConsumeTag(value)
		if length < 0 {
			return false
		}
		if slices.Contains(numbers, number) {
			return true
		}
		value = value[length:]
		if length = protowire.ConsumeFieldValue(number, kind, value); length < 0 {
			return false
		}
		value = value[length:]
	}
	return false
}

// running returns the names that have to run, in order.
func running(dependencies map[string]argosyv1.DependencyCondition) []string {
	var names []string
	for name, condition := range dependencies {
		if condition == argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// noteChanged takes a change of a workload in desired state.
func (n *neighbours) noteChanged(before, after *fsm.Row, revision uint64) {
	var change edgeChange
	switch {
	case after != nil:
		change = edgeChange{name: after.Key, revision: revision, needs: running(n.dependenciesOf(after))}
	default:
		change = edgeChange{name: before.Key, revision: revision, deleted: true}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case !n.read:
		n.later = append(n.later, change)
	case revision > n.built:
		for _, a := range n.change(change) {
			n.update(a)
		}
	}
}

// change takes a change into the edges; it returns whom that concerns.
func (n *neighbours) change(c edgeChange) []*audience {
	before := n.edges[c.name]
	for a := range n.listeners[c.name] {
		a.unclear[c.name] = struct{}{}
	}
	if c.deleted && len(n.store.Reported(c.name)) > 0 {
		n.outgoing[c.name] = union(n.outgoing[c.name], before)
	}
	n.setEdges(c.name, c.needs)
	concerned := maps.Clone(n.listeners[c.name])
	// Who depends on the others is as it was. There may be one that everybody depends
	// on, and each of these changes now and then.
	for _, a := range n.recountOwners(inOneOnly(before, c.needs)) {
		if concerned == nil {
			concerned = map[*audience]struct{}{}
		}
		concerned[a] = struct{}{}
	}
	return slices.Collect(maps.Keys(concerned))
}

// setEdges says on whom a workload depends, beside what is outgoing.
func (n *neighbours) setEdges(name string, needs []string) {
	for _, need := range n.edges[name] {
		if !slices.Contains(n.outgoing[name], need) {
			remove(n.dependents, need, name)
		}
	}
	if len(needs) == 0 {
		delete(n.edges, name)
	} else {
		n.edges[name] = needs
	}
	for _, need := range needs {
		add(n.dependents, need, name, struct{}{})
	}
}

// recountOwners looks anew at who depends on some workloads; it returns the
// audiences that have one of them.
func (n *neighbours) recountOwners(names []string) []*audience {
	if len(names) == 0 {
		return nil
	}
	var concerned []*audience
	for _, a := range n.audiences {
		var own []string
		for _, name := range names {
			if _, ok := a.own[name]; ok {
				own = append(own, name)
			}
		}
		if len(own) > 0 {
			n.recount(a, own)
			concerned = append(concerned, a)
		}
	}
	return concerned
}

// recount works out anew what an agent's workloads make it want to know.
func (n *neighbours) recount(a *audience, workloads []string) {
	for _, workload := range workloads {
		names := n.dependentsOf(workload)
		if len(names) > 0 {
			names = append(names, workload)
		}
		n.setWanted(a, workload, union(a.needs[workload], names))
	}
}

func (n *neighbours) dependentsOf(workload string) []string {
	return slices.Sorted(maps.Keys(n.dependents[workload]))
}

// setWanted says which names a workload makes an agent want to know.
func (n *neighbours) setWanted(a *audience, workload string, names []string) {
	before := a.own[workload]
	for _, name := range names {
		if a.wanted[name]++; a.wanted[name] == 1 {
			a.unclear[name] = struct{}{}
			n.listen(name, a)
		}
	}
	a.unclearOwn[workload] = struct{}{}
	for _, name := range before {
		if a.wanted[name]--; a.wanted[name] == 0 {
			delete(a.wanted, name)
			a.unclear[name] = struct{}{}
			n.unlisten(name, a)
		}
	}
	a.own[workload] = names
}

func (n *neighbours) listen(name string, a *audience) {
	if n.listeners[name] == nil {
		n.listeners[name] = map[*audience]struct{}{}
	}
	n.listeners[name][a] = struct{}{}
}

func (n *neighbours) unlisten(name string, a *audience) {
	delete(n.listeners[name], a)
	if len(n.listeners[name]) == 0 {
		delete(n.listeners, name)
	}
}

// join takes in a session whose agent knows what to do with neighbours. awaited
// are names that it waits for, whatever desired state says.
func (n *neighbours) join(s *session, awaited []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := &audience{
		session: s, own: map[string][]string{}, needs: map[string][]string{}, parting: map[string]struct{}{}, wanted: map[string]int{},
		told: map[string]string{}, toldDependents: map[string][]string{},
		unclear: map[string]struct{}{}, unclearOwn: map[string]struct{}{},
	}
	n.audiences[s] = a
	n.setWanted(a, awaitedByAgent, slices.Compact(slices.Sorted(slices.Values(awaited))))
}

func (n *neighbours) part(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, ok := n.audiences[s]
	if !ok {
		return
	}
	for name := range a.wanted {
		n.unlisten(name, a)
	}
	delete(n.audiences, s)
}

// sendAll tells an agent everything for a set of workloads that is all it has.
func (n *neighbours) sendAll(s *session, needs map[string][]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, ok := n.audiences[s]
	if !ok {
		return
	}
	for workload := range a.own {
		if _, stays := needs[workload]; !stays && workload != awaitedByAgent {
			n.leave(a, workload)
		}
	}
	n.enter(a, needs)
	a.whole = true
	n.account(a)
}

// send tells an agent what it must know before it gets workloads.
func (n *neighbours) send(s *session, needs map[string][]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a, ok := n.audiences[s]; ok && len(needs) > 0 {
		n.enter(a, needs)
		n.update(a)
	}
}

func (n *neighbours) enter(a *audience, needs map[string][]string) {
	for workload, names := range needs {
		delete(a.parting, workload)
		a.needs[workload] = names
		n.recount(a, []string{workload})
		for _, name := range names {
			a.unclear[name] = struct{}{} // what is known now, ahead of the next event
		}
	}
}

// removing notes that an agent was told to remove workloads. What they wait for
// stays of interest until they are gone.
func (n *neighbours) removing(s *session, workloads []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a, ok := n.audiences[s]; ok {
		for _, workload := range workloads {
			n.leave(a, workload)
		}
		n.update(a)
	}
}

func (n *neighbours) leave(a *audience, workload string) {
	if _, ok := a.own[workload]; !ok {
		return
	}
	for _, state := range n.store.Reported(workload) {
		if state.GetInstance().GetAgent() == a.session.name {
			a.parting[workload] = struct{}{}
			return
		}
	}
	n.forget(a, workload)
}

func (n *neighbours) forget(a *audience, workload string) {
	n.setWanted(a, workload, nil)
	delete(a.own, workload)
	delete(a.needs, workload)
	delete(a.parting, workload)
	delete(a.toldDependents, workload)
}

// observed takes changes of observed state.
func (n *neighbours) observed(batches []observed.Batch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	concerned := map[*audience]struct{}{}
	for _, batch := range batches {
		for _, state := range batch.States {
			name := state.GetInstance().GetWorkload()
			for a := range n.listeners[name] {
				a.unclear[name] = struct{}{}
				concerned[a] = struct{}{}
			}
			if state.GetExecution().GetState() == argosyv1.State_STATE_REMOVED {
				for _, a := range n.gone(state.GetInstance()) {
					concerned[a] = struct{}{}
				}
			}
		}
	}
	for a := range concerned {
		n.update(a)
	}
}

// gone takes note that an instance is gone; it returns whom that concerns.
func (n *neighbours) gone(instance *argosyv1.InstanceName) []*audience {
	name := instance.GetWorkload()
	var concerned []*audience
	for _, a := range n.audiences {
		if _, parting := a.parting[name]; parting && a.session.name == instance.GetAgent() {
			n.leave(a, name)
			concerned = append(concerned, a)
		}
	}
	outgoing, ok := n.outgoing[name]
	if !ok || len(n.store.Reported(name)) > 0 {
		return concerned
	}
	delete(n.outgoing, name)
	for _, need := range outgoing {
		if !slices.Contains(n.edges[name], need) {
			remove(n.dependents, need, name)
		}
	}
	return append(concerned, n.recountOwners(outgoing)...)
}

func (n *neighbours) tellAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.audiences {
		a.doubtAll()
		n.update(a)
	}
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
		if _, own := a.own[workload]; !own || workload == awaitedByAgent {
			continue
		}
		dependents := n.dependentsOf(workload)
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

// wantedOf returns the key of the instance that a workload asks for; empty for none.
func (n *neighbours) wantedOf(name string) string {
	row, exists := n.machine.View().Workload(name)
	if !exists || row.Group == "" {
		return ""
	}
	w, err := row.Workload()
	if err != nil {
		return ""
	}
	return argosyv1.InstanceOf(w).Key()
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

// union returns the names that are in either of two lists, in order.
func union(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// inOneOnly returns the names that are in one of two lists and not in the other.
func inOneOnly(a, b []string) []string {
	var names []string
	for _, name := range a {
		if !slices.Contains(b, name) {
			names = append(names, name)
		}
	}
	for _, name := range b {
		if !slices.Contains(a, name) {
			names = append(names, name)
		}
	}
	return names
}
