package control

import "sync"

// outgoing is an encoded message that waits to be read.
type outgoing struct {
	data []byte
	// of is the subscription that it belongs to, nil when it belongs to none.
	of *request
}

// queue is what waits for one workload. It is bounded; short answers that tell
// why something else was refused have some room of their own.
type queue struct {
	maxMessages, maxBytes int

	mu       sync.Mutex
	messages []outgoing
	bytes    int
	taken    bool          // the oldest is being written
	written  int           // of its bytes
	room     chan struct{} // closed when something is removed; nil when nobody waits
}

// What there is room for when the queue is full.
const (
	spareMessages = 64
	spareBytes    = 256 << 10
)

// push appends a message unless the queue is full: then it returns a channel that
// is closed when something was removed, and the queue counts as full until then. A
// spare one may use the room that is kept for those.
func (q *queue) push(message outgoing, spare bool) (room <-chan struct{}, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	messages, bytes := q.maxMessages, q.maxBytes
	if spare {
		messages, bytes = messages+spareMessages, bytes+spareBytes
	}
	if len(q.messages) >= messages || q.bytes+len(message.data) > bytes {
		if q.room == nil {
			q.room = make(chan struct{})
		}
		return q.room, false
	}
	q.messages = append(q.messages, message)
	q.bytes += len(message.data)
	return nil, true
}

// take returns what is left to write of the oldest message, which stays.
func (q *queue) take() (rest []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) == 0 {
		return nil, false
	}
	q.taken = true
	return q.messages[0].data[q.written:], true
}

// begun tells whether the oldest message was written in part.
func (q *queue) begun() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.written > 0
}

// again has the oldest message written from its beginning.
func (q *queue) again() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken, q.written = false, 0
}

// wrote says how much was written of what take returned. A message that was
// written is removed.
func (q *queue) wrote(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.written += n; q.written < len(q.messages[0].data) {
		return
	}
	q.taken, q.written = false, 0
	q.bytes -= len(q.messages[0].data)
	q.messages[0] = outgoing{}
	if q.messages = q.messages[1:]; len(q.messages) == 0 {
		q.messages = nil
	}
	q.removed()
}

// drop removes what belongs to a subscription, or everything when of is nil, but
// not the oldest message while it is being written.
func (q *queue) drop(of *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var kept []outgoing
	for at, message := range q.messages {
		if of != nil && message.of != of || at == 0 && q.taken {
			kept = append(kept, message)
			continue
		}
		q.bytes -= len(message.data)
	}
	q.messages = kept
	q.removed()
}

// removed wakes who waits for room. Who needs more than there is waits again.
func (q *queue) removed() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// full tells whether the next message has to wait.
func (q *queue) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.room != nil || len(q.messages) >= q.maxMessages || q.bytes >= q.maxBytes
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages) == 0
}
