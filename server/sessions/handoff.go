package sessions

import (
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

// A workload that moves from one agent to another is started on the new one only
// when the old one cannot have it any more. That it still may is known from
// three things, none of which is replicated; the first is mirrored:
//
//  1. Observed state has an instance of it on another agent, connected or not.
//     It goes when the agent reports it removed.
//  2. It was sent to another agent that has not said a word of it yet (a
//     flight). It lands when the agent reports that instance in any state, says
//     that it carried out the removal, or comes back in a new session and does
//     not name it in its full report. When the agent is lost, its flights become
//     instances of observed state: a later leader, which knows of no flight, and
//     waits for no agent that the mirror says is gone, must know of them.
//  3. This leader has not heard from another agent yet that the leader before
//     may have sent it to. An agent is heard with its first full report or its
//     goodbye. All older workloads wait for such agents until the session timeout
//     is over (the agents settle); after it those do that may really be there.
//     Without a mirror newer ones wait, too, until the agents settle.
//
// What an agent that is still not heard of has need not be in the mirror: it was
// sent shortly before its leader went, or all servers were started again and no
// mirror was left. So a workload goes on waiting for it that this leader saw
// leaving it, and one that had been changed before this leader began, and may
// thereby have left any agent, until an agent speaks of it: where it is, or was
// until now, it is nowhere else. One that is new was not changed, but another one
// of its name may have been deleted: the writer asks (mayHaveNew), and says in the
// new one's row if that may be somewhere still. That takes no entry, no row that
// outlives its workload, and nobody who cleans it up: the mark counts only for
// agents that a leader has not heard of. That nobody has heard of an agent is mirrored,
// too, with its loss: the next leader waits for it in the same way. What was
// deleted before this leader began, or moved away first, is remembered without a
// mirror, too; see owing.go.
//
// This holds back only what an agent does not have: a workload that was sent to
// an agent, or that the agent says it holds, is never taken away by it.

// flight is a workload on its way to an agent.
type flight struct {
	instance *argosyv1.InstanceName
	session  *session
	removed  uint64 // revision with which its removal was sent; 0: it was not
}

// handoff knows which agents may have an instance that they have not reported.
// The assigner changes it; the writer asks it, and must not wait for the assigner.
type handoff struct {
	began    uint64 // revision at which the leadership began
	mirrored bool   // observed state was there when it began

	mu        sync.Mutex
	noted     uint64                         // changes up to it were noted, and what was sent before they were known
	unsettled map[string]struct{}            // agents
	departed  map[string]struct{}            // older workloads deleted while agents were unsettled
	unheard   map[string]struct{}            // agents; those that are unsettled are among them
	left      map[string]map[string]struct{} // unheard agents that it left, by workload
	doubtful  map[string]struct{}            // workloads that any unheard agent may have
	anything  map[string]struct{}            // unheard agents that may have whatever was deleted before
	learned   bool                           // it was read what left unheard agents before the leadership
	flights   map[string]map[string]*flight  // by agent and workload
	bound     map[string]map[string]struct{} // agents with a flight, by workload
}

func newHandoff(began uint64, mirrored bool, known *records, doubtful map[string]struct{}) *handoff {
	h := &handoff{
		began:     began,
		mirrored:  mirrored,
		noted:     began,
		unsettled: maps.Clone(known.unheard),
		departed:  map[string]struct{}{},
		unheard:   known.unheard,
		left:      map[string]map[string]struct{}{},
		doubtful:  doubtful,
		anything:  known.anything,
		learned:   len(known.unheard) == 0,
		flights:   map[string]map[string]*flight{},
		bound:     map[string]map[string]struct{}{},
	}
	for _, d := range known.departed {
		add(h.left, d.workload, d.agent, struct{}{})
	}
	return h
}

// readRecords reads what is known of the agents. Unheard are those that may have
// what no leader was told: all that are registered, but for those of which the
// mirror knows that they are gone and what they may have. It does not know that of
// one which came back after it had heard of its loss.
func readRecords(view *fsm.View, store *observed.Store, log *slog.Logger) *records {
	known := &records{unheard: map[string]struct{}{}, owe: map[string]struct{}{}, anything: map[string]struct{}{}}
	for row := range view.Agents() {
		agent, err := readRecord(row)
		if err != nil {
			log.Error("the record of an agent cannot be read: it may have anything", "agent", row.Key, "error", err)
			known.unheard[row.Key], known.anything[row.Key] = struct{}{}, struct{}{}
			continue
		}
		status, ok := store.Agent(row.Key)
		if !ok || status.GetConnected() || status.GetUnheard() || status.GetReturns() < agent.GetReturns() {
			known.unheard[row.Key] = struct{}{}
		}
		known.note(view, agent)
	}
	return known
}

// doubtful returns the workloads of which desired state does not tell that they
// never were on another agent than now: those that were changed, and those that
// were made when another one of their name was not gone yet. They are not looked
// for when there is no agent that they could be on.
func doubtful(view *fsm.View, unheard map[string]struct{}) map[string]struct{} {
	workloads := map[string]struct{}{}
	if len(unheard) == 0 {
		return workloads
	}
	for row := range view.Workloads() {
		if row.Revision > row.CreatedRevision || argosyv1.IsDisplacing(row.Value) {
			workloads[row.Key] = struct{}{}
		}
	}
	return workloads
}

// mayHave returns an agent other than the named one that may have a workload
// without having reported it.
func (h *handoff) mayHave(row *fsm.Row, agent string) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mayHaveLocked(row, agent)
}

func (h *handoff) mayHaveLocked(row *fsm.Row, agent string) (string, bool) {
	if other, ok := otherThan(agent, h.bound[row.Key]); ok {
		return other, true
	}
	if other, ok := otherThan(agent, h.left[row.Key]); ok {
		return other, true
	}
	if _, doubtful := h.doubtful[row.Key]; doubtful {
		return otherThan(agent, h.unheard)
	}
	if row.CreatedRevision > h.began {
		if other, ok := otherThan(agent, h.anything); ok {
			return other, true
		}
		if !h.learned {
			return otherThan(agent, h.unheard)
		}
		if _, departed := h.departed[row.Key]; !departed && h.mirrored {
			return "", false // no leader before this one can have sent it
		}
	}
	return otherThan(agent, h.unsettled)
}

// mayHaveNew tells the same of a workload that is being made, of which nobody
// has been sent anything but of others of its name. These were all deleted with a
// revision or before; as long as that has not been noted, they may be anywhere.
func (h *handoff) mayHaveNew(workload, agent string, deleted uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.noted < deleted {
		return true
	}
	_, may := h.mayHaveLocked(&fsm.Row{Key: workload, CreatedRevision: math.MaxUint64}, agent)
	return may
}

// mayHaveAny returns an agent other than the named one that has not been heard
// of.
func (h *handoff) mayHaveAny(agent string) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return otherThan(agent, h.unheard)
}

// learn notes what left agents before the leadership.
func (h *handoff) learn(all []departure) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noteDepartures(all)
	h.learned = true
}

func (h *handoff) noteDepartures(all []departure) {
	for _, d := range all {
		if _, unheard := h.unheard[d.agent]; unheard {
			add(h.left, d.workload, d.agent, struct{}{})
		}
	}
}

// departedFrom returns the workloads that left an agent which has not been heard
// of.
func (h *handoff) departedFrom(agent string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var workloads []string
	for workload, agents := range h.left {
		if _, ok := agents[agent]; ok {
			workloads = append(workloads, workload)
		}
	}
	return workloads
}

// mayHaveAnything tells whether an agent may have whatever was deleted before.
func (h *handoff) mayHaveAnything(agent string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, may := h.anything[agent]
	return may
}

// flightsTo returns the workloads on their way to an agent.
func (h *handoff) flightsTo(agent string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.flights[agent]))
}

// missing tells whether an agent has not been heard of for longer than it may take.
func (h *handoff) missing(agent string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, unheard := h.unheard[agent]
	_, unsettled := h.unsettled[agent]
	return unheard && !unsettled
}

// notHeard returns the agents that have not been heard of.
func (h *handoff) notHeard() map[string]struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.unheard)
}

// note says that all changes up to a revision were noted.
func (h *handoff) note(revision uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noted = max(h.noted, revision)
}

func otherThan(agent string, agents map[string]struct{}) (string, bool) {
	for other := range agents {
		if other != agent {
			return other, true
		}
	}
	return "", false
}

// sent notes that a workload was sent to an agent.
func (h *handoff) sent(agent, workload string, f flight) {
	h.mu.Lock()
	defer h.mu.Unlock()
	add(h.flights, agent, workload, &f)
	add(h.bound, workload, agent, struct{}{})
}

// removalSent notes that an agent was told to remove a workload.
func (h *handoff) removalSent(agent, workload string, revision uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f, ok := h.flights[agent][workload]; ok {
		f.removed = revision
	}
}

// landed notes that an agent has said something of an instance; it returns
// whether it was in flight.
func (h *handoff) landed(agent string, instance *argosyv1.InstanceName) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	workload := instance.GetWorkload()
	f, ok := h.flights[agent][workload]
	if !ok || f.instance.GetId() != instance.GetId() || instance.GetAgent() != agent {
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
	h.mu.Lock()
	defer h.mu.Unlock()
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

// lost returns what an agent that is lost may have beyond what it has told.
func (h *handoff) lost(agent string) observed.Lost {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lost observed.Lost
	for _, f := range h.flights[agent] {
		lost.Unspoken = append(lost.Unspoken, f.instance)
	}
	_, lost.Unheard = h.unheard[agent]
	return lost
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

// noteChanged remembers what a workload was when this leader began, if an agent
// that has not been heard of may have that: wherever it goes, and if it is
// deleted and made anew, it must wait for it.
func (h *handoff) noteChanged(before, after *fsm.Row) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if before == nil || before.CreatedRevision > h.began {
		return
	}
	if after == nil && len(h.unsettled) > 0 {
		h.departed[before.Key] = struct{}{}
	}
	if _, unheard := h.unheard[before.Group]; unheard && before.Revision <= h.began {
		add(h.left, before.Key, before.Group, struct{}{})
	}
}

// noteMissed makes up for changes that noteChanged was not told of: of what was
// changed under this leader, and nobody was sent or spoke of, it is not known
// where it was. What was deleted is looked for in the requests that are
// remembered; when some of these were forgotten it may be anything.
func (h *handoff) noteMissed(view *fsm.View, store *observed.Store, after uint64) {
	unheard := h.notHeard()
	if len(unheard) == 0 {
		return
	}
	missed := departures(view, after, unheard)
	_, _, oldest, _ := view.OutcomeStats()
	h.mu.Lock()
	h.noteDepartures(missed)
	if oldest == 0 || oldest > after+1 {
		h.anything = maps.Clone(h.unheard)
	}
	h.mu.Unlock()
	for row := range view.Workloads() {
		if row.Revision > h.began && len(store.Reported(row.Key)) == 0 {
			h.doubt(row.Key)
		}
	}
}

func (h *handoff) doubt(workload string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.bound[workload]) == 0 {
		h.doubtful[workload] = struct{}{}
	}
}

// found notes that an agent has said something of an instance of its own: no
// agent that has not been heard of has the workload. It returns whether one was
// thought to.
func (h *handoff) found(agent string, instance *argosyv1.InstanceName) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if instance.GetAgent() != agent {
		return false
	}
	workload := instance.GetWorkload()
	_, left := h.left[workload]
	_, doubtful := h.doubtful[workload]
	delete(h.left, workload)
	delete(h.doubtful, workload)
	return left || doubtful
}

// settle notes that an agent has told all it has. It returns the workloads that
// this may have let go, or that any may have been.
func (h *handoff) settle(agent string) (workloads []string, all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.unheard[agent]; !ok {
		return nil, false
	}
	_, waited := h.unsettled[agent]
	_, anything := h.anything[agent]
	delete(h.unsettled, agent)
	delete(h.unheard, agent)
	delete(h.anything, agent)
	for workload, agents := range h.left {
		if _, ok := agents[agent]; ok {
			remove(h.left, workload, agent)
			workloads = append(workloads, workload)
		}
	}
	if len(h.unsettled) == 0 {
		clear(h.departed)
	}
	if len(h.unheard) == 0 {
		clear(h.doubtful)
	}
	return workloads, anything || waited && len(h.unsettled) <= 1 || len(h.unheard) <= 1
}

// settleAll notes that the time is over in which all that is older waits for
// agents that have not been heard of.
func (h *handoff) settleAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.unsettled)
	clear(h.departed)
}
