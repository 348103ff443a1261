package damage_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/damage"
)

// mustDir makes a data directory with a log, of which only the beginning is used.
func mustDir(t *testing.T) (dir, log string) {
	t.Helper()
	dir = t.TempDir()
	log = filepath.Join(dir, "raft", "raft.db")
	if err := os.MkdirAll(filepath.Dir(log), 0o700); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, log, "entries\x00\x00\x00\x00")
	return dir, log
}

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheSameChanceDamagesTheSame(t *testing.T) {
	var texts, details [2]string
	for i := range texts {
		dir, log := mustDir(t)
		detail, err := damage.FlipBits(rand.New(rand.NewPCG(1, 2)), dir, 1)
		if err != nil {
			t.Fatal(err)
		}
		texts[i], details[i] = mustRead(t, log), detail
	}
	if texts[0] != texts[1] || details[0] != details[1] || texts[0] == "entries\x00\x00\x00\x00" {
		t.Errorf("%q and %q: %q and %q", texts[0], texts[1], details[0], details[1])
	}
}

func TestWhatIsCutOffWasUsed(t *testing.T) {
	dir, log := mustDir(t)
	if _, err := damage.CutFile(rand.New(rand.NewPCG(1, 2)), dir, 0); err != nil {
		t.Fatal(err)
	}
	if text := mustRead(t, log); text != "entrie" {
		t.Errorf("%q is left", text)
	}
}

func TestWhereNothingIsNothingIsDamaged(t *testing.T) {
	if _, err := damage.FlipBits(rand.New(rand.NewPCG(1, 2)), t.TempDir(), 1); !errors.Is(err, damage.ErrNothing) {
		t.Errorf("flip bits: %v", err)
	}
	if err := damage.Empty(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Errorf("empty: %v", err)
	}
}

func TestAnOldCopyTakesThePlaceOfWhatIsThere(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		dir, log := mustDir(t)
		for _, name := range []string{"raft/stable", "raft/high-water", "servers"} {
			mustWrite(t, filepath.Join(dir, name), "old")
		}
		old := t.TempDir()
		if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"raft/stable", "raft/high-water", "servers", "raft/raft.db"} {
			mustWrite(t, filepath.Join(dir, name), "new")
		}
		age := damage.SomeAge(chance)
		name := age.In(dir)
		if err := age.PutBack(dir, old); err != nil {
			t.Fatal(err)
		}
		back := filepath.Join(dir, name)
		if name == "." {
			back = log
		}
		if text := mustRead(t, back); text == "new" {
			t.Errorf("%s was not put back", name)
		}
	}
}
