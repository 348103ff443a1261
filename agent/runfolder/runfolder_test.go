package runfolder

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
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

// onLog calls itself for every line that is logged.
type onLog func()

func (f onLog) Enabled(context.Context, slog.Level) bool  { return true }
func (f onLog) Handle(context.Context, slog.Record) error { f(); return nil }
func (f onLog) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f onLog) WithGroup(string) slog.Handler             { return f }

func TestAFolderThatCannotBeOpenedAtTheMomentStays(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	enough := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(enough)
	// There is room again by the time something would be removed.
	folder := New(t.TempDir(), "a", slog.New(onLog(enough)))
	parent, err := folder.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	own, err := folder.Own(parent, "w.1", 0o700)
	if err != nil {
		t.Fatal(err)
	}
	lowest := uint64(own.Fd())
	if err := errors.Join(own.Close(), os.WriteFile(folder.Path("w.1", "kept"), nil, 0o600),
		unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: lowest, Max: before.Max})); err != nil {
		t.Fatal(err)
	}
	own, err = folder.Own(parent, "w.1", 0o700)
	enough()
	if err == nil {
		_ = own.Close()
	}
	if !errors.Is(err, unix.EMFILE) {
		t.Errorf("error %v, want %v", err, unix.EMFILE)
	}
	if _, err := os.Lstat(folder.Path("w.1", "kept")); err != nil {
		t.Errorf("what was in the folder: %v", err)
	}
}

func TestWhatIsInTheWayOfAFolderIsRemoved(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"a file":          func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a link":          func(path string) error { return os.Symlink(t.TempDir(), path) },
		"somebody else's": func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chown(path, 12345, -1)) },
		"another mode":    func(path string) error { return errors.Join(os.Mkdir(path, 0), os.Chmod(path, 0o777)) },
	} {
		t.Run(name, func(t *testing.T) {
			folder := New(t.TempDir(), "a", nil)
			parent, err := folder.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer parent.Close()
			if err := spoil(folder.Path("w.1")); err != nil {
				t.Skip(err)
			}
			own, err := folder.Own(parent, "w.1", 0o700)
			if err != nil {
				t.Fatal(err)
			}
			defer own.Close()
			var stat unix.Stat_t
			if err := unix.Lstat(folder.Path("w.1"), &stat); err != nil || stat.Mode != unix.S_IFDIR|0o700 || int(stat.Uid) != os.Geteuid() {
				t.Errorf("there is %o of user %d, %v", stat.Mode, stat.Uid, err)
			}
		})
	}
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
