package consensus

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A peer that is away for a day is spoken of some two hundred times, not tens of
// thousands; one that goes away again is spoken of at once.
func TestRepeatedLinesBecomeSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet := newLimiter(5 * time.Second)
		through, all := 0, 0
		for began := time.Now(); time.Since(began) < 24*time.Hour; <-time.After(time.Second) {
			ok, held := quiet.allow("peer")
			all++
			if ok {
				through++
			}
			if held > 600 {
				t.Fatalf("%d lines were held back at once", held)
			}
		}
		if through < 100 || through > 200 {
			t.Errorf("%d of %d lines came through", through, all)
		}
		<-time.After(2 * time.Minute)
		if ok, held := quiet.allow("peer"); !ok || held != 0 {
			t.Errorf("after a pause: %v, %d held back", ok, held)
		}
		if ok, _ := quiet.allow("another"); !ok {
			t.Error("another line was held back")
		}
	})
}

// What a fail-over brings about is no error of this server.
func TestUnreachablePeersAreNoErrors(t *testing.T) {
	var text bytes.Buffer
	log := newRaftLog(slog.New(slog.NewTextHandler(&text, nil)))
	log.Error("failed to heartbeat to", "peer", "127.0.0.1:1", "error", "refused")
	log.Error("failed to heartbeat to", "peer", "127.0.0.1:1", "error", "refused")
	log.Error("failed to commit logs", "error", "disk is full")
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[1], "level=ERROR") {
		t.Errorf("logged\n%s", text.String())
	}
}
