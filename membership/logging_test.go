package membership

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
)

func TestLinesOfMemberlistBecomeRecords(t *testing.T) {
	for line, want := range map[string]struct {
		level slog.Level
		text  string
	}{
		"[DEBUG] memberlist: Stream connection\n": {slog.LevelDebug, "Stream connection"},
		"[INFO] memberlist: Suspect x\n":          {slog.LevelDebug, "Suspect x"},
		"[WARN] memberlist: Refuting\n":           {slog.LevelWarn, "Refuting"},
		"[ERR] memberlist: Failed\n":              {slog.LevelWarn, "Failed"},
		"[ERROR] memberlist: Failed\n":            {slog.LevelWarn, "Failed"},
		"[ERR] Failed to shutdown\n":              {slog.LevelWarn, "Failed to shutdown"},
		"something else\n":                        {slog.LevelInfo, "something else"},
	} {
		if level, text := parseLine([]byte(line)); level != want.level || text != want.text {
			t.Errorf("%q: want %s %q, got %s %q", line, want.level, want.text, level, text)
		}
	}
	if _, text := parseLine([]byte(strings.Repeat("x", 10_000))); len(text) > 2*logLongest {
		t.Errorf("a long line has %d bytes", len(text))
	}
}

func TestTheSameComplaintIsLoggedOnce(t *testing.T) {
	out := newLogs()
	journal := openJournal(slog.New(slog.NewTextHandler(out, nil)))
	for _, line := range []string{
		"[WARN] memberlist: no from=10.0.0.1:4001\n", "[WARN] memberlist: no from=10.0.0.1:4002\n",
		"[WARN] memberlist: no from=10.0.0.2:4002\n", "[DEBUG] memberlist: not shown\n",
	} {
		if n, err := journal.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("write returned %d, %v", n, err)
		}
	}
	journal.close()
	journal.close()
	if got := strings.Count(out.String(), "\n"); got != 2 {
		t.Errorf("want 2 lines, got:\n%s", out)
	}
	if _, err := journal.Write([]byte("[WARN] late\n")); err != nil {
		t.Error(err)
	}
}

// stuck is a log that cannot be written until it is let go.
type stuck struct{ gate chan struct{} }

func (s stuck) Write(line []byte) (int, error) { <-s.gate; return len(line), nil }

func TestALogThatBlocksHoldsNobodyUp(t *testing.T) {
	out := stuck{make(chan struct{})}
	journal := openJournal(slog.New(slog.NewTextHandler(out, nil)))
	log := slog.New(journal).With("a", 1).WithGroup("g")
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 2 * logBacklog {
				log.Warn("all this is more than fits")
			}
		})
	}
	writers.Wait()
	close(out.gate)
	journal.close()
}
