package consensus

import (
	"sync"
	"time"
)

// limiter lets a repeated line of the log through ever more seldom: Raft tries
// an unreachable peer many times a second and says so each time, for as long as
// it is away. A line that was not heard for a while begins anew.
type limiter struct {
	least, most time.Duration

	mu   sync.Mutex
	keys map[string]*repetition
}

// repetition is a line that came before.
type repetition struct {
	seen, next time.Time
	wait       time.Duration
	held       int // since it was let through
}

const limiterKeys = 256

func newLimiter(least time.Duration) *limiter {
	return &limiter{least: least, most: max(10*time.Minute, least), keys: make(map[string]*repetition)}
}

// allow tells whether a line may pass, and how many like it were held back since
// the last that did.
func (l *limiter) allow(key string) (ok bool, held int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	r := l.keys[key]
	if r == nil || now.Sub(r.seen) > max(2*l.least, time.Minute) {
		if len(l.keys) >= limiterKeys {
			clear(l.keys)
		}
		l.keys[key] = &repetition{seen: now, next: now.Add(l.least), wait: l.least}
		return true, 0
	}
	r.seen = now
	if now.Before(r.next) {
		r.held++
		return false, 0
	}
	held, r.held = r.held, 0
	r.wait = min(2*r.wait, l.most)
	r.next = now.Add(r.wait)
	return true, held
}
