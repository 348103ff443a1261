package observed

import (
	"context"
	"fmt"
)

// Position is a point in the history of observed state.
type Position struct {
	// Term is the Raft term of the leader whose history it is; 0 before this
	// server has heard any.
	Term uint64
	// Sequence is the number of the last change.
	Sequence uint64
}

func (p Position) String() string { return fmt.Sprintf("%d/%d", p.Term, p.Sequence) }

// Reached tells whether a store at position p shows everything up to q. A
// later leader's history replaces an earlier one's.
func (p Position) Reached(q Position) bool {
	return p.Term > q.Term || p.Term == q.Term && p.Sequence >= q.Sequence
}

// Position returns how far the store has come.
func (s *Store) Position() Position {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.position
}

// WaitPosition returns when the store has reached a position.
func (s *Store) WaitPosition(ctx context.Context, p Position) error {
	for {
		s.mu.Lock()
		if s.position.Reached(p) {
			s.mu.Unlock()
			return nil
		}
		at, wake := s.position, s.wakeLocked()
		s.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return fmt.Errorf("wait for observed state %s, being at %s: %w", p, at, context.Cause(ctx))
		}
	}
}

// wakeLocked returns a channel that is closed at the next change. The caller
// holds mu for writing.
func (s *Store) wakeLocked() <-chan struct{} {
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	return s.wake
}

// broadcastLocked wakes everybody who waits.
func (s *Store) broadcastLocked() {
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
}
