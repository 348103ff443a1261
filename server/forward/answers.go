package forward

import "sync"

// answers are the results that wait to be sent on a stream.
type answers[T any] struct {
	// ready holds a token when there may be something to take.
	ready chan struct{}

	mu      sync.Mutex
	results []*T
	closed  bool
}

func newAnswers[T any]() *answers[T] { return &answers[T]{ready: make(chan struct{}, 1)} }

func (a *answers[T]) add(result *T) {
	a.mu.Lock()
	if !a.closed {
		a.results = append(a.results, result)
	}
	first := len(a.results) == 1
	a.mu.Unlock()
	if !first {
		// Whoever put the first one in has given the token.
		return
	}
	select {
	case a.ready <- struct{}{}:
	default:
	}
}

func (a *answers[T]) take() []*T {
	a.mu.Lock()
	defer a.mu.Unlock()
	results := a.results
	a.results = nil
	return results
}

// waiting returns how many wait to be sent.
func (a *answers[T]) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.results)
}

func (a *answers[T]) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed, a.results = true, nil
}
