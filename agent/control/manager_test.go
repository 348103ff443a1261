package control_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/agent/control/controltest"
	"github.com/argosy-cluster/argosy/agent/runfolder"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestConfigurationsThatCannotWork(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*control.Config)
		want   string
	}{
		{"no folder", func(c *control.Config) { c.Dir = "" }, "no absolute path"},
		{"a relative folder", func(c *control.Config) { c.Dir = "run" }, "no absolute path"},
		{"a name that leads elsewhere", func(c *control.Config) { c.Agent = "../a" }, `agent name "../a"`},
		{"no handler", func(c *control.Config) { c.Handler = nil }, "no handler"},
		{"no limit", func(c *control.Config) { c.MaxQueueBytes = 0 }, "limit"},
		{"no time", func(c *control.Config) { c.RequestTimeout = 0 }, "time-out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := control.DefaultConfig()
			cfg.Dir, cfg.Agent, cfg.Handler = "/run/x", "a", handlerFunc(answerState)
			test.change(&cfg)
			_, err := control.New(cfg)
			if !errors.Is(err, control.ErrConfig) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want ErrConfig with %q", err, test.want)
			}
		})
	}
}

func TestInstancesWhoseNamesLeadElsewhere(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []*argosyv1.InstanceName{
		{Workload: "../../x", Agent: "agent_A", Id: "1"}, {Workload: "w", Agent: "agent_A", Id: "a/b"},
		{Workload: "", Agent: "agent_A", Id: "1"}, {Workload: "w", Agent: "agent_A"},
	} {
		if _, err := w.manager.Open(name); !errors.Is(err, control.ErrConfig) {
			t.Errorf("open %s: %v, want ErrConfig", name.Key(), err)
		}
		if err := w.manager.Close(name); !errors.Is(err, control.ErrConfig) {
			t.Errorf("close %s: %v, want ErrConfig", name.Key(), err)
		}
	}
}

func TestOpenTwiceIsOnce(t *testing.T) {
	w := newWorld(t, nil)
	folder := w.open("w")
	if want := filepath.Join(w.cfg.Dir, "agent_A_io", "w."+instance("w").GetId(), "control_interface"); folder != want {
		t.Fatalf("folder is %s, want %s", folder, want)
	}
	client := w.session(folder)
	if again := w.open("w"); again != folder {
		t.Fatalf("folder is %s now, was %s", again, folder)
	}
	w.wantServed(client, "1")
}

func TestWhoMayOpenThePipes(t *testing.T) {
	w := newWorld(t, nil)
	folder := w.open("w")
	w.stop()
	defer syscall.Umask(syscall.Umask(0o077))
	w.must(os.Chmod(filepath.Join(folder, "input"), 0o600))
	w.startAgent()
	w.open("w")
	for path, want := range map[string]fs.FileMode{
		filepath.Join(folder, "input"):  fs.ModeNamedPipe | 0o666,
		filepath.Join(folder, "output"): fs.ModeNamedPipe | 0o666,
		folder:                          fs.ModeDir | 0o755,
		filepath.Dir(folder):            fs.ModeDir | 0o700, // keeps everybody else out
	} {
		info, err := os.Lstat(path)
		w.must(err)
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
}

func TestCloseRemovesTheFiles(t *testing.T) {
	w := newWorld(t, nil)
	folder := w.open("w")
	client := w.session(folder)
	w.must(os.WriteFile(filepath.Join(folder, "of the workload"), nil, 0o600))
	w.must(w.manager.Close(instance("w")))
	if _, err := os.Lstat(filepath.Dir(folder)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("folder is there: %v", err)
	}
	if _, err := client.Receive(w.ctx); err == nil {
		t.Fatal("the workload saw nothing")
	}
	w.must(w.manager.Close(instance("w")))
	w.wantServed(w.session(w.open("w")), "1")
}

func TestAFormerAgentsFiles(t *testing.T) {
	w := newWorld(t, nil)
	open, kept, left, closed := w.open("open"), w.open("kept"), w.open("left"), w.open("closed")
	target := filepath.Join(t.TempDir(), "target")
	w.must(os.WriteFile(target, nil, 0o600))
	w.must(os.Symlink(target, filepath.Join(filepath.Dir(filepath.Dir(left)), "link")))
	w.stop()
	w.startAgent()
	w.open("open")
	w.must(w.manager.Sweep([]*argosyv1.InstanceName{instance("kept")}))
	for folder, want := range map[string]bool{open: true, kept: true, left: false, closed: false, target: true} {
		if _, err := os.Lstat(folder); (err == nil) != want {
			t.Errorf("%s: %v, want it to be there: %v", folder, err, want)
		}
	}
	w.must(w.manager.Close(instance("kept"))) // without having opened it
	if _, err := os.Lstat(kept); err == nil {
		t.Error("files of an interface that was not open are there after Close")
	}
}

func TestAFolderThatIsNotTheAgentsAlone(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"others may write": func(dir string) error { return os.Chmod(dir, 0o777) },
		"others may write below": func(dir string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "agent_A_io"), 0), os.Chmod(filepath.Join(dir, "agent_A_io"), 0o777))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.must(spoil(w.cfg.Dir))
			if _, err := w.manager.Open(instance("w")); !errors.Is(err, runfolder.ErrUnsafe) {
				t.Fatalf("got %v, want ErrUnsafe", err)
			}
		})
	}
}

func TestNothingIsOpenedAfterTheEnd(t *testing.T) {
	w := newWorld(t, nil)
	w.wantServed(w.session(w.open("w")), "1")
	w.stop()
	if _, err := w.manager.Open(instance("w")); !errors.Is(err, control.ErrEnded) {
		t.Fatalf("got %v, want ErrEnded", err)
	}
	if err := w.manager.Run(context.Background()); !errors.Is(err, control.ErrEnded) {
		t.Fatalf("got %v, want ErrEnded", err)
	}
}

func TestWhatCannotBeOpenedAtTheBeginningIsTriedAgain(t *testing.T) {
	w := newWorld(t, nil)
	w.stop()
	manager, err := control.New(w.cfg)
	w.must(err)
	w.manager = manager
	folder := w.open("w")
	// Of somebody who may write there nothing is opened.
	agent := filepath.Join(w.cfg.Dir, "agent_A_io")
	w.must(os.Chmod(agent, 0o777))
	w.run(manager)
	w.awaitLog("it is tried again")
	w.must(os.Chmod(agent, 0o700))
	w.wantServed(w.session(folder), "1")
	w.wantServed(w.session(w.open("another")), "1")
}

func TestInterfacesAtRestHaveTwoGoroutinesEach(t *testing.T) {
	w := newWorld(t, nil)
	w.wantServed(w.session(w.open("first")), "1")
	before := runtime.NumGoroutine()
	for n := range 50 {
		w.wantServed(w.session(w.open("w"+strings.Repeat("x", n))), "1")
	}
	w.await("goroutines of requests end", func() error {
		if n := runtime.NumGoroutine() - before; n > 100 {
			return errors.New("too many goroutines")
		}
		return nil
	})
}

// A mount that is read-only is what the runtimes should use: pipes can be written
// to, by whatever user, and not be replaced.
func TestAReadOnlyMountServesAnyUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts need root")
	}
	w := newWorld(t, nil)
	folder := w.open("w")
	client := w.session(folder)
	// /mnt of a mount namespace that ends with the command.
	script := `mount --bind "$0" /mnt && mount -o remount,bind,ro /mnt && ! rm -f /mnt/input 2>/dev/null &&
		exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'cat >/mnt/output'`
	command := exec.Command("unshare", "--mount", "sh", "-c", script, folder)
	command.Stdin = bytes.NewReader(requestFrame(controltest.Get("1")))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, err := client.Response(w.ctx, "1")
	w.must(err)
}
