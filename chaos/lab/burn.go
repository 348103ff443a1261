package lab

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// Burners are processes that do nothing but take CPU time.
type Burners struct {
	thread *thread
	cmds   []*exec.Cmd
}

// spin is what they run. The soft limit ends it with a signal of its own, the
// hard one with SIGKILL, as Stop does.
const spin = `ulimit -H -t "$2"; ulimit -S -t "$1"; while :; do :; done`

// Burn starts so many processes that each keep one core busy until Stop. None of
// them uses more CPU time than the limit, whatever becomes of this process.
func Burn(cores int, limit time.Duration) (*Burners, error) {
	b := &Burners{thread: newThread()}
	seconds := int(limit/time.Second) + 1
	for range cores {
		cmd := exec.Command("/bin/sh", "-c", spin, "burner", fmt.Sprint(seconds), fmt.Sprint(seconds+1))
		cmd.SysProcAttr = child()
		if err := b.thread.do(cmd.Start); err != nil {
			return nil, errors.Join(fmt.Errorf("keep a core busy: %w", err), b.Stop())
		}
		b.cmds = append(b.cmds, cmd)
	}
	return b, nil
}

// Stop ends them. It fails when one of them had ended before, by its limit.
func (b *Burners) Stop() error {
	var errs []error
	for _, cmd := range b.cmds {
		_ = cmd.Process.Kill()
		err := cmd.Wait()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			errs = append(errs, fmt.Errorf("keep a core busy: it ended before it was stopped: %w", err))
		}
	}
	b.cmds = nil
	b.thread.close()
	return errors.Join(errs...)
}
