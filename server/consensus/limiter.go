package consensus

import (
	"sync"
	"time"
)

// limiter lets a repeated line of the log through once in a while: Raft tries
// an unreachable peer many times a second and says so each time.
type limiter struct {
	every time.Duration

	mu   sync.Mutex
	last map[string]time.Time
}

const limiterKeys = 256

func newLimiter(every time.Duration) *limiter {
	return &limiter{every: every, last: make(map[string]time.Time)}
}

func (l *limiter) allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if last, ok := l.last[key]; ok && now.Sub(last) < l.every {
		return false
	}
	if len(l.last) >= limiterKeys {
		clear(l.last)
	}
	l.last[key] = now
	return true
}
