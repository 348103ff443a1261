package sessions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

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
	read      bool
	built     uint64
	later     []edgeChange
	edges     edges
	audiences map[*session]*audience
	// listeners are those who want to know of a workload.
	listeners map[string]map[*audience]struct{}
	// instances are those that workloads with listeners ask for.
	instances map[string]wanted
}

// edgeChange is a change of one workload in desired state.
type edgeChange struct {
	name     string
	revision uint64
	needs    []string
	deleted  bool
}

func newNeighbours(machine Machine, store *observed.Store, cfg Config, log *slog.Logger) *neighbours {
	return &neighbours{
		machine: machine, store: store, limit: cfg.MaxMessage, log: log,
		edges:     newEdges(),
		audiences: map[*session]*audience{},
		listeners: map[string]map[*audience]struct{}{},
		instances: map[string]wanted{},
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
	found := map[string][]string{}
	for row := range view.Workloads() {
		if needs := needsOf(row); len(needs) > 0 {
			found[row.Key] = needs
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, needs := range found {
		n.edges.set(name, needs)
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

// noteChanged takes a change of a workload in desired state.
func (n *neighbours) noteChanged(before, after *fsm.Row, revision uint64) {
	var change edgeChange
	switch {
	case after != nil:
		change = edgeChange{name: after.Key, revision: revision, needs: needsOf(after)}
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
	before := n.edges.needs[c.name]
	for a := range n.listeners[c.name] {
		a.unclear[c.name] = struct{}{}
	}
	if c.deleted {
		if left := n.store.Reported(c.name); len(left) > 0 {
			n.edges.keep(c.name, left)
		}
	}
	n.edges.set(c.name, c.needs)
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
		names := n.edges.on(workload)
		if len(names) > 0 {
			names = append(names, workload)
		}
		n.setWanted(a, workload, union(a.needs[workload], names))
	}
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
		delete(n.instances, name)
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
			delete(a.toldDependents, workload) // the agent forgets it
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
	return append(concerned, n.recountOwners(n.edges.gone(instance, n.store.Reported(name)))...)
}

func (n *neighbours) tellAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.audiences {
		a.doubtAll()
		n.update(a)
	}
}
