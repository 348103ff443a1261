package keeper

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

// mustTakeOver opens a directory in which a predecessor left these rows.
func mustTakeOver(t *testing.T, dir string, rows ...row) *table {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, wire.InstancesDir), 0o700); err != nil {
		t.Fatal(err)
	}
	j, _ := mustOpenJournal(t, dir)
	mustNote(t, j, rows...)
	cfg := DefaultConfig()
	cfg.Dir, cfg.Logger = dir, quiet
	idle := newIdle(time.Hour, func() {})
	opened, err := openTable(cfg, idle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		idle.stop()
		opened.logs.close()
		opened.found.close()
		opened.journal.close()
	})
	return opened
}

func mustOnly(t *testing.T, opened *table) wire.Instance {
	t.Helper()
	all := opened.list()
	if len(all) != 1 {
		t.Fatalf("instances are %+v, want one", all)
	}
	return all[0]
}

// self is a row of this very process, which must never be hit.
func self(t *testing.T) row {
	t.Helper()
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	s, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return row{Name: nameOf("w"), Phase: started, PID: os.Getpid(), Ticks: s.ticks, Boot: boot, StopSignal: int(syscall.SIGKILL)}
}

func TestNothingRunsAfterAReboot(t *testing.T) {
	r := self(t)
	r.Boot = "the one before"
	opened := mustTakeOver(t, t.TempDir(), r)
	got := mustOnly(t, opened)
	if got.Status != wire.Exited || got.ExitCode != wire.ExitUnknown || got.Detail != detailRebooted {
		t.Fatalf("instance is %+v, want it ended by the restart of the machine", got)
	}
	if err := opened.remove(t.Context(), r.Name); err != nil {
		t.Fatal(err)
	}
}

func TestAPidThatChangedHandsIsLeftAlone(t *testing.T) {
	r := self(t)
	r.Ticks++
	opened := mustTakeOver(t, t.TempDir(), r)
	if got := mustOnly(t, opened); got.Status != wire.Exited || got.Detail != detailUnseen {
		t.Fatalf("instance is %+v, want it ended unseen", got)
	}
	if err := opened.remove(t.Context(), r.Name); err != nil {
		t.Fatal(err)
	}
}

func TestTheEndIsRememberedOverAReboot(t *testing.T) {
	opened := mustTakeOver(t, t.TempDir(), row{Name: nameOf("w"), Phase: ended, PID: 1, ExitCode: 3, Boot: "the one before"})
	if got := mustOnly(t, opened); got.Status != wire.Exited || got.ExitCode != 3 || got.Detail != "" {
		t.Fatalf("instance is %+v, want it ended with 3", got)
	}
}

func TestABegunStartIsFoundByItsRun(t *testing.T) {
	r := self(t)
	r.Phase, r.PID, r.Ticks, r.Run = starting, 0, 0, newRun()
	// The child has the same environment, and is not it.
	command := exec.Command("sh", "-c", "sleep 1000 & echo; wait")
	command.Env = append(os.Environ(), envRun+"="+r.Run)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		_ = command.Wait()
	})
	if _, err := fmt.Fscanln(output); err != nil && err.Error() != "unexpected newline" {
		t.Fatal(err)
	}
	dir := t.TempDir()
	opened := mustTakeOver(t, dir, r)
	if got := mustOnly(t, opened); got.Status != wire.Running || got.PID != command.Process.Pid {
		t.Fatalf("instance is %+v, want it running with pid %d", got, command.Process.Pid)
	}
	// And it is known by its pid from now on.
	if _, rows := mustOpenJournal(t, dir); rows[r.Name.Key()].PID != command.Process.Pid {
		t.Fatalf("journal has %+v", rows)
	}
}

func TestABegunStartThatCameToNothingIsForgotten(t *testing.T) {
	r := self(t)
	r.Phase, r.PID, r.Run = starting, 0, newRun()
	dir := t.TempDir()
	left := filepath.Join(dir, wire.InstancesDir, r.Name.Key())
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if all := mustTakeOver(t, dir, r).list(); len(all) != 0 {
		t.Fatalf("instances are %+v, want none", all)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Fatalf("its directory is left: %v", err)
	}
}

func TestProcessStateIsReadBehindAnyName(t *testing.T) {
	fields := "S 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9876 0 0"
	for _, command := range []string{"(sh)", "(a b)", "(a) S 1 (b)", "()"} {
		s, err := parseStat([]byte("17 " + command + " " + fields + "\n"))
		if err != nil || s.ticks != 9876 || s.session != 42 || !s.alive() {
			t.Errorf("%s: %+v, %v", command, s, err)
		}
	}
	for _, text := range []string{"", "17 (sh", "17 (sh) S 1", "17 (sh) S 1 x x 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 y 0 0"} {
		if _, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
