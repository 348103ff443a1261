package consensus

import "sync"

// stall tells those who must not go on while the disk is stalled when it is
// over.
type stall struct {
	mu    sync.Mutex
	until chan struct{} // nil when the disk is well
}

func (s *stall) set(stalled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case stalled && s.until == nil:
		s.until = make(chan struct{})
	case !stalled && s.until != nil:
		close(s.until)
		s.until = nil
	}
}

// over returns a channel that is closed when the stall is over, nil when there
// is none.
func (s *stall) over() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.until
}
