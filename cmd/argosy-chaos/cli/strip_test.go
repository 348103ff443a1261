package cli

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/trial"
)

func TestOfWhatIsStrippedOnlyStaysWhatPeopleRead(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{history.PlanFile, "one/" + trial.VerdictFile, "one/operations.jsonl", "one/data/server-1/raft/log", "two/logs/server-1.log"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := strip(dir); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || !slices.Equal(left, []string{filepath.Join(dir, "one", trial.VerdictFile)}) {
		t.Errorf("left are %v, %v", left, err)
	}
	top, err := os.ReadDir(dir)
	if err != nil || len(top) != 2 {
		t.Errorf("at the top are %v, %v", top, err)
	}
	if err := strip(""); err != nil {
		t.Error(err)
	}
}
