package reconcile

import (
	"maps"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Neighbours tells of workloads that others run, as the leader told it last.
type Neighbours interface {
	// States returns the states of a workload's instances on other agents.
	States(workload string) []*argosyv1.WorkloadState
	// Wanted returns the key of the instance that a workload asks for, on whatever
	// agent; empty when it is not known to ask for one.
	Wanted(workload string) string
	// Dependents returns who is to stop before a workload is stopped.
	Dependents(workload string) []string
	// Forget drops what is known of a workload that is not to run here any more.
	Forget(workload string)
}

// alone is the knowledge of an agent that is not told of others.
type alone struct{}

func (alone) States(string) []*argosyv1.WorkloadState { return nil }
func (alone) Wanted(string) string                    { return "" }
func (alone) Dependents(string) []string              { return nil }
func (alone) Forget(string)                           {}

// Learn takes note that something else is known of workloads that others run.
func (m *Manager) Learn(workloads []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range workloads {
		m.stirred[name] = struct{}{}
	}
	m.converge()
}

// Awaited returns the names of those that instances on their way out wait for, and
// their own.
func (m *Manager) Awaited() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make(map[string]struct{})
	for _, s := range m.slots {
		for _, r := range s.retiring {
			for _, name := range r.dependents {
				names[name], names[s.name] = struct{}{}, struct{}{}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// known is what is known of an instance.
type known struct {
	key   string
	state *argosyv1.ExecutionState
}

// instancesOf returns all that is known of a workload's instances: of those here
// first hand, of others as the leader told it.
func (m *Manager) instancesOf(workload string) []known {
	var all []known
	if s := m.slots[workload]; s != nil {
		for _, key := range s.keys() {
			if e := m.journal.state(key); e != nil {
				all = append(all, known{key, e})
			}
		}
	}
	for _, state := range m.neighbours.States(workload) {
		if state.GetInstance().GetAgent() != m.cfg.Agent {
			all = append(all, known{state.GetInstance().Key(), state.GetExecution()})
		}
	}
	return all
}

// wantedOf returns the key of the instance that a workload asks for, as far as is
// known here; empty for none.
func (m *Manager) wantedOf(workload string) string {
	if s := m.slots[workload]; s != nil && s.desired != nil {
		return s.desired.place.key
	}
	return m.neighbours.Wanted(workload)
}

// keys returns the keys of all instances that a slot knows.
func (s *slot) keys() []string {
	var keys []string
	if s.desired != nil {
		keys = append(keys, s.desired.place.key)
	}
	for _, r := range s.retiring {
		keys = append(keys, r.place.key)
	}
	for _, o := range s.actual {
		keys = append(keys, o.place.key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// unmet returns the dependencies of which the conditions do not hold, in order.
func (m *Manager) unmet(w *argosyv1.Workload) []dependency {
	var open []dependency
	if planted.On(planted.EarlyBird) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(w.GetDependencies())) {
		condition := w.GetDependencies()[name]
		if !slices.ContainsFunc(m.instancesOf(name), func(i known) bool { return fulfils(i.state, condition) }) {
			open = append(open, dependency{name, condition})
		}
	}
	return open
}

// dependency is what a workload waits for.
type dependency struct {
	name      string
	condition argosyv1.DependencyCondition
}

var conditionTexts = map[argosyv1.DependencyCondition]string{
	argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING:   "running",
	argosyv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED: "succeeded",
	argosyv1.DependencyCondition_DEPENDENCY_CONDITION_FAILED:    "failed",
}

func describe(open []dependency) string {
	texts := make([]string, 0, len(open))
	for _, d := range open {
		texts = append(texts, d.name+" ("+conditionTexts[d.condition]+")")
	}
	return strings.Join(texts, ", ")
}

// fulfils tells whether a state is what a dependency asks for.
func fulfils(e *argosyv1.ExecutionState, condition argosyv1.DependencyCondition) bool {
	switch condition {
	case argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING:
		return e.GetState() == argosyv1.State_STATE_RUNNING
	case argosyv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED:
		return e.GetState() == argosyv1.State_STATE_SUCCEEDED
	case argosyv1.DependencyCondition_DEPENDENCY_CONDITION_FAILED:
		return e.GetSubstate() == argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED
	default:
		return false
	}
}

// inTheWay returns those that must stop before an instance on its way out does and
// have not, in order. When its workload goes on, as another instance, those that
// are to go on as they are do not count: they would never stop, and nothing is won
// by waiting. (They may have come after the removal was decided, and even have
// started because what they depend on still ran.)
func (m *Manager) inTheWay(s *slot, r *retiree) []string {
	next := m.neighbours.Wanted(s.name)
	goesOn := s.desired != nil || next != "" && next != r.place.key
	var active []string
	for _, name := range r.dependents {
		stays := ""
		if goesOn {
			stays = m.wantedOf(name)
		}
		if slices.ContainsFunc(m.instancesOf(name), func(i known) bool {
			return mayUse(i.state) && (i.key != stays || i.state.GetState() == argosyv1.State_STATE_STOPPING)
		}) {
			active = append(active, name)
		}
	}
	return active
}

// mayUse tells whether an instance in this state may use what it depends on. One
// that is being stopped may: it is the reason why there is an order. One that was
// not started yet waits for what it depends on itself.
func mayUse(e *argosyv1.ExecutionState) bool {
	switch e.GetState() {
	case argosyv1.State_STATE_RUNNING, argosyv1.State_STATE_STOPPING:
		return true
	case argosyv1.State_STATE_PENDING:
		return e.GetSubstate() == argosyv1.Substate_SUBSTATE_PENDING_STARTING
	default:
		return false
	}
}

// hindered returns, for instances that are to be removed and of which the removal
// has not begun, who is in the way.
func (m *Manager) hindered(s *slot) map[place][]string {
	var all map[place][]string
	for at := range s.retiring {
		r := &s.retiring[at]
		if r.begun || len(r.dependents) == 0 || planted.On(planted.EarlyEnd) {
			continue
		}
		if active := m.inTheWay(s, r); len(active) > 0 {
			if all == nil {
				all = make(map[place][]string)
			}
			all[r.place] = active
		}
	}
	return all
}

// await remembers whom a slot waits for, so that it is looked at again when
// something becomes of them.
func (m *Manager) await(s *slot, names []string) {
	for _, name := range s.awaits {
		delete(m.awaiting[name], s)
		if len(m.awaiting[name]) == 0 {
			delete(m.awaiting, name)
		}
	}
	s.awaits = names
	for _, name := range names {
		if m.awaiting[name] == nil {
			m.awaiting[name] = make(map[*slot]struct{})
		}
		m.awaiting[name][s] = struct{}{}
	}
}

// ripple looks again at slots that wait for others of which something has become.
func (m *Manager) ripple() {
	for len(m.stirred) > 0 {
		names := m.stirred
		m.stirred = make(map[string]struct{})
		for name := range names {
			for _, s := range slices.Collect(maps.Keys(m.awaiting[name])) {
				m.decide(s)
			}
		}
	}
}
