package sessions

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// What an agent that is gone has, though it is not to have it any more, must not
// be forgotten when all servers are started again: a workload of the same name
// that is made anew elsewhere would run twice. It is kept in two places.
//
//  1. The requests that are remembered say what was deleted and moved, and from
//     which agent. A new leader reads them (departures). That costs nothing, and
//     reaches back for ten minutes or 65,536 requests.
//  2. For longer than that it is in the durable record of the agent
//     (Agent.owing). It is written when the agent counts as lost, or was not heard
//     of by a new leader for as long as that takes, and from then on with each
//     change that adds to it; it is taken back when the agent has told what it has,
//     and nothing of that is left which it is not to have.
//
// So as long as agents are here, and while they change from one leader to the
// next, nothing is written.

// clearOwingAfter is how long records wait to be cleared, so that those of many
// agents are in one entry; also the pause after a write that failed.
const clearOwingAfter = time.Second

// departure is a workload that left an agent.
type departure = touch

// departures returns what the remembered requests say that was taken from some
// agents after a revision, if there is no workload of that name. Those that there
// are tell by themselves that they may be elsewhere: they were changed, or marked
// as they were made.
func departures(view *fsm.View, after uint64, agents map[string]struct{}) []departure {
	var all []departure
	seen := map[departure]struct{}{}
	var buffer []byte
	for _, result := range view.Results(after) {
		buffer = append(buffer[:0], result...)
		eachChange(buffer, func(change []byte) {
			d, ok := departureOf(change, agents)
			if _, known := seen[d]; !ok || known {
				return
			}
			if _, exists := view.Workload(d.workload); !exists {
				seen[d] = struct{}{}
				all = append(all, d)
			}
		})
	}
	return all
}

// Numbers of fields of WriteResult and WorkloadChange. They are read without
// decoding the rest: a new leader looks at tens of thousands.
const (
	fieldChanges       = 1
	fieldRendered      = 4
	fieldName          = 1
	fieldKind          = 2
	fieldAgent         = 3
	fieldPreviousAgent = 6
)

// eachChange calls a function with each encoded WorkloadChange of a WriteResult.
func eachChange(result []byte, with func(change []byte)) {
	eachField(result, func(number protowire.Number, value []byte, _ uint64) {
		if value != nil && (number == fieldChanges || number == fieldRendered) {
			with(value)
		}
	})
}

// departureOf returns what a change took from one of some agents.
func departureOf(change []byte, agents map[string]struct{}) (departure, bool) {
	var name, agent, previous []byte
	var kind argosyv1.ChangeKind
	eachField(change, func(number protowire.Number, value []byte, varint uint64) {
		switch number {
		case fieldName:
			name = value
		case fieldKind:
			kind = argosyv1.ChangeKind(varint)
		case fieldAgent:
			agent = value
		case fieldPreviousAgent:
			previous = value
		}
	})
	if kind != argosyv1.ChangeKind_CHANGE_KIND_DELETED {
		agent = previous
	}
	if _, ok := agents[string(agent)]; !ok {
		return departure{}, false
	}
	return departure{workload: string(name), agent: string(agent)}, true
}

// eachField calls a function with each field of an encoded message, up to one that
// is damaged: its bytes, or its number.
func eachField(message []byte, with func(number protowire.Number, value []byte, varint uint64)) {
	for len(message) > 0 {
		number, kind, length := protowire.ConsumeTag(message)
		if length < 0 {
			return
		}
		message = message[length:]
		var value []byte
		var varint uint64
		switch kind {
		case protowire.BytesType:
			value, length = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			varint, length = protowire.ConsumeVarint(message)
		default:
			length = protowire.ConsumeFieldValue(number, kind, message)
		}
		if length < 0 {
			return
		}
		message = message[length:]
		with(number, value, varint)
	}
}

// ledger keeps the records of what agents owe.
type ledger struct {
	registrar Registrar
	log       *slog.Logger
	// owing returns what the record of an agent is to say, false when it is right.
	owing func(agent string) (*argosyv1.Owing, bool)

	mu sync.Mutex
	// unsure are the agents whose records may have to be written.
	unsure map[string]struct{}
	// owe are those whose records say something.
	owe  map[string]struct{}
	wake chan struct{} // holds a token while somebody is unsure
}

func newLedger(registrar Registrar, owe map[string]struct{}, log *slog.Logger) *ledger {
	return &ledger{registrar: registrar, log: log, unsure: map[string]struct{}{}, owe: owe, wake: make(chan struct{}, 1)}
}

// look has the records of agents looked at.
func (l *ledger) look(agents ...string) {
	if len(agents) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, agent := range agents {
		l.unsure[agent] = struct{}{}
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// lookIfOwing is look for an agent that has removed something, perhaps.
func (l *ledger) lookIfOwing(agent string) {
	l.mu.Lock()
	_, owes := l.owe[agent]
	l.mu.Unlock()
	if owes {
		l.look(agent)
	}
}

// run writes records until ctx ends.
func (l *ledger) run(ctx context.Context) error {
	var later <-chan time.Time
	for {
		due := false
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-later:
			later, due = nil, true
		}
		if l.write(ctx, due) && later == nil {
			later = time.After(clearOwingAfter)
		}
	}
}

// write writes what has to be written now. It returns whether something is left
// for later: what only takes back waits until it is due.
func (l *ledger) write(ctx context.Context, due bool) (later bool) {
	l.mu.Lock()
	unsure := l.unsure
	l.unsure = map[string]struct{}{}
	l.mu.Unlock()
	changes := map[string]*argosyv1.Owing{}
	for agent := range unsure {
		if owing, differs := l.owing(agent); differs {
			changes[agent] = owing
			due = due || owing != nil
		}
	}
	if len(changes) == 0 {
		return false
	}
	if due {
		err := l.registrar.NoteOwing(ctx, changes)
		if err == nil {
			l.written(changes)
			return false
		}
		if ctx.Err() == nil {
			l.log.Warn("what agents owe was not written down; trying again", "agents", len(changes), "after", clearOwingAfter, "error", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for agent := range changes {
		l.unsure[agent] = struct{}{}
	}
	return true
}

func (l *ledger) written(changes map[string]*argosyv1.Owing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for agent, owing := range changes {
		if owing == nil {
			delete(l.owe, agent)
			continue
		}
		l.owe[agent] = struct{}{}
		if owing.GetAnything() {
			l.log.Warn("an agent that is gone may have any workload that was deleted: new ones wait until it is back or removed (argosy agent remove)", "agent", agent)
		}
	}
}

// records are the durable records of the agents when a leadership begins.
type records struct {
	// unheard may have what no leader was told; see unheard.
	unheard map[string]struct{}
	// owe are those that are known to owe something, anything those of unheard that
	// may have whatever was deleted, and departed what the others of unheard owe.
	owe, anything map[string]struct{}
	departed      []departure
}

// Numbers of fields of Agent.
const (
	fieldOwing   = 4
	fieldReturns = 5
)

// readRecord decodes the record of an agent if it says more than the agent does: a
// new leader looks at thousands.
func readRecord(row *fsm.Row) (*argosyv1.Agent, error) {
	more := false
	eachField(row.Value, func(number protowire.Number, _ []byte, _ uint64) {
		more = more || number == fieldOwing || number == fieldReturns
	})
	if !more {
		return &argosyv1.Agent{Name: row.Key}, nil
	}
	return row.Agent()
}

func (r *records) note(view *fsm.View, agent *argosyv1.Agent) {
	owing := agent.GetOwing()
	if owing == nil {
		return
	}
	r.owe[agent.GetName()] = struct{}{}
	if _, unheard := r.unheard[agent.GetName()]; !unheard {
		return
	}
	if owing.GetAnything() {
		r.anything[agent.GetName()] = struct{}{}
	}
	for _, name := range owing.GetWorkloads() {
		// As with departures, those that there are tell it by themselves.
		if _, exists := view.Workload(name); !exists {
			r.departed = append(r.departed, departure{workload: name, agent: agent.GetName()})
		}
	}
}

// owing returns what the record of an agent is to say, false when it is right as
// it is, or nothing can be said yet.
func (a *assigner) owing(agent string) (*argosyv1.Owing, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	view := a.machine.View()
	row, ok := view.Agent(agent)
	if !ok {
		return nil, false
	}
	record, err := row.Agent()
	if err != nil {
		a.log.Error("it cannot be written down what an agent owes", "agent", agent, "error", err)
		return nil, false
	}
	has := record.GetOwing()
	if t, here := a.targets[agent]; here {
		return nil, has != nil && t.reported && len(a.kept(view, agent)) == 0
	}
	if !a.gone(agent) {
		return nil, false
	}
	names := a.kept(view, agent)
	for _, name := range append(a.handoff.departedFrom(agent), has.GetWorkloads()...) {
		names[name] = struct{}{}
	}
	// What it is to have again, it does not owe.
	maps.DeleteFunc(names, func(name string, _ struct{}) bool { return runsOn(view, name, agent) })
	owing := &argosyv1.Owing{
		Workloads: slices.Sorted(maps.Keys(names)),
		Anything:  has.GetAnything() || a.handoff.mayHaveAnything(agent),
	}
	if owing.Anything || len(owing.Workloads) > argosyv1.MaxOwing {
		owing = &argosyv1.Owing{Anything: true}
	}
	if has == nil && len(owing.Workloads) == 0 && !owing.Anything || proto.Equal(owing, has) {
		return nil, false
	}
	return owing, true
}

// kept returns the workloads that an agent is known to have, or was sent, without
// being to have them.
func (a *assigner) kept(view *fsm.View, agent string) map[string]struct{} {
	names := map[string]struct{}{}
	_, states := a.store.On(agent)
	for _, state := range states {
		names[state.GetInstance().GetWorkload()] = struct{}{}
	}
	for _, name := range a.handoff.flightsTo(agent) {
		names[name] = struct{}{}
	}
	maps.DeleteFunc(names, func(name string, _ struct{}) bool { return runsOn(view, name, agent) })
	return names
}

func runsOn(view *fsm.View, workload, agent string) bool {
	row, ok := view.Workload(workload)
	return ok && row.Group == agent
}

// gone tells whether an agent has been away for so long that it counts as lost.
func (a *assigner) gone(agent string) bool {
	if status, known := a.store.Agent(agent); known {
		return !status.GetConnected()
	}
	return a.handoff.missing(agent)
}
