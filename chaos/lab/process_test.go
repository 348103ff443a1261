package lab_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/lab"
)

// mustFailing makes calls of an actor fail.
func mustFailing(t *testing.T, a *actor, how lab.Failure) *lab.Failing {
	t.Helper()
	f, err := lab.Fail(a.pid(), how)
	if errors.Is(err, lab.ErrUnable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { f.Mend() })
	return f
}

func TestFlushesFailUntilTheyAreMended(t *testing.T) {
	t.Parallel()
	a := mustActor(t, mustHost(t, mustLab(t), "a"))
	a.mustDo("flush")
	f := mustFailing(t, a, lab.Failure{Flushes: true, Error: syscall.EIO})
	a.mustFail("flush", "input/output error")
	a.mustDo("write")
	a.mustFail("flush", "input/output error")
	if n := f.Mend(); n != 2 {
		t.Errorf("%d calls failed, want 2", n)
	}
	a.mustDo("flush")
	f = mustFailing(t, a, lab.Failure{Writes: true, Error: syscall.ENOSPC})
	a.mustFail("write", "no space left on device")
	a.mustDo("flush")
	f.Mend()
	if n := f.Mend(); n != 1 {
		t.Errorf("%d calls failed, want 1", n)
	}
	a.mustDo("write")
}

func TestOnlySomeCallsFail(t *testing.T) {
	t.Parallel()
	a := mustActor(t, mustHost(t, mustLab(t), "a"))
	// The calls of one thread are counted; the program may change it meanwhile.
	f := mustFailing(t, a, lab.Failure{Flushes: true, Error: syscall.EIO, After: 1000})
	a.mustDo("flush")
	if n := f.Mend(); n != 0 {
		t.Errorf("%d calls failed, want none of the first 1000", n)
	}
}

func TestAProcessThatDiesWhileItsCallsFailIsLetGo(t *testing.T) {
	t.Parallel()
	a := mustActor(t, mustHost(t, mustLab(t), "a"))
	f := mustFailing(t, a, lab.Failure{Flushes: true, Error: syscall.EIO})
	must(t, a.cmd.Process.Kill())
	_ = a.cmd.Wait()
	f.Mend()
}

func TestCallsThatCannotFailAreRefused(t *testing.T) {
	t.Parallel()
	a := mustActor(t, mustHost(t, mustLab(t), "a"))
	for name, how := range map[string]lab.Failure{
		"no calls":     {Error: syscall.EIO},
		"no error":     {Flushes: true},
		"odd error":    {Flushes: true, Error: syscall.ECHILD},
		"less than no": {Flushes: true, Error: syscall.EIO, After: -1},
	} {
		if _, err := lab.Fail(a.pid(), how); err == nil {
			t.Errorf("%s: it was done", name)
		}
	}
	must(t, a.cmd.Process.Kill())
	_ = a.cmd.Wait()
	if f, err := lab.Fail(a.pid(), lab.Failure{Flushes: true, Error: syscall.EIO}); err == nil {
		f.Mend()
		t.Error("calls of a process that has ended fail")
	}
}

func TestAProcessWithFewFilesOpensNoMore(t *testing.T) {
	t.Parallel()
	a := mustActor(t, mustHost(t, mustLab(t), "a"))
	restore, err := lab.FewFiles(a.pid(), 2)
	must(t, err)
	a.mustDo("open")
	a.mustDo("open")
	a.mustFail("open", "too many open files")
	must(t, restore())
	a.mustDo("open")
	restore, err = lab.FewFiles(a.pid(), 0)
	must(t, err)
	a.mustFail("open", "too many open files")
	must(t, a.cmd.Process.Kill())
	_ = a.cmd.Wait()
	must(t, restore())
	if _, err := lab.FewFiles(a.pid(), 0); err == nil {
		t.Error("a process that has ended has few files")
	}
}

// limit bounds a host, where that can be done.
func limit(t *testing.T, host *lab.Host, limits lab.Limits) {
	t.Helper()
	err := host.Limit(limits)
	if errors.Is(err, lab.ErrUnable) {
		t.Skip(err)
	}
	must(t, err)
}

func TestAHostWithLittleMemoryKillsWhoNeedsMore(t *testing.T) {
	t.Parallel()
	l := mustLab(t)
	a, b := mustHost(t, l, "a"), mustHost(t, l, "b")
	small, large := mustActor(t, a), mustActor(t, b)
	limit(t, a, lab.Limits{Memory: 96 << 20})
	for range 20 {
		large.mustDo("grow")
	}
	died := false
	for range 20 {
		died = died || small.do("grow") != "done"
		if died {
			break
		}
	}
	if !died {
		t.Fatal("a program has 160 MiB on a host with 96 MiB")
	}
	_ = small.cmd.Wait()
	if status, ok := small.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("it ended: %v", small.cmd.ProcessState)
	}
	limit(t, a, lab.Limits{})
	after := mustActor(t, a)
	for range 20 {
		after.mustDo("grow")
	}
	// It has what it has, and gets no more.
	limit(t, a, lab.Limits{Memory: 32 << 20})
	died = false
	for range 20 {
		died = died || after.do("grow") != "done"
		if died {
			return
		}
	}
	t.Error("a program grew on a host that was made smaller")
}

func TestAHostWithLittleCPUWaitsForIt(t *testing.T) {
	t.Parallel()
	l := mustLab(t)
	a := mustHost(t, l, "a")
	worker := mustActor(t, a)
	limit(t, a, lab.Limits{CPU: 0.05})
	worker.mustDo("work")
	waited := false
	for _, path := range lab.GroupPaths(a) {
		text, err := os.ReadFile(filepath.Join(path, "cpu.stat"))
		waited = waited || err == nil && strings.Contains(string(text), "nr_throttled") && !strings.Contains(string(text), "nr_throttled 0\n")
	}
	if !waited {
		t.Error("a program that needs all of a core never waited for a twentieth of it")
	}
	limit(t, a, lab.Limits{})
	if err := a.Limit(lab.Limits{CPU: -1}); err == nil {
		t.Error("less than no CPU was taken")
	}
}
