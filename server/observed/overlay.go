package observed

import (
	"iter"
	"slices"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// What users see is a function of two things: the workloads that are desired,
// at some revision, and what agents reported. An instance that is desired and
// that no agent spoke of yet is NotScheduled when no agent is named, else
// Pending(Initial).

// States returns what users see of all desired workloads and of everything else
// that agents have, by workload, agent and id.
func (s *Store) States(desired iter.Seq[*argosyv1.Workload]) []*argosyv1.WorkloadState {
	// Names are computed before the lock is taken: each costs a SHA-256.
	var names []*argosyv1.InstanceName
	for w := range desired {
		names = append(names, argosyv1.InstanceOf(w))
	}
	s.mu.RLock()
	states := make([]*argosyv1.WorkloadState, 0, len(s.instances)+len(names))
	for _, i := range s.instances {
		states = append(states, i.state)
	}
	for _, name := range names {
		if state := s.unspokenLocked(name); state != nil {
			states = append(states, state)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(states, byInstance)
	return states
}

// StatesOf returns what users see of one workload; desired is nil when it is not
// desired (any more).
func (s *Store) StatesOf(workload string, desired *argosyv1.Workload) []*argosyv1.WorkloadState {
	var name *argosyv1.InstanceName
	if desired != nil {
		name = argosyv1.InstanceOf(desired)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	states := s.reportedLocked(workload)
	if name != nil {
		if state := s.unspokenLocked(name); state != nil {
			states = append(states, state)
			slices.SortFunc(states, byInstance)
		}
	}
	return states
}

// unspokenLocked returns the state of a desired instance that no agent spoke
// of, nil when one did.
func (s *Store) unspokenLocked(name *argosyv1.InstanceName) *argosyv1.WorkloadState {
	var elsewhere string
	for _, i := range s.workloads[name.GetWorkload()] {
		known := i.state.GetInstance()
		if known.GetAgent() != name.GetAgent() {
			elsewhere = known.GetAgent()
		} else if known.GetId() == name.GetId() {
			return nil
		}
	}
	state := initial(name)
	switch {
	case name.GetAgent() == "":
	case elsewhere != "":
		state.Execution.Explain(argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_MOVING, "agent", elsewhere))
	case s.agents[name.GetAgent()] == nil:
		state.Execution.Explain(argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_AGENT_UNKNOWN, "agent", name.GetAgent()))
	}
	return state
}

func initial(name *argosyv1.InstanceName) *argosyv1.WorkloadState {
	if name.GetAgent() == "" {
		return &argosyv1.WorkloadState{
			Instance:  name,
			Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_NOT_SCHEDULED},
		}
	}
	return &argosyv1.WorkloadState{
		Instance: name,
		Execution: &argosyv1.ExecutionState{
			State:    argosyv1.State_STATE_PENDING,
			Substate: argosyv1.Substate_SUBSTATE_PENDING_INITIAL,
		},
	}
}

// Implied returns the changes of states that a change of desired state makes by
// itself, for a watch: an instance that nobody has spoken of comes and goes with
// the workload. before is nil when the workload was created, after when it was
// deleted. Instances that an agent has spoken of are left to the reports.
func (s *Store) Implied(before, after *argosyv1.Workload) []*argosyv1.WorkloadState {
	var was, is *argosyv1.InstanceName
	if before != nil {
		was = argosyv1.InstanceOf(before)
	}
	if after != nil {
		is = argosyv1.InstanceOf(after)
	}
	if was != nil && is != nil && was.Key() == is.Key() {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var states []*argosyv1.WorkloadState
	if was != nil && s.unspokenLocked(was) != nil {
		states = append(states, removed(was))
	}
	if is != nil {
		if state := s.unspokenLocked(is); state != nil {
			states = append(states, state)
		}
	}
	return states
}

// Shown turns changes of reported states into what a watch shows at a revision
// of desired state, which desired looks up (nil: not desired): an instance that
// an agent dropped while it is still desired waits for its agent again.
func Shown(states []*argosyv1.WorkloadState, desired func(workload string) *argosyv1.Workload) []*argosyv1.WorkloadState {
	shown := states
	copied := false
	for at, state := range states {
		if state.GetExecution().GetState() != argosyv1.State_STATE_REMOVED {
			continue
		}
		w := desired(state.GetInstance().GetWorkload())
		if w == nil || argosyv1.InstanceOf(w).Key() != state.GetInstance().Key() {
			continue
		}
		if !copied {
			shown, copied = slices.Clone(states), true
		}
		shown[at] = initial(state.GetInstance())
	}
	return shown
}

// Tally returns how many instances are in which state, by the state's text: all
// that agents reported, and of the desired workloads, by name and agent, those
// that no agent spoke of.
func (s *Store) Tally(desired iter.Seq2[string, string]) map[string]uint64 {
	type kind struct {
		state    argosyv1.State
		substate argosyv1.Substate
	}
	counts := map[kind]uint64{}
	s.mu.RLock()
	for _, i := range s.instances {
		e := i.state.GetExecution()
		counts[kind{e.GetState(), e.GetSubstate()}]++
	}
	for name, agent := range desired {
		if len(s.workloads[name]) > 0 {
			continue
		}
		if agent == "" {
			counts[kind{state: argosyv1.State_STATE_NOT_SCHEDULED}]++
		} else {
			counts[kind{argosyv1.State_STATE_PENDING, argosyv1.Substate_SUBSTATE_PENDING_INITIAL}]++
		}
	}
	s.mu.RUnlock()
	tally := make(map[string]uint64, len(counts))
	for k, n := range counts {
		tally[(&argosyv1.ExecutionState{State: k.state, Substate: k.substate}).Text()] = n
	}
	return tally
}
