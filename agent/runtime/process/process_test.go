package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/process/keeper"
	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *actor) awaitExit(name string) runtime.Instance {
	a.t.Helper()
	return a.await(name+" to end", func(e runtime.Event) bool {
		return e.Instance.Name.GetWorkload() == name && e.Instance.Status == runtime.StatusExited
	}).Instance
}

func TestEnvironmentIsTheProcesssOwn(t *testing.T) {
	t.Setenv("AGENT_SECRET", "must not be seen")
	a := newActor(t, newPlace(t))
	instance := a.start("env", mustYAML(t, map[string]any{
		"command": "env", "env": map[string]any{"GIVEN": "yes", "NUMBER": 8080, "HOME": "/tmp"},
	}))
	a.awaitExit("env")
	lines := a.logs(instance, runtime.LogOptions{Tail: -1})
	slices.Sort(lines)
	if len(lines) != 5 || !strings.HasPrefix(lines[0], "ARGOSY_RUN=") ||
		!slices.Equal(lines[1:], []string{"GIVEN=yes", "HOME=/tmp", "NUMBER=8080", "PATH=" + DefaultPath}) {
		t.Fatalf("environment is %q", lines)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", keeperPID(t, a.place.dir)))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(environ), "AGENT_SECRET") {
		t.Error("the keeper has the agent's environment")
	}
}

func TestCommandRunsWhereAndAsItIsToldTo(t *testing.T) {
	a := newActor(t, newPlace(t))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho tool in $(pwd): \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]string{
		"path":     fmt.Sprintf("command: tool\nargs: [one, 2]\nworkingDir: %s\nenv: {PATH: \"%s:%s\"}\n", dir, DefaultPath, dir),
		"relative": fmt.Sprintf("command: ./tool\nargs: [one, 2]\nworkingDir: %s\n", dir),
	} {
		instance := a.start(name, config)
		a.awaitExit(name)
		if lines := a.logs(instance, runtime.LogOptions{Tail: -1}); !slices.Equal(lines, []string{"tool in " + dir + ": one 2"}) {
			t.Errorf("%s printed %q", name, lines)
		}
	}
}

func TestFailedStartsSayWhy(t *testing.T) {
	a := newActor(t, newPlace(t))
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for config, text := range map[string]string{
		"command: no-such-command\n":          `find command "no-such-command" in PATH`,
		"command: /no/such/command\n":         "no such file or directory",
		"command: " + plain + "\n":            "permission denied",
		"command: ls\nworkingDir: /no/such\n": "enter working directory",
	} {
		_, err := a.client.Start(a.ctx, a.workload("w", config), runtime.StartOptions{})
		if err == nil || errors.Is(err, runtime.ErrInvalidConfig) || !strings.Contains(err.Error(), text) {
			t.Errorf("start of %q: error %v, want one that says %q", config, err, text)
		}
	}
	if all := a.list(); len(all) != 0 {
		t.Errorf("left: %v", all)
	}
	left, err := os.ReadDir(filepath.Join(a.place.dir, wire.InstancesDir))
	if err != nil || len(left) != 0 {
		t.Errorf("directories left: %v, %v", left, err)
	}
	if _, err := a.client.Start(a.ctx, &argosyv1.Workload{Name: "../w", Agent: "agent", RuntimeConfig: "command: ls"}, runtime.StartOptions{}); !errors.Is(err, runtime.ErrInvalidConfig) {
		t.Errorf("start of a name with a slash: error %v", err)
	}
	if _, err := a.client.Start(a.ctx, &argosyv1.Workload{Name: "w", Agent: "other", RuntimeConfig: "command: ls"}, runtime.StartOptions{}); !errors.Is(err, runtime.ErrInvalidConfig) {
		t.Errorf("start for another agent: error %v", err)
	}
}

func TestFailedRestartIsToldAsGone(t *testing.T) {
	a := newActor(t, newPlace(t))
	tool := filepath.Join(t.TempDir(), "tool")
	if err := os.Symlink("/bin/true", tool); err != nil {
		t.Fatal(err)
	}
	config := "command: " + tool + "\n"
	a.start("w", config)
	a.awaitExit("w")
	if err := os.Remove(tool); err != nil {
		t.Fatal(err)
	}
	// With Reuse, what was there stays; without, it made place for nothing.
	if _, err := a.client.Start(a.ctx, a.workload("w", config), runtime.StartOptions{Reuse: true}); err == nil {
		t.Fatal("restart of a command that is gone: no error")
	}
	if got := a.list()["w"]; got.Status != runtime.StatusExited {
		t.Fatalf("after a failed restart it is %+v", got)
	}
	if _, err := a.client.Start(a.ctx, a.workload("w", config), runtime.StartOptions{}); err == nil {
		t.Fatal("restart of a command that is gone: no error")
	}
	a.await("it to be gone", func(e runtime.Event) bool { return e.Gone })
}

func TestStopReachesTheWholeGroup(t *testing.T) {
	a := newActor(t, newPlace(t))
	// The child does not care for the signal, and its parent does not wait for it.
	instance := a.start("w", shell(t, "(trap '' TERM; echo $(exec sh -c 'echo $PPID'); sleep 1000; sleep 1000) & sleep 1000", nil))
	child, err := strconv.Atoi(a.awaitLine(instance, func(string) bool { return true }))
	if err != nil {
		t.Fatal(err)
	}
	pidfd := openPidfd(t, child)
	a.remove(instance)
	awaitPidfd(t, pidfd)
}

func TestStopSignalIsTheOneAskedFor(t *testing.T) {
	a := newActor(t, newPlace(t))
	instance := a.start("w", shell(t, "trap 'echo usr1; exit 0' USR1; trap '' TERM; echo ready; sleep 1000 & wait",
		map[string]any{"stopSignal": "usr1", "stopTimeout": "1h"}))
	a.awaitLine(instance, is("ready"))
	a.remove(instance)
}

func TestStoppedProcessCanBeRemoved(t *testing.T) {
	a := newActor(t, newPlace(t))
	instance := a.start("w", shell(t, "trap 'exit 0' TERM; echo ready; sleep 1000 & wait", map[string]any{"stopTimeout": "1h"}))
	a.awaitLine(instance, is("ready"))
	if err := unix.Kill(-pidOf(t, instance), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	a.remove(instance)
}

func TestRemoveGoesOnWithoutItsCaller(t *testing.T) {
	a := newActor(t, newPlace(t))
	gate := newGate(t)
	instance := a.start("w", shell(t, "trap 'read x <"+gate+"; exit 0' TERM; echo ready; sleep 1000 & wait; wait", map[string]any{"stopTimeout": "1h"}))
	a.awaitLine(instance, is("ready"))
	removed := make(chan error, 1)
	ctx, cancel := context.WithCancelCause(a.ctx)
	go func() { removed <- a.client.Remove(ctx, instance.Name) }()
	a.await("it to be stopping", func(e runtime.Event) bool { return e.Instance.Status == runtime.StatusStopping })
	cancel(errors.New("caller left"))
	if err := <-removed; err == nil || !strings.Contains(err.Error(), "caller left") {
		t.Fatalf("remove ended with %v, want the cause of its context", err)
	}
	pass(t, gate)
	a.await("it to be gone", func(e runtime.Event) bool { return e.Gone })
}

func TestOrphansAreReaped(t *testing.T) {
	a := newActor(t, newPlace(t))
	gate := newGate(t)
	// A daemon: a session of its own, and its parent ends at once.
	instance := a.start("w", shell(t, "setsid sh -c 'echo $$; read x <"+gate+"' & wait $!; sleep 1000", nil))
	pid, err := strconv.Atoi(a.awaitLine(instance, func(string) bool { return true }))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pidOf(t, instance), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	a.awaitExit("w")
	pidfd := openPidfd(t, pid)
	pass(t, gate)
	awaitPidfd(t, pidfd)
	eventually(t, "the orphan to be reaped", func() bool { return unix.Kill(pid, 0) == unix.ESRCH })
}

func TestLogsAreBounded(t *testing.T) {
	a := newActor(t, newPlace(t))
	// The test keeper keeps segments of 1 MiB and lets processes be 1 MiB ahead.
	instance := a.start("w", shell(t, "head -c 20000000 /dev/zero | tr '\\0' 'x' | fold -w 99; echo last", nil))
	a.awaitExit("w")
	lines := a.logs(instance, runtime.LogOptions{Tail: -1})
	if len(lines) < 5000 || !strings.HasSuffix(lines[len(lines)-1], "last") {
		t.Fatalf("%d lines are kept, the last is %.200q, want some thousand and the last", len(lines), lines[len(lines)-1])
	}
	var blocks int64
	err := filepath.WalkDir(a.place.dir, func(path string, entry fs.DirEntry, err error) error {
		var stat unix.Stat_t
		if err == nil {
			err = unix.Stat(path, &stat)
		}
		blocks += stat.Blocks
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if size := blocks * 512; size > 6<<20 {
		t.Fatalf("%d bytes on the disk, want about 2 MiB", size)
	}
}

func TestLogsOutliveTheirTruncation(t *testing.T) {
	a := newActor(t, newPlace(t))
	// Shorter than what was there, as long, and longer.
	gates := []string{newGate(t), newGate(t), newGate(t)}
	instance := a.start("w", shell(t, "echo first >&2"+
		"; read x <"+gates[0]+"; echo two >/dev/stderr"+
		"; read x <"+gates[1]+"; echo one >/dev/stderr"+
		"; read x <"+gates[2]+"; echo longer >/dev/stderr; echo appended >&2", nil))
	for i, line := range []string{"first", "two", "one"} {
		a.awaitLine(instance, is(line))
		pass(t, gates[i])
	}
	a.awaitExit("w")
	want := []string{"first", "two", "one", "longer", "appended"}
	if lines := a.logs(instance, runtime.LogOptions{Tail: -1}); !slices.Equal(lines, want) {
		t.Fatalf("lines are %q, want %q", lines, want)
	}
}

func TestFollowEndsAtUntil(t *testing.T) {
	a := newActor(t, newPlace(t))
	instance := a.start("w", shell(t, "echo ready; sleep 1000", nil))
	a.awaitLine(instance, is("ready"))
	for _, until := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond} {
		lines := a.logs(instance, runtime.LogOptions{Tail: -1, Follow: true, Until: time.Now().Add(until)})
		if !slices.Equal(lines, []string{"ready"}) {
			t.Errorf("lines until %v from now are %q", until, lines)
		}
	}
}

func TestIdleKeeperEndsAndTheNextCallStartsAnother(t *testing.T) {
	p := newPlace(t)
	p.idle = 200 * time.Millisecond
	client := p.open("agent")
	w := &argosyv1.Workload{Name: "w", Agent: "agent", RuntimeConfig: shell(t, "exit 7", nil)}
	if _, err := client.Start(t.Context(), w, runtime.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitNoKeeper(t, p.dir)()
	all, err := client.List(t.Context())
	if err != nil || len(all) != 1 || all[0].Status != runtime.StatusExited || all[0].ExitCode != 7 {
		t.Fatalf("list is %+v, %v; want it ended with 7", all, err)
	}
	if err := client.Remove(t.Context(), argosyv1.InstanceOf(w)); err != nil {
		t.Fatal(err)
	}
}

func TestThereIsOneKeeper(t *testing.T) {
	a := newActor(t, newPlace(t))
	cfg := keeper.DefaultConfig()
	cfg.Dir = a.place.dir
	err := keeper.Run(a.ctx, cfg)
	pid := strconv.Itoa(keeperPID(t, a.place.dir))
	if !errors.Is(err, keeper.ErrHeld) || !strings.Contains(err.Error(), pid) {
		t.Fatalf("second keeper ended with %v, want %v and the pid %s of the first", err, keeper.ErrHeld, pid)
	}
}

func TestNobodyElseMayAskTheKeeper(t *testing.T) {
	a := newActor(t, newPlace(t))
	for name, want := range map[string]fs.FileMode{"": 0o700, wire.SocketFile: 0o600, wire.LogFile: 0o600, "journal": 0o600} {
		info, err := os.Stat(filepath.Join(a.place.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %q is %v, want %v", name, got, want)
		}
	}
}

func TestKeeperRefusesWhatItDoesNotUnderstand(t *testing.T) {
	a := newActor(t, newPlace(t))
	dial := func() net.Conn {
		connection, err := a.client.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		return connection
	}
	for kind, request := range map[string]wire.Request{
		wire.KindVersion: {Version: 99, Op: wire.OpList},
		wire.KindInvalid: {Version: wire.Version, Op: "dance", Name: wire.Name{Workload: "w", ID: "i", Agent: "a"}},
	} {
		connection := dial()
		var response wire.Response
		if err := errors.Join(wire.Write(connection, request), wire.Read(connection, &response)); err != nil {
			t.Fatal(err)
		}
		if response.Error == nil || response.Error.Kind != kind {
			t.Errorf("answer to %+v is %+v, want an error of kind %s", request, response, kind)
		}
	}
	for _, garbage := range []string{"\xff\xff\xff\xffxxxx", "\x00\x00\x00\x02{]", "GET / HTTP/1.0\r\n\r\n"} {
		connection := dial()
		if _, err := connection.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		_ = connection.(*net.UnixConn).CloseWrite()
		if n, err := connection.Read(make([]byte, 1)); err == nil {
			t.Errorf("garbage %q was answered with %d bytes", garbage, n)
		}
	}
	if _, err := a.client.List(a.ctx); err != nil {
		t.Fatal(err)
	}
}

func TestMissingKeeperIsTold(t *testing.T) {
	for command, text := range map[string]string{
		"/no/such/keeper": "no such file",
		"/bin/true":       "ended without a word",
	} {
		cfg := DefaultConfig()
		cfg.Dir, cfg.AgentName, cfg.KeeperCommand = filepath.Join(t.TempDir(), "keeper"), "agent", []string{command}
		client, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.List(t.Context())
		if !errors.Is(err, runtime.ErrUnavailable) || !strings.Contains(err.Error(), text) {
			t.Errorf("list with keeper %s: error %v, want %v that says %q", command, err, runtime.ErrUnavailable, text)
		}
		if problem := client.Info(t.Context()).GetProblem(); !strings.Contains(problem, text) {
			t.Errorf("problem is %q, want it to say %q", problem, text)
		}
	}
}

func TestAKeeperThatIsKilledBeforeItCanBeAskedIsStartedAgain(t *testing.T) {
	p := newPlace(t)
	cfg := testConfig(p.dir, "agent", p.idle)
	once := `if mkdir "$0"; then kill -9 $$; fi; exec "$@"`
	cfg.KeeperCommand = append([]string{"/bin/sh", "-c", once, filepath.Join(t.TempDir(), "killed")}, cfg.KeeperCommand...)
	client, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.List(t.Context()); err != nil {
		t.Errorf("list: %v", err)
	}
	if problem := client.Info(t.Context()).GetProblem(); problem != "" {
		t.Errorf("problem is %q, want none", problem)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for text, change := range map[string]func(*Config){
		"no directory":          func(c *Config) { c.Dir = "" },
		"no absolute path":      func(c *Config) { c.KeeperCommand = []string{"argosy"} },
		"agent name \"a/b\" is": func(c *Config) { c.AgentName = "a/b" },
	} {
		cfg := testConfig("/dir", "agent", time.Hour)
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error is %v, want %q", err, text)
		}
	}
}
