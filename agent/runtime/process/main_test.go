package process

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/process/keeper"
	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// The test binary is also the keeper: the runtime starts it with "keeper" as its
// first argument, and with the idle time as its second.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "keeper" {
		os.Exit(runKeeper(os.Args[2], os.Args[4]))
	}
	if len(os.Args) == 4 && os.Args[1] == "agent" {
		os.Exit(runAgent(os.Args[2], os.Args[3]))
	}
	goleak.VerifyTestMain(m)
}

// runAgent starts an instance, says its pid, and watches until it is killed.
func runAgent(dir, config string) int {
	r, err := New(testConfig(dir, "agent", time.Hour))
	if err != nil {
		return fail(err)
	}
	w := &argosyv1.Workload{Name: "w", Agent: "agent", Runtime: Name, RuntimeConfig: config}
	instance, err := r.Start(context.Background(), w, runtime.StartOptions{})
	if err != nil {
		return fail(err)
	}
	fmt.Println(instance.RuntimeID)
	return fail(r.Watch(context.Background(), func(runtime.Event) {}))
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func testConfig(dir, agent string, idle time.Duration) Config {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cfg := DefaultConfig()
	cfg.Dir, cfg.AgentName, cfg.Home = dir, agent, "/"
	// The race detector would have every keeper end a second late.
	cfg.KeeperCommand = []string{"/usr/bin/env", "GORACE=atexit_sleep_ms=0", self, "keeper", idle.String()}
	return cfg
}

func runKeeper(idle, dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg := keeper.DefaultConfig()
	cfg.Dir = dir
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	// Small, so that tests reach the limits.
	cfg.SegmentBytes, cfg.BacklogBytes = 1<<20, 1<<20
	var err error
	if cfg.Idle, err = time.ParseDuration(idle); err == nil {
		err = keeper.Run(ctx, cfg)
	}
	if err != nil {
		return fail(err)
	}
	return 0
}

// place is the directory of one agent's keeper.
type place struct {
	t    testing.TB
	dir  string
	idle time.Duration
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{t: t, dir: filepath.Join(t.TempDir(), "keeper"), idle: time.Hour}
	t.Cleanup(func() { endKeeper(t, p.dir) })
	return p
}

// open makes a client.
func (p *place) open(agent string) *Runtime {
	p.t.Helper()
	r, err := New(testConfig(p.dir, agent, p.idle))
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func keeperPID(t testing.TB, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, wire.LockFile))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func openFor(t testing.TB, dir string) *Runtime {
	return (&place{t: t, dir: dir, idle: time.Hour}).open("bench")
}

// killKeeper kills the keeper and returns when it is dead.
func killKeeper(t testing.TB, dir string) {
	t.Helper()
	pid := keeperPID(t, dir)
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return // killed before, and its successor has not come so far
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		t.Fatal(err)
	}
	awaitPidfd(t, pidfd)
}

func awaitPidfd(t testing.TB, pidfd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(time.Minute.Milliseconds()))
		switch {
		case err == unix.EINTR:
		case err != nil || n != 1:
			t.Fatalf("process did not end: %v", err)
		default:
			return
		}
	}
}

// awaitNoKeeper returns when no keeper has the directory, and keeps it so until
// the returned function is called.
func awaitNoKeeper(t testing.TB, dir string) (release func()) {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(dir, wire.LockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { lock.Close() }
}

// endKeeper ends the keeper of a directory if there is one, and what it runs.
func endKeeper(t testing.TB, dir string) {
	text, err := os.ReadFile(filepath.Join(dir, wire.LockFile))
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return
	}
	_ = unix.Kill(pid, unix.SIGTERM)
	awaitNoKeeper(t, dir)()
	_, _ = unix.Wait4(pid, nil, 0, nil)
	log, _ := os.ReadFile(filepath.Join(dir, wire.LogFile))
	if strings.Contains(string(log), "DATA RACE") || strings.Contains(string(log), "panic") {
		t.Error("the keeper raced or panicked")
	}
	if t.Failed() {
		t.Logf("log of the keeper in %s:\n%s", dir, log)
	}
}

func pidOf(t testing.TB, instance runtime.Instance) int {
	t.Helper()
	pid, err := strconv.Atoi(instance.RuntimeID)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// eventually waits for a condition of which nobody tells.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
