package writer

import (
	"sync"
	"time"
)

// queue holds the requests that wait. It is bounded by count and bytes: a
// leader that cannot keep up says so instead of growing.
type queue struct {
	// ready holds a token when there may be something to take.
	ready chan struct{}

	mu       sync.Mutex
	items    []*Request
	head     int
	bytes    int
	closed   bool
	maxItems int
	maxBytes int
	pace     pace
	now      func() time.Time
}

func (q *queue) init(maxItems, maxBytes int, now func() time.Time) {
	q.ready = make(chan struct{}, 1)
	q.maxItems, q.maxBytes, q.now = maxItems, maxBytes, now
}

func (q *queue) push(r *Request) error {
	var why error
	q.pushAll([]*Request{r}, func(_ *Request, err error) { why = err })
	return why
}

// pushAll adds requests, and calls refused for those that cannot wait here. The
// queue is locked meanwhile.
func (q *queue) pushAll(requests []*Request, refused func(*Request, error)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	added := false
	for _, r := range requests {
		if err := q.refuse(r); err != nil {
			refused(r, err)
			continue
		}
		q.items = append(q.items, r)
		q.bytes += r.size
		added = true
	}
	if added {
		q.wake()
	}
}

// refuse says why a request cannot wait here.
func (q *queue) refuse(r *Request) error {
	if q.closed {
		return ErrNotDone
	}
	waiting := len(q.items) - q.head
	if waiting >= q.maxItems || (waiting > 0 && q.bytes+r.size > q.maxBytes) {
		wait := q.pace.wait(waiting, q.now())
		return overloaded(wait, "queue write: %d requests of %d bytes wait already", waiting, q.bytes)
	}
	if waiting >= crowd && !r.Deadline.IsZero() {
		// Better a no at once than one when its client has waited in vain.
		if wait := q.pace.wait(waiting, q.now()); q.now().Add(wait).After(r.Deadline) {
			return overloaded(wait, "queue write: %d requests wait already, which takes longer than this one may wait", waiting)
		}
	}
	return nil
}

// take removes requests from the front: at least one if there is any, and no
// more once a limit is reached. Withdrawn requests are dropped.
func (q *queue) take(maxItems, maxBytes int) []*Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := make([]*Request, 0, min(len(q.items)-q.head, maxItems))
	bytes := 0
	for q.head < len(q.items) && len(taken) < maxItems {
		r := q.items[q.head]
		if len(taken) > 0 && bytes+r.size > maxBytes {
			break
		}
		q.items[q.head] = nil
		q.head++
		q.bytes -= r.size
		if !r.Begin() {
			continue
		}
		bytes += r.size
		taken = append(taken, r)
	}
	if len(taken) > 0 {
		q.pace.note(len(taken), q.now())
	}
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > 4096 {
			q.items = nil
		}
	} else {
		q.wake()
	}
	return taken
}

// close refuses further requests and returns those that wait.
func (q *queue) close() []*Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	rest := q.items[q.head:]
	q.items, q.head, q.bytes = nil, 0, 0
	return rest
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) - q.head
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
