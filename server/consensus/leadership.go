package consensus

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// Leadership is who leads, as this server knows it at a moment.
type Leadership struct {
	// Leader says that this server leads. It is its own opinion: nothing that
	// must be true may rest on it, see ReadIndex and Propose.
	Leader bool
	// Term is the term the server is in.
	Term uint64
	// LeaderID is the id of the leader, empty when none is known.
	LeaderID string
	// LeaderRaftAddress is the leader's address.
	LeaderRaftAddress string
}

// LeadershipEvent says that this server gained or lost leadership.
type LeadershipEvent struct {
	// Gained is true for a gain and false for a loss.
	Gained bool
	// Term is the term of the leadership that begins or ends.
	Term uint64
}

// reign is one leadership of this server.
type reign struct {
	term  uint64
	ctx   context.Context
	end   context.CancelFunc
	ready chan struct{} // closed when everything from before is applied
}

// leadership follows Raft's changes of leader and tells whoever waits.
type leadership struct {
	// notify is Raft's NotifyCh. Raft stops when it is full.
	notify chan bool
	// won is the term of the newest election that was won.
	won    atomic.Uint64
	term   func() uint64 // the term at the moment
	begin  func(*reign)
	events chan LeadershipEvent

	mu       sync.Mutex
	current  *reign
	watchers map[chan struct{}]struct{}
	queue    []LeadershipEvent
	queued   chan struct{}
}

func newLeadership(term func() uint64, begin func(*reign)) *leadership {
	return &leadership{
		notify:   make(chan bool, 16),
		term:     term,
		begin:    begin,
		events:   make(chan LeadershipEvent),
		watchers: make(map[chan struct{}]struct{}),
		queued:   make(chan struct{}, 1),
	}
}

// observe is called by Raft, in its own goroutines, for each change. Nothing
// in it may wait.
func (l *leadership) observe(o *raft.Observation) bool {
	switch data := o.Data.(type) {
	case raft.RaftState:
		if data == raft.Leader {
			l.won.Store(o.Raft.CurrentTerm())
		}
	case raft.LeaderObservation:
	default:
		return false
	}
	l.signal()
	return false
}

// signal tells the watchers.
func (l *leadership) signal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for watcher := range l.watchers {
		select {
		case watcher <- struct{}{}:
		default:
		}
	}
}

// watch returns a channel that gets a value after each change; several changes
// may come as one.
func (l *leadership) watch() (<-chan struct{}, func()) {
	watcher := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers[watcher] = struct{}{}
	return watcher, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, watcher)
	}
}

// follow takes in gains and losses from Raft until the context ends.
func (l *leadership) follow(ctx context.Context) {
	defer l.lose()
	for {
		select {
		case leads := <-l.notify:
			// Two gains in a row are a loss in between.
			l.lose()
			if leads {
				// Raft may have won before it could be observed.
				l.gain(ctx, cmp.Or(l.won.Load(), l.term()))
			}
			l.signal()
		case <-ctx.Done():
			return
		}
	}
}

func (l *leadership) gain(ctx context.Context, term uint64) {
	r := &reign{term: term, ready: make(chan struct{})}
	r.ctx, r.end = context.WithCancel(ctx)
	l.mu.Lock()
	l.current = r
	l.push(LeadershipEvent{Gained: true, Term: term})
	l.mu.Unlock()
	l.begin(r)
}

func (l *leadership) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil {
		return
	}
	l.current.end()
	l.push(LeadershipEvent{Gained: false, Term: l.current.term})
	l.current = nil
}

// reigning returns the current leadership, nil when there is none.
func (l *leadership) reigning() *reign {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

// push queues an event. A leadership that ends before anybody was told of it
// is left out, so that the queue stays short whoever reads it.
func (l *leadership) push(event LeadershipEvent) {
	if n := len(l.queue); !event.Gained && n > 0 && l.queue[n-1].Gained {
		l.queue = l.queue[:n-1]
		return
	}
	l.queue = append(l.queue, event)
	select {
	case l.queued <- struct{}{}:
	default:
	}
}

// deliver hands the events out in their order, and closes the channel when the
// context ends.
func (l *leadership) deliver(ctx context.Context) {
	defer close(l.events)
	for {
		event, ok := l.pop()
		if ok {
			select {
			case l.events <- event:
			case <-ctx.Done():
				return
			}
			continue
		}
		select {
		case <-l.queued:
		case <-ctx.Done():
			return
		}
	}
}

func (l *leadership) pop() (LeadershipEvent, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return LeadershipEvent{}, false
	}
	event := l.queue[0]
	l.queue = l.queue[1:]
	return event, true
}
