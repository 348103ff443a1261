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
	// count and bytes are those that the bounds hold for, large how many do not count.
	count, bytes, large int
	filled              chan struct{} // holds a token while there may be messages
}

type queued struct {
	message *argosyv1.ServerMessage
	size    int
	// large is set when it is one of those that are more than the queue by themselves.
	large bool
}

// controlSize is what a message without assignments counts.
const controlSize = 128

func newQueue(maxMessages, maxBytes int) *queue {
	return &queue{maxMessages: maxMessages, maxBytes: maxBytes, filled: make(chan struct{}, 1)}
}

// put adds messages that belong together, all or none. It refuses when the queue is
// full already, not when it becomes so: what belongs together may be larger than the
// queue. That does not count as long as it waits, or whatever follows it would find
// the queue full, at an agent that is not slow; but only one of its kind may wait.
func (q *queue) put(messages ...queued) bool {
	bytes := 0
	for _, m := range messages {
		bytes += m.size
	}
	large := len(messages) > q.maxMessages || bytes > q.maxBytes
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count >= q.maxMessages || q.bytes >= q.maxBytes || large && q.large > 0 {
		return false
	}
	for _, m := range messages {
		m.large = large
		q.messages = append(q.messages, m)
	}
	if large {
		q.large = len(messages)
	} else {
		q.count, q.bytes = q.count+len(messages), q.bytes+bytes
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
			if next.large {
				q.large--
			} else {
				q.count, q.bytes = q.count-1, q.bytes-next.size
			}
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
	for _, m := range q.messages {
		bytes += m.size
	}
	return len(q.messages), bytes
}
