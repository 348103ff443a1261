package reader

import (
	"sync"
	"time"
)

const (
	// young is how old the state may be without the leader being asked how old it
	// is.
	young = 100 * time.Millisecond
	// glance is how long somebody waits for that answer who does not want to wait:
	// longer than a leader takes that is well.
	glance = 20 * time.Millisecond
)

// moment is when a question was asked, and what has to be reached so that nothing
// is missing that was acknowledged before.
type moment struct {
	asked time.Time
	index Index
}

// freshness is what is known of how old the state is.
//
// That a leader is heard proves nothing: heartbeats come also to a server that
// is sent no entries, or applies the log of a week after a start. What proves it
// is a read index: whatever was acknowledged before it was asked for is in the
// state that has reached it.
type freshness struct {
	mu sync.Mutex
	// proven is the newest moment whose index was reached, zero for none. oldest is
	// one whose index is not reached, as far as is known, and newest the last one
	// after that.
	proven         time.Time
	oldest, newest *moment
}

func (f *freshness) answered(m moment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.oldest == nil {
		f.oldest = &m
		return
	}
	f.newest = &m
}

// since returns from when on something may be missing, zero when that is not
// known.
func (f *freshness) since(reached func(Index) bool) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.oldest != nil && reached(f.oldest.index) {
		f.proven = f.oldest.asked
		f.oldest, f.newest = f.newest, nil
	}
	return f.proven
}

// Age returns how old this replica's state may be: everything that was
// acknowledged longer ago is in it. It returns false when that is not known. The
// leader is asked when that has not been done for a while; it is waited for only
// so long as nobody minds.
func (r *Reader) Age() (time.Duration, bool) {
	if age, known := r.age(); known && age <= young {
		return age, true
	}
	if question, first := r.wonder(); first {
		timer := r.timer(glance)
		select {
		case <-question.done:
		case <-timer.C:
		}
		r.release(timer)
	}
	return r.age()
}

func (r *Reader) age() (time.Duration, bool) {
	since := r.fresh.since(r.reached)
	if since.IsZero() {
		return 0, false
	}
	return time.Since(since), true
}

func (r *Reader) reached(index Index) bool {
	return r.deps.Applied.Applied() >= index.Revision && r.deps.Observed.Reached(index.Term, index.Observation)
}

// wonder joins the next question without being counted, and tells whether nobody
// else had.
func (r *Reader) wonder() (*round, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.next == nil
	return r.upcoming(), first
}
