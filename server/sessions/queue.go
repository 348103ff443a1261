package sessions

import (
	"context"
	"sync"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// queue holds what waits to be sent to one agent. Nobody who puts something in
// ever waits.
type queue struct {
	maxMessages, maxBytes int

	mu       sync.Mutex
	messages []queued
	bytes    int
	filled   chan struct{} // holds a token while there may be messages
}

type queued struct {
	message *argosyv1.ServerMessage
	size    int
}

// controlSize is what a message without assignments counts.
const controlSize = 128

func newQueue(maxMessages, maxBytes int) *queue {
	return &queue{maxMessages: maxMessages, maxBytes: maxBytes, filled: make(chan struct{}, 1)}
}

// put adds messages that belong together, all or none. It refuses when the
// queue is full already, not when it becomes so: what belongs together may be
// larger than the queue.
func (q *queue) put(messages ...queued) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) >= q.maxMessages || q.bytes >= q.maxBytes {
		return false
	}
	for _, m := range messages {
		q.messages = append(q.messages, m)
		q.bytes += m.size
	}
	select {
	case q.filled <- struct{}{}:
	default:
	}
	return true
}

// take waits for the next message; it returns nil when ctx ends.
func (q *queue) take(ctx context.Context) *argosyv1.ServerMessage {
	for {
		q.mu.Lock()
		if len(q.messages) > 0 {
			next := q.messages[0]
			q.messages[0] = queued{}
			q.messages = q.messages[1:]
			q.bytes -= next.size
			q.mu.Unlock()
			return next.message
		}
		q.messages = nil
		q.mu.Unlock()
		select {
		case <-q.filled:
		case <-ctx.Done():
			return nil
		}
	}
}

// length returns how much waits.
func (q *queue) length() (messages, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages), q.bytes
}
