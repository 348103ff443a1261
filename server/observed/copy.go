package observed

import (
	"fmt"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Copy fills the store of a follower from the leader's mirror stream. It is
// used by one goroutine.
type Copy struct {
	store  *Store
	fence  *fence
	staged *staging // a full copy that is not complete yet
	synced bool     // a full copy was taken over
}

type staging struct {
	states map[string]*argosyv1.WorkloadState
	agents map[string]*argosyv1.AgentStatus
}

// Copy begins to follow the leader of a term. What the store has stays visible
// until the leader's full copy is complete, so that nothing flickers while a
// follower turns from one leader to the next. It is refused when this server
// has seen a later term, or leads in this one.
func (s *Store) Copy(term uint64) (*Copy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if term < s.position.Term {
		return nil, fmt.Errorf("follow observed state of term %d, having seen term %d: %w", term, s.position.Term, ErrStaleTerm)
	}
	if s.writer != nil && s.writer.lead && s.writer.term >= term {
		return nil, fmt.Errorf("follow observed state of term %d, leading in term %d: %w", term, s.writer.term, ErrFenced)
	}
	f := &fence{term: term, done: make(chan struct{})}
	s.takeLocked(f)
	return &Copy{store: s, fence: f}, nil
}

// Restart prepares for a new stream, which begins with a full copy again.
func (c *Copy) Restart() { c.staged, c.synced = nil, false }

// Synced tells whether the stream's full copy was taken over.
func (c *Copy) Synced() bool { return c.synced }

// ApplyMirror takes in the next message of the stream.
func (c *Copy) ApplyMirror(m *argosyv1.MirrorResponse) error {
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer != c.fence {
		return fmt.Errorf("apply mirror of term %d: %w", m.GetTerm(), ErrFenced)
	}
	if m.GetTerm() < s.position.Term {
		return fmt.Errorf("apply mirror of term %d, having seen term %d: %w", m.GetTerm(), s.position.Term, ErrStaleTerm)
	}
	b := Batch{Position: Position{Term: m.GetTerm(), Sequence: m.GetSequence()}}
	switch {
	case m.GetFull():
		c.stage(m)
		if m.GetPartial() {
			return nil
		}
		c.store.replace(&b, c.staged)
		c.staged, c.synced = nil, true
	case !c.synced:
		return fmt.Errorf("apply mirror of term %d: %w", m.GetTerm(), ErrNoCopy)
	default:
		s.merge(&b, m)
	}
	s.publishLocked(b)
	return nil
}

func (c *Copy) stage(m *argosyv1.MirrorResponse) {
	if c.staged == nil {
		c.staged = &staging{
			states: map[string]*argosyv1.WorkloadState{},
			agents: map[string]*argosyv1.AgentStatus{},
		}
	}
	for _, state := range m.GetStates() {
		c.staged.states[state.GetInstance().Key()] = state
	}
	for _, a := range m.GetAgents() {
		c.staged.agents[a.GetName()] = a
	}
}

// replace makes the store equal to a full copy; only what differs is noted as
// changed.
func (s *Store) replace(b *Batch, full *staging) {
	for key, i := range s.instances {
		if _, ok := full.states[key]; !ok {
			s.drop(b, i)
		}
	}
	for name := range s.agents {
		if _, ok := full.agents[name]; !ok {
			s.removeAgent(b, name)
		}
	}
	for _, a := range full.agents {
		s.setAgentIfNew(b, a)
	}
	for key, state := range full.states {
		s.put(b, key, state)
	}
}

// merge applies a batch of changes.
func (s *Store) merge(b *Batch, m *argosyv1.MirrorResponse) {
	for _, name := range m.GetRemovedAgents() {
		s.removeAgent(b, name)
	}
	for _, a := range m.GetAgents() {
		s.setAgentIfNew(b, a)
	}
	for _, state := range m.GetStates() {
		key := state.GetInstance().Key()
		if state.GetExecution().GetState() != argosyv1.State_STATE_REMOVED {
			s.put(b, key, state)
		} else if i, ok := s.instances[key]; ok {
			s.drop(b, i)
		}
	}
}
