package sessions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/argosy-cluster/argosy/fsm"
	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

// assigner tells each agent what desired state wants of it. It is level
// triggered: an event only says which workload to look at again, what is sent
// follows from the state as it is then and from what was sent before.
type assigner struct {
	machine Machine
	store   *observed.Store
	term    uint64
	limit   int
	log     *slog.Logger
	// agentDeleted is called for each agent whose record was deleted.
	agentDeleted func(name string)
	neighbours   *neighbours
	ledger       *ledger
	beginning    *fsm.View // desired state when the leadership began

	mu       sync.Mutex
	revision uint64 // all changes up to it were distributed
	targets  map[string]*target
	handoff  *handoff
	waiting  map[*target]struct{} // those whose full set waits for their full report
	held     map[string]struct{}  // workloads held back from an agent that is here
}

// target is the session of an agent as the assigner sees it.
type target struct {
	session  *session
	sent     map[string]uint64 // revision of each workload that it was sent or holds
	revision uint64            // highest that it was told
	reported bool              // its full report has come
	// abilities are what the agent can do beyond the first release.
	abilities uint32
}

func newAssigner(machine Machine, store *observed.Store, registrar Registrar, view *fsm.View, term uint64, cfg Config, log *slog.Logger) *assigner {
	known := readRecords(view, store, log)
	a := &assigner{
		machine:    machine,
		store:      store,
		term:       term,
		limit:      cfg.MaxMessage,
		log:        log,
		revision:   view.Revision(),
		targets:    map[string]*target{},
		handoff:    newHandoff(view.Revision(), len(store.Agents()) > 0, known, doubtful(view, known.unheard)),
		neighbours: newNeighbours(machine, store, cfg, log),
		ledger:     newLedger(registrar, known.owe, log),
		beginning:  view,
		waiting:    map[*target]struct{}{},
		held:       map[string]struct{}{},
	}
	a.ledger.owing = a.owing
	return a
}

// learn reads what left agents before the leadership that this leader has not
// heard of. What is new waits for that.
func (a *assigner) learn() {
	view := a.beginning
	a.beginning = nil
	unheard := a.handoff.notHeard()
	if len(unheard) == 0 {
		return
	}
	a.handoff.learn(departures(view, 0, unheard))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.release(nil)
}

// run distributes the changes of desired state until ctx ends. It is the one
// goroutine that does, for all agents.
func (a *assigner) run(ctx context.Context, changes *fsm.Subscription) error {
	for {
		batches, err := changes.Next(ctx)
		switch {
		case errors.Is(err, fsm.ErrCompacted):
			var view *fsm.View
			if view, changes, err = viewAndChanges(a.machine); err != nil {
				return fmt.Errorf("follow desired state: %w", err)
			}
			a.log.Warn("changes of desired state were missed; sending all assignments again", "revision", view.Revision())
			a.resync(view)
			a.forgetRemoved()
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("follow desired state: %w", err)
		default:
			a.distribute(batches)
		}
	}
}

// touch is a workload that may have changed for an agent.
type touch struct{ workload, agent string }

func (a *assigner) distribute(batches []fsm.Batch) {
	var deleted []string
	a.mu.Lock()
	touched, seen := []touch(nil), map[touch]struct{}{}
	look := func(row *fsm.Row) {
		if row == nil || row.Group == "" {
			return
		}
		t := touch{row.Key, row.Group}
		if _, ok := seen[t]; !ok {
			seen[t] = struct{}{}
			touched = append(touched, t)
		}
	}
	for _, batch := range batches {
		for _, change := range batch.Changes {
			switch kindOf(change) {
			case argosyv1.RowKind_ROW_KIND_WORKLOAD:
				a.handoff.noteChanged(change.Before, change.After)
				a.neighbours.noteChanged(change.Before, change.After, batch.Revision)
				look(change.Before)
				look(change.After)
				a.noteOwing(change.Before, change.After)
			case argosyv1.RowKind_ROW_KIND_AGENT:
				if change.After == nil {
					deleted = append(deleted, change.Before.Key)
				}
			}
		}
		a.revision = max(a.revision, batch.Revision)
	}
	// Whatever was sent by an older state was sent before mu was taken, and from
	// now on nothing is.
	a.handoff.note(a.revision)
	a.evaluate(touched)
	a.mu.Unlock()
	for _, name := range deleted {
		a.agentDeleted(name)
	}
}

// noteOwing has the record of an agent looked at that is not here while a workload
// is taken from it.
func (a *assigner) noteOwing(before, after *fsm.Row) {
	if before == nil || before.Group == "" || after != nil && after.Group == before.Group {
		return
	}
	if _, here := a.targets[before.Group]; !here {
		a.ledger.look(before.Group)
	}
}

func kindOf(c fsm.Change) argosyv1.RowKind {
	if c.After != nil {
		return c.After.Kind
	}
	return c.Before.Kind
}

// evaluate looks at workloads again and sends the agents what follows. The
// caller holds mu.
func (a *assigner) evaluate(touched []touch) {
	view := a.machine.View()
	outgoing := map[*target]*assignments{}
	to := func(t *target) *assignments {
		messages, ok := outgoing[t]
		if !ok {
			// The view may be ahead of the changes that were distributed: what is
			// sent is complete only up to the latter.
			t.revision = max(t.revision, a.revision)
			messages = &assignments{term: a.term, revision: t.revision, limit: a.limit, log: a.log}
			outgoing[t] = messages
		}
		return messages
	}
	for _, touch := range touched {
		t, ok := a.targets[touch.agent]
		if _, waits := a.waiting[t]; !ok || waits {
			continue
		}
		row, exists := view.Workload(touch.workload)
		if !exists {
			delete(a.held, touch.workload)
		}
		sent, has := t.sent[touch.workload]
		switch {
		case exists && row.Group == touch.agent:
			if has && sent == row.Revision || a.unfit(t, row) || !has && a.blocked(row, touch.agent) {
				continue
			}
			a.upsert(to(t), t, row)
		case has:
			to(t).remove(touch.workload)
			delete(t.sent, touch.workload)
			a.handoff.removalSent(touch.agent, touch.workload, t.revision)
		}
	}
	told := 0
	for t, messages := range outgoing {
		a.put(t, messages)
		if told++; told%breather == 0 {
			runtime.Gosched()
		}
	}
}

// breather is after how many agents that were told something everybody else gets
// a turn of the processor: each of them wakes two goroutines, and thousands that
// wait for a turn at the same moment would make Raft's heartbeats wait behind
// them.
const breather = 32

// unfit tells whether an agent is too old for a workload: it would run it without
// what it does not know of. An instance of an older version of it is left alone.
func (a *assigner) unfit(t *target, row *fsm.Row) bool {
	if t.abilities >= argosyv1.AbilityNeighbours || !needsAbilities(row.Value) {
		return false
	}
	if _, known := a.held[row.Key]; !known {
		a.log.Warn("workload held back: its agent is too old for dependencies, files and control interfaces; upgrade it", "workload", row.Key, "agent", t.session.name)
		a.held[row.Key] = struct{}{}
	}
	return true
}

// blocked tells whether a workload is held back from an agent that does not
// have it, and remembers that.
func (a *assigner) blocked(row *fsm.Row, agent string) bool {
	other, blocked := a.store.Elsewhere(row.Key, agent)
	if !blocked {
		other, blocked = a.handoff.mayHave(row, agent)
	}
	if !blocked && row.Revision > a.revision {
		// Where it was before is known when the change is distributed.
		other, blocked = a.handoff.mayHaveAny(agent)
	}
	if planted.On(planted.EarlyMove) || planted.On(planted.EmptyMemory) && a.targets[other] == nil {
		blocked = false
	}
	if blocked {
		if _, known := a.held[row.Key]; !known {
			level := slog.LevelInfo
			if planted.On(planted.FalseAlarm) {
				level = slog.LevelError
			}
			a.log.Log(context.Background(), level, "workload held back until another agent has removed it", "workload", row.Key, "agent", agent, "other", other)
		}
		a.held[row.Key] = struct{}{}
	} else {
		delete(a.held, row.Key)
	}
	return blocked
}

func (a *assigner) upsert(messages *assignments, t *target, row *fsm.Row) {
	w := messages.upsert(row)
	if w == nil {
		return
	}
	t.sent[row.Key] = row.Revision
	delete(a.held, row.Key)
	messages.noteNeeds(w)
	// What observed state has from before the agent's report may be what it was
	// and is no more, or what it may have: the report, which can have been on its
	// way already, replaces that.
	if instance := argosyv1.InstanceOf(w); !t.reported || !a.store.Has(instance.Key()) {
		a.handoff.sent(t.session.name, row.Key, flight{instance: instance, session: t.session})
	}
}

func (a *assigner) put(t *target, messages *assignments) {
	if messages.full {
		a.neighbours.sendAll(t.session, messages.needs)
	} else {
		a.neighbours.send(t.session, messages.needs)
		a.neighbours.removing(t.session, messages.removals)
	}
	if err := t.session.put(messages.finish()...); err != nil {
		a.log.Debug("assignments not queued", "agent", t.session.name, "error", err)
	}
}

// attach welcomes a session and gives it what it needs to be current.
func (a *assigner) attach(s *session, hello *argosyv1.AgentHello, welcome *argosyv1.Welcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	view := a.machine.View()
	t := &target{session: s, sent: map[string]uint64{}, revision: view.Revision(), abilities: hello.GetAbilities()}
	if old, ok := a.targets[s.name]; ok {
		a.forget(old)
	}
	a.targets[s.name] = t
	if hello.GetAbilities() >= argosyv1.AbilityNeighbours {
		a.neighbours.join(s, hello.GetAwaited())
		welcome.NeighboursFollow = true
	}
	welcome.AssignmentsCurrent = a.current(view, t, hello)
	if err := s.Send(&argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Welcome{Welcome: welcome}}); err != nil {
		return
	}
	if welcome.AssignmentsCurrent {
		a.neighbours.sendAll(s, a.needsOf(view, t))
	} else {
		a.sendAll(view, t)
	}
	if planted.On(planted.HastyHeir) {
		a.inherit(view, t)
	}
}

// needsOf returns the names that each workload which an agent holds depends on.
func (a *assigner) needsOf(view *fsm.View, t *target) map[string][]string {
	needs := make(map[string][]string, len(t.sent))
	for name := range t.sent {
		if row, ok := view.Workload(name); ok {
			needs[name] = slices.Sorted(maps.Keys(dependenciesOf(row)))
		}
	}
	return needs
}

// inherit is the bug HastyHeir.
func (a *assigner) inherit(view *fsm.View, t *target) {
	messages := &assignments{term: a.term, revision: t.revision, limit: a.limit, log: a.log}
	for agent := range view.Agents() {
		if a.targets[agent.Key] != nil {
			continue
		}
		for row := range view.WorkloadsOf(agent.Key) {
			if w := messages.upsert(row); w != nil {
				w.Agent = t.session.name
			}
		}
	}
	a.put(t, messages)
}

// current tells whether the agent holds what it should hold, and notes that it
// does. An agent that holds nothing is never current, not even when it should
// hold nothing: it has to be told so before it may clear away what it finds.
func (a *assigner) current(view *fsm.View, t *target, hello *argosyv1.AgentHello) bool {
	if hello.GetAssignmentRevision() == 0 {
		return false
	}
	if planted.On(planted.TakenForCurrent) {
		return true
	}
	hold := func(rows []*fsm.Row) bool {
		if !bytes.Equal(hashOf(rows), hello.GetAssignmentHash()) {
			return false
		}
		for _, row := range rows {
			t.sent[row.Key] = row.Revision
		}
		return true
	}
	all := slices.Collect(view.WorkloadsOf(t.session.name))
	if hold(all) {
		return true
	}
	open := a.open(all, t)
	return len(open) < len(all) && hold(open)
}

// open returns the rows that are not held back from an agent.
func (a *assigner) open(rows []*fsm.Row, t *target) []*fsm.Row {
	var open []*fsm.Row
	for _, row := range rows {
		if !a.unfit(t, row) && !a.blocked(row, t.session.name) {
			open = append(open, row)
		}
	}
	return open
}

// mayBeElsewhere tells whether an agent other than the named one may have an
// instance of a workload of this name that was deleted with a revision or before.
func (a *assigner) mayBeElsewhere(workload, agent string, deleted uint64) bool {
	// In this order: what lands is in the store by then.
	if a.handoff.mayHaveNew(workload, agent, deleted) {
		return true
	}
	_, elsewhere := a.store.Elsewhere(workload, agent)
	return elsewhere
}

// sendAll sends an agent its full set. Which of what is held back the agent has
// nevertheless is known once it has reported, so it waits for that: what it has
// must not be missing in the set.
func (a *assigner) sendAll(view *fsm.View, t *target) {
	all := slices.Collect(view.WorkloadsOf(t.session.name))
	open := a.open(all, t)
	if len(open) < len(all) && !t.reported {
		a.waiting[t] = struct{}{}
		return
	}
	delete(a.waiting, t)
	t.revision = max(t.revision, view.Revision())
	messages := &assignments{term: a.term, revision: t.revision, full: true, limit: a.limit, log: a.log}
	clear(t.sent)
	at := 0
	for _, row := range all {
		isOpen := at < len(open) && open[at] == row
		if isOpen {
			at++
		}
		if isOpen || a.runs(row, t.session.name) {
			a.upsert(messages, t, row)
		}
	}
	a.put(t, messages)
}

// runs tells whether an agent has an instance of a workload that it has not
// begun to stop.
func (a *assigner) runs(row *fsm.Row, agent string) bool {
	for _, state := range a.store.Reported(row.Key) {
		if state.GetInstance().GetAgent() == agent && state.GetExecution().GetState() != argosyv1.State_STATE_STOPPING {
			return true
		}
	}
	return false
}

// resync sends all agents their full sets, after changes were missed.
func (a *assigner) resync(view *fsm.View) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handoff.noteMissed(view, a.store, a.revision)
	a.revision = max(a.revision, view.Revision())
	a.handoff.note(a.revision)
	for row := range view.Agents() {
		if _, here := a.targets[row.Key]; !here {
			a.ledger.look(row.Key)
		}
	}
	for _, t := range a.targets {
		if _, waits := a.waiting[t]; !waits {
			a.sendAll(view, t)
		}
	}
}

// detach forgets a session. What is on its way to it stays known.
func (a *assigner) detach(s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t, ok := a.targets[s.name]; ok && t.session == s {
		a.forget(t)
	}
}

func (a *assigner) forget(t *target) {
	a.neighbours.part(t.session)
	delete(a.targets, t.session.name)
	delete(a.waiting, t)
}
