package runfolder

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestARunFolderIsMadePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "argosy")
	claimed, err := New(dir, "a", nil).Claim()
	if err != nil {
		t.Fatal(err)
	}
	defer claimed.Close()
	for _, folder := range []string{dir, filepath.Join(dir, "a_io")} {
		if info, err := os.Lstat(folder); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v, want it to be private", folder, info, err)
		}
	}
}

func TestAFolderIsClaimedOnceAtATime(t *testing.T) {
	dir := t.TempDir()
	first, err := New(dir, "a", nil).Claim()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(dir, "a", nil).Claim(); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v, want %v", err, ErrInUse)
	}
	other, err := New(dir, "b", nil).Claim()
	if err != nil {
		t.Errorf("another agent: %v", err)
	}
	_, _ = first.Close(), other.Close()
	again, err := New(dir, "a", nil).Claim()
	if err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
	_ = again.Close()
}

func TestARunFolderThatIsNotTheAgentsAloneIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"others may write": func(dir string) error { return os.Chmod(dir, 0o777) },
		"somebody else's":  func(dir string) error { return os.Chown(dir, 12345, -1) },
		"a link": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".real"), os.Symlink(dir+".real", dir))
		},
		"a file": func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := spoil(dir); err != nil {
				t.Skip(err)
			}
			if folder, err := New(dir, "a", nil).Claim(); err == nil {
				_ = folder.Close()
				t.Error("it was taken")
			}
		})
	}
}
