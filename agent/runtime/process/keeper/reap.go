package keeper

import (
	"context"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

const (
	// lingerCheck is how often a process group is looked at whose first process
	// has ended, until it is empty.
	lingerCheck = 20 * time.Millisecond
	// lingerMost is how long its killed members may take to die.
	lingerMost = 2 * time.Second
	// lingerFound is the same for a found process: its dead are counted until
	// init, whose children they are, has looked at them.
	lingerFound = 100 * time.Millisecond
	// tidyAgain is how long to wait before a journal is rewritten for which there was
	// no room.
	tidyAgain = 10 * time.Second
)

// lingerer is an instance whose first process has ended and whose group may not
// be empty yet.
type lingerer struct {
	code     int
	detail   string
	deadline time.Time
}

// reap tells the ends of processes until the context ends. It is the only one
// that waits for children, and the only one that syncs or rewrites the journal.
func (t *table) reap(ctx context.Context, childEnded <-chan os.Signal) {
	lingering := make(map[*entry]lingerer)
	check := time.NewTimer(tidyAgain) // what is opened may lack rows already
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-childEnded:
		case e := <-t.found.ended:
			t.foundEnded(e)
			lingering[e] = lingerer{
				code:     wire.ExitUnknown,
				detail:   "exit code not known: the keeper that was its parent had been killed",
				deadline: time.Now().Add(lingerFound),
			}
		case <-check.C:
		}
		t.reapChildren(lingering)
		t.finish(takeEmpty(lingering))
		switch tidy := t.tidy(); {
		case len(lingering) > 0:
			check.Reset(lingerCheck)
		case !tidy:
			check.Reset(tidyAgain)
		}
	}
}

// reapChildren takes the exit codes of all children that have ended.
func (t *table) reapChildren(lingering map[*entry]lingerer) {
	for {
		pid := endedChild()
		if pid == 0 {
			return
		}
		t.mu.Lock()
		e := t.children[pid]
		if e != nil {
			// The corpse still holds the number, so this cannot hit a stranger.
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			delete(t.children, pid)
			e.end()
		}
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		t.mu.Unlock()
		if e != nil {
			l := lingerer{code: exitCode(status), deadline: time.Now().Add(lingerMost)}
			if err != nil {
				l.code, l.detail = wire.ExitUnknown, "exit code not known: "+err.Error()
			}
			lingering[e] = l
		}
	}
}

// foundEnded does for a found process what reapChildren does for a child.
func (t *table) foundEnded(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Its parent may have given the number back. Nobody has it again when no such
	// process exists or when it is still this one.
	if s, err := readStat(e.row.PID); err != nil || s.ticks == e.row.Ticks {
		_ = syscall.Kill(-e.row.PID, syscall.SIGKILL)
	}
	e.end()
}

// end marks that the pid must not be used any more.
func (e *entry) end() {
	e.reaped = true
	if e.killer != nil {
		e.killer.Stop()
	}
}

// takeEmpty takes the instances whose process groups are empty.
func takeEmpty(lingering map[*entry]lingerer) map[*entry]lingerer {
	empty := make(map[*entry]lingerer)
	for e, l := range lingering {
		if syscall.Kill(-e.row.PID, 0) != nil || time.Now().After(l.deadline) {
			empty[e] = l
			delete(lingering, e)
		}
	}
	return empty
}

// finish notes and tells the end of instances.
func (t *table) finish(batch map[*entry]lingerer) {
	if len(batch) == 0 {
		return
	}
	for e := range batch {
		t.logs.detach(e.log)
	}
	t.mu.Lock()
	for e, l := range batch {
		e.row.Phase, e.row.ExitCode, e.row.Detail = ended, l.code, l.detail
		t.note(e.row)
	}
	t.mu.Unlock()
	if err := t.journal.sync(); err != nil {
		t.logger.Error("ends of processes may not outlive a power cut", "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := range batch {
		e.status = wire.Exited
		t.logger.Debug("process ended", "instance", e.row.Name.Key(), "pid", e.row.PID, "code", e.row.ExitCode)
		t.publish(wire.Response{Instance: new(e.instance())})
		if e.removing {
			t.vanish(e)
		}
	}
	t.count(-len(batch))
}

// tidy rewrites the journal when it should be, and returns whether it is in order.
func (t *table) tidy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.journal.stale() {
		return true
	}
	if err := t.journal.rewrite(t.rows()); err != nil {
		t.logger.Error("journal not rewritten; trying again", "after", tidyAgain, "error", err)
		return false
	}
	return true
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// endedChild returns the pid of a child that has ended and is not reaped, zero
// when there is none.
func endedChild() int {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0
		}
		break
	}
	// The pid is the first field of the union behind three integers, aligned as a
	// pointer is.
	const offset = (3*4 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), offset)))
}
