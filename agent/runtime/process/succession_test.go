package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// actor is a client that is watched.
type actor struct {
	t      *testing.T
	ctx    context.Context
	client *Runtime
	place  *place
	events chan runtime.Event
}

func newActor(t *testing.T, p *place) *actor {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	a := &actor{t: t, ctx: ctx, client: p.open("agent"), place: p, events: make(chan runtime.Event, 10000)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = a.client.Watch(ctx, func(event runtime.Event) { a.events <- event })
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	a.await("first resync", func(e runtime.Event) bool { return e.Resync })
	return a
}

func (a *actor) await(what string, holds func(runtime.Event) bool) runtime.Event {
	a.t.Helper()
	for {
		select {
		case event := <-a.events:
			if holds(event) {
				return event
			}
		case <-a.ctx.Done():
			a.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (a *actor) start(name, config string) runtime.Instance {
	a.t.Helper()
	instance, err := a.client.Start(a.ctx, a.workload(name, config), runtime.StartOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	return instance
}

func (a *actor) workload(name, config string) *argosyv1.Workload {
	return &argosyv1.Workload{Name: name, Agent: "agent", Runtime: Name, RuntimeConfig: config}
}

func (a *actor) remove(instance runtime.Instance) {
	a.t.Helper()
	if err := a.client.Remove(a.ctx, instance.Name); err != nil {
		a.t.Fatal(err)
	}
}

func (a *actor) list() map[string]runtime.Instance {
	a.t.Helper()
	all, err := a.client.List(a.ctx)
	if err != nil {
		a.t.Fatal(err)
	}
	instances := make(map[string]runtime.Instance)
	for _, instance := range all {
		instances[instance.Name.GetWorkload()] = instance
	}
	return instances
}

func (a *actor) logs(instance runtime.Instance, options runtime.LogOptions) []string {
	a.t.Helper()
	var lines []string
	err := a.client.Logs(a.ctx, instance.Name, options, func(line runtime.LogLine) error {
		lines = append(lines, string(line.Line))
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return lines
}

// awaitLine returns when a line was printed.
func (a *actor) awaitLine(instance runtime.Instance, holds func(string) bool) string {
	a.t.Helper()
	found := errors.New("found")
	var text string
	err := a.client.Logs(a.ctx, instance.Name, runtime.LogOptions{Follow: true, Tail: -1}, func(line runtime.LogLine) error {
		if text = string(line.Line); holds(text) {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		a.t.Fatalf("line was not printed: %v", err)
	}
	return text
}

func is(want string) func(string) bool { return func(line string) bool { return line == want } }

func openPidfd(t *testing.T, pid int) int {
	t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("process %d: %v", pid, err)
	}
	t.Cleanup(func() { unix.Close(pidfd) })
	return pidfd
}

// newGate makes a file from which a script reads a line when pass was called.
func newGate(t *testing.T) string {
	t.Helper()
	gate := filepath.Join(t.TempDir(), "gate")
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	return gate
}

// pass lets the script behind a gate go on, also when it has not come there yet.
func pass(t *testing.T, gate string) {
	t.Helper()
	file, err := os.OpenFile(gate, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if _, err := file.WriteString("go\n"); err != nil {
		t.Fatal(err)
	}
}

func TestProcessesOutliveTheKeeper(t *testing.T) {
	a := newActor(t, newPlace(t))
	// It goes on only when it gets a file, so that it prints while no keeper runs.
	gate := newGate(t)
	stays := a.start("stays", shell(t, "echo before; read x <"+gate+"; echo between; echo unended; trap 'echo stopping; exit 0' TERM; sleep 1000 & wait", nil))
	endGate := newGate(t)
	ends := a.start("ends", shell(t, "echo waits; read x <"+endGate+"; echo last; exit 5", nil))
	ended := a.start("ended", shell(t, "exit 7", nil))
	a.await("its end", func(e runtime.Event) bool { return e.Instance.Status == runtime.StatusExited })
	a.awaitLine(stays, is("before"))

	// Nobody may start a keeper while the processes go on.
	pid := keeperPID(t, a.place.dir)
	killKeeper(t, a.place.dir)
	pass(t, gate)

	a.await("resync after the death of the keeper", func(e runtime.Event) bool { return e.Resync })
	if next := keeperPID(t, a.place.dir); next == pid {
		t.Fatalf("keeper is still %d", pid)
	}
	all := a.list()
	if got := all["stays"]; got.Status != runtime.StatusRunning || got.RuntimeID != stays.RuntimeID {
		t.Fatalf("process is %+v, want it running as it was: %+v", got, stays)
	}
	if got := all["ended"]; got.Status != runtime.StatusExited || got.ExitCode != 7 || got.RuntimeID != ended.RuntimeID {
		t.Fatalf("process is %+v, want it ended with 7", got)
	}
	a.awaitLine(stays, is("unended"))
	if lines := a.logs(stays, runtime.LogOptions{Tail: -1}); !slices.Equal(lines, []string{"before", "between", "unended"}) {
		t.Fatalf("lines are %q, want each once", lines)
	}

	// The next keeper is not the parent, and is told of the end all the same.
	pass(t, endGate)
	event := a.await("its end", func(e runtime.Event) bool {
		return e.Instance.Name.GetWorkload() == "ends" && e.Instance.Status == runtime.StatusExited
	})
	if event.Instance.ExitCode != ExitUnknown || !strings.Contains(event.Instance.Detail, "not known") {
		t.Fatalf("end is told as %+v, want an unknown exit code", event.Instance)
	}
	if lines := a.logs(ends, runtime.LogOptions{Tail: 1}); !slices.Equal(lines, []string{"last"}) {
		t.Fatalf("last line is %q", lines)
	}

	pidfd := openPidfd(t, pidOf(t, stays))
	a.remove(stays)
	awaitPidfd(t, pidfd)
}

func TestAnEndWithoutKeeperIsTold(t *testing.T) {
	p := newPlace(t)
	a := newActor(t, p)
	instance := a.start("w", shell(t, "sleep 1000", nil))
	pid := pidOf(t, instance)
	pidfd := openPidfd(t, pid)
	// The keeper stands still while its child dies, and is then killed.
	keeper := keeperPID(t, p.dir)
	if err := unix.Kill(keeper, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitPidfd(t, pidfd)
	killKeeper(t, p.dir)
	a.await("resync", func(e runtime.Event) bool { return e.Resync })
	got := a.list()["w"]
	if got.Status != runtime.StatusExited || got.ExitCode != ExitUnknown || !strings.Contains(got.Detail, "no keeper") {
		t.Fatalf("process is %+v, want it ended with an unknown exit code", got)
	}
}

func TestProcessesOutliveTheAgent(t *testing.T) {
	p := newPlace(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(self, "agent", p.dir, shell(t, "trap '' HUP; echo running; sleep 1000", nil))
	agent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	agent.Stderr = os.Stderr
	output, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	text, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	keeper := keeperPID(t, p.dir)
	if err := unix.Kill(-agent.Process.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait()

	a := newActor(t, p)
	if got := keeperPID(t, p.dir); got != keeper {
		t.Fatalf("keeper was %d and is %d, want it to live on", keeper, got)
	}
	got := a.list()["w"]
	if got.Status != runtime.StatusRunning || got.RuntimeID != strings.TrimSpace(text) {
		t.Fatalf("process is %+v, want it running with pid %s", got, text)
	}
	a.awaitLine(got, is("running"))
	// Its exit code is not lost either.
	if err := unix.Kill(pidOf(t, got), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	event := a.await("its end", func(e runtime.Event) bool { return e.Instance.Status == runtime.StatusExited })
	if event.Instance.ExitCode != 137 {
		t.Fatalf("exit code is %d, want 137", event.Instance.ExitCode)
	}
}

// However often the keeper is killed while processes are started, each runs once.
func TestKilledWhileStarting(t *testing.T) {
	const count, kills = 60, 6
	a := newActor(t, newPlace(t))
	mark := fmt.Sprintf("%s-%d", t.Name(), os.Getpid())
	var started atomic.Int64
	progress := make(chan struct{}, count)
	var group errgroup.Group
	group.SetLimit(8)
	killer := make(chan struct{})
	go func() {
		defer close(killer)
		for range kills {
			for range count / (kills + 1) {
				<-progress
			}
			killKeeper(t, a.place.dir)
		}
	}()
	for i := range count {
		group.Go(func() error {
			w := a.workload(fmt.Sprintf("w%d", i), shell(t, "sleep 1000", map[string]any{"env": map[string]string{"MARK": mark}}))
			for a.ctx.Err() == nil {
				// A start may lose too many keepers to go on by itself.
				_, err := a.client.Start(a.ctx, w, runtime.StartOptions{})
				if err == nil {
					started.Add(1)
					progress <- struct{}{}
					return nil
				}
				if !errors.Is(err, runtime.ErrUnavailable) {
					return err
				}
			}
			return a.ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	<-killer
	all := a.list()
	leaders := markedLeaders(t, mark)
	if len(all) != count || len(leaders) != count {
		t.Fatalf("%d instances are listed and %d processes run, want %d", len(all), len(leaders), count)
	}
	for name, instance := range all {
		if instance.Status != runtime.StatusRunning || !leaders[pidOf(t, instance)] {
			t.Errorf("%s is %+v, want a process that runs", name, instance)
		}
	}
	var removals errgroup.Group
	for _, instance := range all {
		removals.Go(func() error { return a.client.Remove(a.ctx, instance.Name) })
	}
	if err := removals.Wait(); err != nil {
		t.Fatal(err)
	}
}

// markedLeaders returns the live session leaders with MARK in their environment.
func markedLeaders(t *testing.T, mark string) map[int]bool {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	leaders := make(map[int]bool)
	for _, path := range paths {
		environ, err := os.ReadFile(path)
		if err != nil || !slices.Contains(strings.Split(string(environ), "\x00"), "MARK="+mark) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		if session, err := unix.Getsid(pid); err == nil && session == pid {
			leaders[pid] = true
		}
	}
	return leaders
}

// Lines are neither lost nor doubled nor out of order, however often the keeper
// is killed while they are copied.
func TestKilledWhileCopyingLogs(t *testing.T) {
	const lines = 6000
	a := newActor(t, newPlace(t))
	instance := a.start("prints", shell(t,
		fmt.Sprintf("i=0; while [ $i -lt %d ]; do echo line $i; i=$((i+1)); done; sleep 1000", lines), nil))
	followed := make(chan []string, 1)
	kill := make(chan struct{}, lines)
	full := errors.New("full")
	var ended error
	go func() {
		var seen []string
		ended = a.client.Logs(a.ctx, instance.Name, runtime.LogOptions{Follow: true, Tail: -1}, func(line runtime.LogLine) error {
			seen = append(seen, string(line.Line))
			if len(seen)%(lines/10) == 0 {
				kill <- struct{}{}
			}
			if len(seen) == lines {
				return full
			}
			return nil
		})
		close(kill)
		followed <- seen
	}()
	for range kill {
		killKeeper(t, a.place.dir)
	}
	want := make([]string, lines)
	for i := range want {
		want[i] = fmt.Sprintf("line %d", i)
	}
	if seen := <-followed; !slices.Equal(seen, want) {
		t.Fatalf("follower saw %d lines, not each of %d once, and ended with: %v", len(seen), lines, ended)
	}
	if all := a.logs(instance, runtime.LogOptions{Tail: -1}); !slices.Equal(all, want) {
		t.Fatalf("log has %d lines, not each of %d once", len(all), lines)
	}
	a.remove(instance)
}
