package observed

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Lead is the right of the leader of one term to write. It is lost when
// another Lead or Copy is taken; whoever still holds it is then refused with
// ErrFenced.
type Lead struct {
	store *Store
	fence *fence
}

// Lead makes this server the source of observed state. What its mirror has is
// what it starts from.
func (s *Store) Lead(term uint64) (*Lead, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if term < s.position.Term || term == 0 {
		return nil, fmt.Errorf("lead observed state in term %d, having seen term %d: %w", term, s.position.Term, ErrStaleTerm)
	}
	f := &fence{term: term, lead: true, done: make(chan struct{})}
	s.takeLocked(f)
	s.position = Position{Term: term, Sequence: s.ring.last}
	s.broadcastLocked()
	return &Lead{store: s, fence: f}, nil
}

// Leading returns the Lead that is in force, if this server has one.
func (s *Store) Leading() (*Lead, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.writer == nil || !s.writer.lead {
		return nil, false
	}
	return &Lead{store: s, fence: s.writer}, true
}

// Term returns the term of the leadership.
func (l *Lead) Term() uint64 { return l.fence.term }

// Done is closed when the right is lost.
func (l *Lead) Done() <-chan struct{} { return l.fence.done }

// Resign gives the right back: this server does not lead any more. It may be
// called twice.
func (l *Lead) Resign() {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if l.store.writer == l.fence {
		l.store.takeLocked(nil)
	}
}

// write runs change under the lock while the right holds, and publishes what
// it changed as one batch.
func (l *Lead) write(change func(*Batch)) error {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer != l.fence {
		return fmt.Errorf("write observed state in term %d: %w", l.fence.term, ErrFenced)
	}
	var b Batch
	change(&b)
	if b.empty() {
		return nil
	}
	b.Position = Position{Term: l.fence.term, Sequence: s.ring.last + 1}
	s.publishLocked(b)
	return nil
}

// publishLocked appends a batch and moves the position to the batch's.
func (s *Store) publishLocked(b Batch) {
	if !b.empty() {
		s.ring.add(b, s.cfg.RingBatches, s.cfg.RingStates)
	}
	s.position = b.Position
	s.broadcastLocked()
}

// Reported is what a report came to.
type Reported struct {
	// Gone are the names of workloads of which an instance was dropped.
	Gone []string
	// Foreign is how many states were refused because they are not this agent's
	// to report: another agent's instance, a malformed name, a state that only
	// servers give.
	Foreign int
	// Excess is how many states were refused because the agent has too many.
	Excess int
}

// Report takes in what an agent says of its instances. With full these are all
// that it has: others are dropped.
func (l *Lead) Report(agentName string, full bool, states []*argosyv1.WorkloadState) (Reported, error) {
	var result Reported
	err := l.write(func(b *Batch) {
		s := l.store
		a := s.agentOf(agentName)
		named := make(map[string]struct{})
		for _, state := range states {
			if state.GetInstance().GetAgent() != agentName || !speakable(state) {
				result.Foreign++
				continue
			}
			key := state.GetInstance().Key()
			known, exists := s.instances[key]
			if state.GetExecution().GetState() == argosyv1.State_STATE_REMOVED {
				delete(named, key)
				if exists {
					s.drop(b, known)
					result.Gone = append(result.Gone, state.GetInstance().GetWorkload())
				}
				continue
			}
			if !exists && len(a.instances) >= s.cfg.MaxStatesPerAgent {
				result.Excess++
				continue
			}
			if full {
				named[key] = struct{}{}
			}
			s.put(b, key, l.bounded(known, state))
		}
		if !full {
			return
		}
		for key, i := range a.instances {
			if _, ok := named[key]; !ok {
				s.drop(b, i)
				result.Gone = append(result.Gone, i.state.GetInstance().GetWorkload())
			}
		}
	})
	return result, err
}

// bounded copies a reported state, sharing the name with the state before.
func (l *Lead) bounded(known *instance, state *argosyv1.WorkloadState) *argosyv1.WorkloadState {
	var name *argosyv1.InstanceName
	if known != nil {
		name = known.state.GetInstance()
	} else {
		n := state.GetInstance()
		name = &argosyv1.InstanceName{Workload: n.GetWorkload(), Agent: n.GetAgent(), Id: n.GetId()}
	}
	return &argosyv1.WorkloadState{Instance: name, Execution: boundExecution(state.GetExecution())}
}

// SetAgent sets the status of an agent that has a session now. Its states stay
// as they are until it reports.
func (l *Lead) SetAgent(status *argosyv1.AgentStatus) error {
	return l.write(func(b *Batch) { l.store.setAgent(b, boundStatus(status)) })
}

// UpdateAgent changes the status of a known agent.
func (l *Lead) UpdateAgent(name string, change func(*argosyv1.AgentStatus)) error {
	return l.write(func(b *Batch) {
		a, ok := l.store.agents[name]
		if !ok {
			return
		}
		next := proto.CloneOf(a.status)
		change(next)
		next.Name = name
		if next = boundStatus(next); !proto.Equal(next, a.status) {
			l.store.setAgent(b, next)
		}
	})
}

// Lost is what an agent may have, when it is lost, beyond what it has told.
type Lost struct {
	// Unspoken are instances that it was sent and has not said a word of.
	Unspoken []*argosyv1.InstanceName
	// Unheard tells that these may not be all; see AgentStatus.
	Unheard bool
}

// Disconnect marks an agent as lost: what its instances do is not known any
// more. What it may have without having spoken of it is shown like them, so that
// every server knows, and not this leader alone. It goes as they do: with the
// agent's next full report, or with the agent.
func (l *Lead) Disconnect(name string, lost Lost) error {
	return l.write(func(b *Batch) {
		a, ok := l.store.agents[name]
		if !ok {
			return
		}
		for key, i := range a.instances {
			if i.state.GetExecution().GetState() != argosyv1.State_STATE_AGENT_DISCONNECTED {
				l.store.put(b, key, disconnected(i.state))
			}
		}
		for _, instance := range lost.Unspoken {
			key := instance.Key()
			if _, known := l.store.instances[key]; known {
				continue
			}
			if len(a.instances) >= l.store.cfg.MaxStatesPerAgent {
				lost.Unheard = true
				break
			}
			l.store.put(b, key, disconnected(initial(instance)))
		}
		if a.status.GetConnected() || a.status.GetUnheard() != lost.Unheard {
			next := proto.CloneOf(a.status)
			next.Connected, next.Unheard = false, lost.Unheard
			l.store.setAgent(b, next)
		}
	})
}

// disconnected is what users see of an instance whose agent is lost: that
// nothing is known, and what was known last.
func disconnected(last *argosyv1.WorkloadState) *argosyv1.WorkloadState {
	e := last.GetExecution()
	lost := &argosyv1.ExecutionState{
		State:            argosyv1.State_STATE_AGENT_DISCONNECTED,
		ExitCode:         e.GetExitCode(),
		Restarts:         e.GetRestarts(),
		StartedUnixNanos: e.GetStartedUnixNanos(),
		RuntimeId:        e.GetRuntimeId(),
	}
	return &argosyv1.WorkloadState{
		Instance: last.GetInstance(),
		Execution: lost.Explain(argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_AGENT_LOST,
			"agent", last.GetInstance().GetAgent(), "state", e.Text())),
	}
}

// RemoveAgent forgets an agent that is not registered any more, and all its
// states.
func (l *Lead) RemoveAgent(name string) error {
	return l.write(func(b *Batch) { l.store.removeAgent(b, name) })
}
