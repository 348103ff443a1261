package lab

import (
	"io"
	"os/exec"
	"syscall"
)

// keeper is a process beside this one that undoes something when this one is
// gone: else whoever waits for a stalled disk could not even be killed, and what
// the kernel was told about a device or a group would hold for the next one.
type keeper struct {
	cmd *exec.Cmd
	// lifeline is closed by the kernel when this process ends.
	lifeline io.Closer
}

// newKeeper starts one that runs a script of the shell, with arguments from $1
// on, in the lab's namespaces.
func (l *Lab) newKeeper(script string, args ...string) (*keeper, error) {
	return newKeeper(func(cmd *exec.Cmd) error { return l.thread.do(cmd.Start) }, script, args...)
}

func newKeeper(start func(*exec.Cmd) error, script string, args ...string) (*keeper, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", "read -r never\n" + script, "keeper"}, args...)...)
	// It outlives this process, and a Ctrl-C at the terminal.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := start(cmd); err != nil {
		_ = lifeline.Close()
		return nil, err
	}
	return &keeper{cmd: cmd, lifeline: lifeline}, nil
}

// dismiss ends it without a deed.
func (k *keeper) dismiss() {
	// It has no more to do, and tells nothing by how it ends.
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
	_ = k.lifeline.Close()
}

// pid is its process id; 0 when there is none.
func (k *keeper) pid() int {
	if k == nil {
		return 0
	}
	return k.cmd.Process.Pid
}
