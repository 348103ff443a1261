package evidence_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/evidence"
	"github.com/argosy-cluster/argosy/chaos/history"
)

func TestALogTellsWhoWasElectedAndWhoLed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server-1.log")
	text := `time=2026-01-02T03:04:05.001Z level=INFO msg=opened server=server-1 part=raft id=a term=2
time=2026-01-02T03:04:05.002Z level=INFO msg="raft: election won" server=server-1 part=raft term=3 tally=2
time=2026-01-02T03:04:05.003Z level=INFO msg="leadership began" server=server-1 term=3
time=2026-01-02T03:04:05.004Z level=INFO msg="leadership ended" server=server-1 term=3
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := evidence.ReadLog("server-1", path, func(at time.Time) history.Micros { return history.Micros(at.Nanosecond() / 1000) })
	if err != nil {
		t.Fatal(err)
	}
	want := []history.Leadership{
		{Server: "server-1", ID: "a", Term: 3, Elected: true, At: 2000},
		{Server: "server-1", ID: "a", Term: 3, Gained: true, At: 3000},
		{Server: "server-1", ID: "a", Term: 3, At: 4000},
	}
	if !slices.Equal(found.Leaderships, want) {
		t.Errorf("told %+v, want %+v", found.Leaderships, want)
	}
}
