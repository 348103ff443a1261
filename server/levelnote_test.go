package server

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/server/consensus"
)

func TestALevelThatIsNotNotedIsTriedAgainEverMoreSeldom(t *testing.T) {
	tries, full := 0, true
	note := levelNote{log: slog.New(slog.DiscardHandler), write: func(uint32) error {
		tries++
		if full {
			return syscall.ENOSPC
		}
		return nil
	}}
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	now := start
	look := func(times int) (tried int) {
		before := tries
		for range times {
			note.keep(7, now)
			now = now.Add(levelsInterval)
		}
		return tries - before
	}
	if tried := look(1); tried != 1 {
		t.Fatalf("tried %d times", tried)
	}
	for _, want := range []string{"feature level 7", syscall.ENOSPC.Error(), "since 2030-01-01T00:00:00Z", "make room"} {
		if !strings.Contains(note.warning(), want) {
			t.Errorf("the warning does not say %q: %s", want, note.warning())
		}
	}
	// After 2, 4, 8, 16, 32 and 60 s, and every minute from then on.
	if tried := look(61); tried != 6 {
		t.Errorf("tried %d times in the first two minutes", tried)
	}
	if tried := look(300); tried != 10 {
		t.Errorf("tried %d times in ten minutes", tried)
	}
	full = false
	look(30)
	if note.warning() != "" {
		t.Errorf("there is room, and still: %s", note.warning())
	}
	if tried := look(10); tried != 10 {
		t.Errorf("a level is noted at once, and was in %d of 10 cases", tried)
	}
}

// mustRaise starts a server alone that raises its cluster to level 7 while its
// disk has no room to note that.
func mustRaise(t *testing.T) (r *replica, room *atomic.Bool) {
	t.Helper()
	cfg := testConfig(t)
	cfg.BootstrapExpect, cfg.FeatureLevel = 1, 7
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	room = new(atomic.Bool)
	write := s.levelNote.write
	s.levelNote.write = func(level uint32) error {
		if !room.Load() {
			return syscall.ENOSPC
		}
		return write(level)
	}
	r = mustRun(t, s, cfg)
	mustLeader(t, r)
	eventually(t, "the level is raised", func() bool { return level(r) == 7 })
	eventually(t, "the server says what it could not do", func() bool {
		return strings.Contains(strings.Join(r.describe().GetWarnings(), "\n"), "feature level 7")
	})
	return r, room
}

func TestAFullDiskEndsNoServerWhoseClusterIsRaised(t *testing.T) {
	r, room := mustRaise(t)
	mustApply(t, r, applyOf(workload("w", "x")))
	room.Store(true)
	r.stop(t)
	cfg := r.cfg
	cfg.FeatureLevel = 6
	if _, err := Open(cfg); !errors.Is(err, consensus.ErrTooNew) {
		t.Fatalf("opened with an older binary: %v", err)
	}
}

func TestAnOlderBinaryFindsInTheLogALevelThatWasNotNoted(t *testing.T) {
	r, _ := mustRaise(t)
	r.crash(t)
	cfg := r.cfg
	cfg.FeatureLevel = 6
	older := mustStart(t, cfg)
	if _, err := older.Apply(requestContext(t), applyOf(workload("w", "x"))); err == nil {
		t.Error("it has written though its cluster has left it behind")
	}
	<-older.ended
	if !errors.Is(older.err, errOutdated) {
		t.Errorf("it ended with %v", older.err)
	}
}
