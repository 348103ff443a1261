package reconcile

import (
	"maps"
	"slices"
	"sync"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// sameStart is how far two times of one start may differ and still be the same:
// events and inspection of a runtime differ in precision.
const sameStart = time.Second

// Journal is what the session has to tell of the instances: their present
// states, and the changes since it last asked, in order. It is bounded: when
// nobody asks for long, changes give way to one full report.
type Journal struct {
	limit   int
	changed chan struct{}

	mu        sync.Mutex
	states    map[string]*argosyv1.WorkloadState
	queue     []*argosyv1.WorkloadState
	overflown bool
	converged uint64
}

func newJournal(limit int) *Journal {
	return &Journal{limit: limit, changed: make(chan struct{}, 1), states: make(map[string]*argosyv1.WorkloadState)}
}

// Changed is signalled when there is something to take.
func (j *Journal) Changed() <-chan struct{} { return j.changed }

// Full returns the states of all instances, in order of name, and forgets the
// changes that led to them. The states must not be changed.
func (j *Journal) Full() []*argosyv1.WorkloadState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.full()
}

func (j *Journal) full() []*argosyv1.WorkloadState {
	j.queue, j.overflown = nil, false
	keys := slices.Sorted(maps.Keys(j.states))
	all := make([]*argosyv1.WorkloadState, 0, len(keys))
	for _, key := range keys {
		all = append(all, j.states[key])
	}
	return all
}

// Take returns the changes since the last call of Take or Full, in order, or,
// with full set, all states when there were too many. The states must not be
// changed.
func (j *Journal) Take() (states []*argosyv1.WorkloadState, full bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.overflown {
		return j.full(), true
	}
	states, j.queue = j.queue, nil
	return states, false
}

// Converged returns the revision up to which all assignments are carried out.
func (j *Journal) Converged() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.converged
}

// expect names an instance of which there is nothing to tell yet. It is no
// change, since servers show it like that by themselves; but a full report that
// kept silent about it would say that this agent does not have it, and it could
// be started elsewhere.
func (j *Journal) expect(key string, name *argosyv1.InstanceName) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.states[key] == nil {
		j.states[key] = &argosyv1.WorkloadState{Instance: name, Execution: pending(argosyv1.Substate_SUBSTATE_PENDING_INITIAL, nil)}
	}
}

// set takes the state of an instance; it returns whether it is news.
func (j *Journal) set(key string, name *argosyv1.InstanceName, e *argosyv1.ExecutionState) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if old := j.states[key]; old != nil && sameState(old.GetExecution(), e) {
		return false
	}
	state := &argosyv1.WorkloadState{Instance: name, Execution: e}
	j.states[key] = state
	j.push(state)
	return true
}

// state returns the state of an instance, nil when there is none to tell.
func (j *Journal) state(key string) *argosyv1.ExecutionState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.states[key].GetExecution()
}

// removed takes the end of an instance.
func (j *Journal) removed(key string, name *argosyv1.InstanceName) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.states, key)
	j.push(&argosyv1.WorkloadState{Instance: name, Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_REMOVED}})
}

func (j *Journal) push(state *argosyv1.WorkloadState) {
	if len(j.queue) >= j.limit {
		j.queue, j.overflown = nil, true
	}
	if !j.overflown {
		j.queue = append(j.queue, state)
	}
	j.signal()
}

func (j *Journal) converge(revision uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.converged != revision {
		j.converged = revision
		j.signal()
	}
}

func (j *Journal) signal() {
	select {
	case j.changed <- struct{}{}:
	default:
	}
}

func sameState(a, b *argosyv1.ExecutionState) bool {
	return a.GetState() == b.GetState() && a.GetSubstate() == b.GetSubstate() &&
		a.GetAdditionalInfo() == b.GetAdditionalInfo() &&
		a.GetExitCode() == b.GetExitCode() && a.GetRestarts() == b.GetRestarts() &&
		a.GetRuntimeId() == b.GetRuntimeId() &&
		time.Duration(a.GetStartedUnixNanos()-b.GetStartedUnixNanos()).Abs() < sameStart
}
