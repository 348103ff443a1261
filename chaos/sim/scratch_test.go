package sim

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestWhatAKilledSimulationLeavesIsRemovedByTheNextOne(t *testing.T) {
	below := t.TempDir()
	made := func() *scratch {
		t.Helper()
		s, err := newScratch(below)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, "file"), []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		return s
	}
	// The end of a process gives back its lock, and does nothing else.
	killed := func(s *scratch) {
		t.Helper()
		if err := s.lock.Close(); err != nil {
			t.Fatal(err)
		}
	}
	used, lent, left, young := made(), made(), made(), made()
	// Who is lent a directory outlives who made it.
	borrower := exec.Command("cat")
	borrower.ExtraFiles = []*os.File{lent.lock}
	input, err := borrower.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := borrower.Start(); err != nil {
		t.Fatal(err)
	}
	killed(lent)
	killed(left)
	killed(young)
	other := filepath.Join(below, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * youth)
	for _, dir := range []string{used.dir, lent.dir, left.dir, other} {
		if err := os.Chtimes(dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
	next := made()
	for dir, want := range map[string]bool{used.dir: true, lent.dir: true, left.dir: false, young.dir: true, other: true, next.dir: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v", dir, err == nil)
		}
	}
	if err := input.Close(); err != nil {
		t.Error(err)
	}
	if err := borrower.Wait(); err != nil {
		t.Error(err)
	}
	for _, s := range []*scratch{used, next} {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.dir); err == nil {
			t.Errorf("%s is still there", s.dir)
		}
	}
}
