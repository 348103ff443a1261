package sessions

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Lines of one kind in a second that are written out; beyond that they are
// counted. After a fail-over with thousands of agents the lines would cost as
// much as the sessions.
const (
	talkative  = 20
	tallyEvery = time.Second
)

// tally logs what happens often, in full while it is little.
type tally struct {
	log     *slog.Logger
	summary string

	mu     sync.Mutex
	began  time.Time
	count  int
	missed int
}

// info logs an event, or counts it.
func (t *tally) info(text string, args ...any) { t.event(slog.LevelInfo, text, args...) }

// warn is info for what is worth a warning.
func (t *tally) warn(text string, args ...any) { t.event(slog.LevelWarn, text, args...) }

func (t *tally) event(level slog.Level, text string, args ...any) {
	t.mu.Lock()
	now := time.Now()
	if now.Sub(t.began) >= tallyEvery && t.missed == 0 {
		t.began, t.count = now, 0
	}
	t.count++
	if t.count > talkative {
		level = slog.LevelDebug
		if t.missed++; t.missed == 1 {
			// It goes off once, and holds nothing but the tally.
			time.AfterFunc(tallyEvery, t.tell)
		}
	}
	t.mu.Unlock()
	t.log.Log(context.Background(), level, text, args...)
}

// tell says how many were only counted.
func (t *tally) tell() {
	t.mu.Lock()
	missed := t.missed
	t.missed = 0
	t.mu.Unlock()
	t.log.Info(t.summary, "count", missed)
}
