package evidence

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

func TestALogTellsWhoLedAndWhatShouldNotBeThere(t *testing.T) {
	const text = `time=2026-01-02T03:04:05.100Z level=INFO msg=opened server=server-1 part=raft id=one cluster="" log-store=boltdb
time=2026-01-02T03:04:05.200Z level=INFO msg="leadership began" server=server-1 term=4
time=2026-01-02T03:04:05.250Z level=INFO msg="settings of the cluster were brought up to date" server=server-1 feature_level=3 incarnation=""
time=2026-01-02T03:04:05.300Z level=ERROR msg="disk does not answer: \"falling\" silent" server=server-1 part=raft limit=500ms
time=2026-01-02T03:04:05.400Z level=INFO msg="leadership ended" server=server-1 term=4 reason="leadership began"
time=2026-01-02T03:04:05.500Z level=WARN msg="it has seen level=ERROR" server=server-1
time=2026-01-02T03:04:06Z level=INFO msg=opened server=server-1 part=raft id=two cluster=c
time=2026-01-02T03:04:06.100Z level=INFO msg="leadership began" server=server-1 term=6
==================
WARNING: DATA RACE
Write at 0x00 by goroutine 7:
time=2026-01-02T03:04:07Z level=INFO msg="went on" server=server-1
panic: something [recovered]

goroutine 1 [running]:
time=2026-01-02T03:04:08Z level=INFO msg="leadership began" ser`
	path := filepath.Join(t.TempDir(), "server-1.log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	clock, err := Clock(history.Meta{Started: "2026-01-02T03:04:05Z", Began: 1000})
	if err != nil {
		t.Fatal(err)
	}
	found, err := ReadLog("server-1", path, clock)
	if err != nil {
		t.Fatal(err)
	}
	want := []history.Leadership{
		{Server: "server-1", ID: "one", Term: 4, Gained: true, At: 201_000},
		{Server: "server-1", ID: "one", Term: 4, At: 401_000},
		{Server: "server-1", ID: "two", Term: 6, Gained: true, At: 1_101_000},
	}
	if !slices.Equal(found.Leaderships, want) {
		t.Errorf("leaderships %+v", found.Leaderships)
	}
	if raised := []history.Level{{Server: "server-1", Raised: 3, At: 251_000}}; !slices.Equal(found.Levels, raised) {
		t.Errorf("levels %+v", found.Levels)
	}
	var kinds []string
	for _, l := range found.Lines {
		kinds = append(kinds, l.Kind)
	}
	if !slices.Equal(kinds, []string{"error", "race", "panic"}) {
		t.Fatalf("lines %+v", found.Lines)
	}
	if l := found.Lines[0]; l.At != 301_000 || !strings.Contains(l.Text, "disk does not answer") {
		t.Errorf("error %+v", l)
	}
	if l := found.Lines[2]; l.At != 2_001_000 || !strings.Contains(l.Text, "goroutine 1") || strings.Contains(l.Text, "leadership") {
		t.Errorf("panic %+v", l)
	}
}

func TestAClockNeedsABeginning(t *testing.T) {
	if _, err := Clock(history.Meta{Started: "yesterday"}); err == nil {
		t.Error("there is one")
	}
	clock, err := Clock(history.Meta{Started: time.Unix(100, 0).Format(time.RFC3339Nano), Began: 5})
	if err != nil || clock(time.Unix(101, 0)) != 1_000_005 {
		t.Errorf("%v", err)
	}
	if _, err := ReadLog("server-1", filepath.Join(t.TempDir(), "none"), clock); err == nil {
		t.Error("a log that is not there was read")
	}
}
