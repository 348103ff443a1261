package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Failure is how calls of a process fail.
type Failure struct {
	// Flushes fail, those of one file as well as those of a file system.
	Flushes bool
	// Writes at a place in a file fail, as databases do them; what is printed and
	// sent does not.
	Writes bool
	// Error is what they fail with, such as EIO or ENOSPC.
	Error syscall.Errno
	// After is how many of the calls of each thread succeed before.
	After int
	// Times is how many fail then of each thread; 0 means all.
	Times int
}

// calls are the names of the system's calls that fail.
func (f Failure) calls() string {
	var names []string
	if f.Flushes {
		names = append(names, "fsync", "fdatasync", "sync_file_range", "syncfs")
	}
	if f.Writes {
		names = append(names, "pwrite64", "pwritev", "pwritev2")
	}
	return strings.Join(names, ",")
}

// errorNames are what strace calls the errors that disks answer with.
var errorNames = map[syscall.Errno]string{syscall.EIO: "EIO", syscall.ENOSPC: "ENOSPC", syscall.EROFS: "EROFS", syscall.EDQUOT: "EDQUOT"}

// Failing is a process whose calls fail.
type Failing struct {
	tracer *exec.Cmd
	thread *thread
	// injected is how many calls failed, and last the last of what the tracer says
	// of itself; they are there when ended is closed, at the end of that.
	injected int
	last     string
	ended    chan struct{}
}

// Fail makes calls of a process fail until Mend, wherever its files are. It needs
// strace, and fails with ErrUnable where there is none.
func Fail(pid int, how Failure) (*Failing, error) {
	f, err := fail(pid, how)
	if err != nil {
		return nil, fmt.Errorf("make calls of process %d fail: %w", pid, err)
	}
	return f, nil
}

func fail(pid int, how Failure) (*Failing, error) {
	calls, name := how.calls(), errorNames[how.Error]
	switch {
	case calls == "":
		return nil, errors.New("neither flushes nor writes shall fail")
	case name == "":
		return nil, fmt.Errorf("no disk answers with %q", how.Error)
	case how.After < 0 || how.Times < 0:
		return nil, fmt.Errorf("%d calls shall succeed and %d fail: it must not be less than none", how.After, how.Times)
	}
	path, err := exec.LookPath("strace")
	if err != nil {
		return nil, fmt.Errorf("%w: %w: install strace", ErrUnable, err)
	}
	when := fmt.Sprintf("%d+", how.After+1)
	if how.Times > 0 {
		when = fmt.Sprintf("%d..%d", how.After+1, how.After+how.Times)
	}
	said, saying, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	f := &Failing{thread: newThread(), ended: make(chan struct{})}
	f.tracer = exec.Command(path, "-f", "-p", fmt.Sprint(pid), "-e", "signal=none", "-e", "trace="+calls, "-e", "inject="+calls+":error="+name+":when="+when)
	f.tracer.Stderr = saying
	f.tracer.SysProcAttr = child()
	err = f.thread.do(f.tracer.Start)
	_ = saying.Close()
	if err != nil {
		_ = said.Close()
		f.thread.close()
		return nil, err
	}
	go f.listen(said)
	if err := f.attached(pid); err != nil {
		f.Mend()
		return nil, err
	}
	return f, nil
}

// attached waits until the tracer has all threads of the process.
func (f *Failing) attached(pid int) error {
	for deadline := time.Now().Add(killPatience); ; {
		select {
		case <-f.ended:
			if strings.Contains(f.last, "Operation not permitted") {
				return fmt.Errorf("%w: %s: it needs the right to trace processes", ErrUnable, f.last)
			}
			return fmt.Errorf("strace ended: %s", f.last)
		case <-time.After(2 * time.Millisecond):
		}
		traced, err := tracedBy(pid, f.tracer.Process.Pid)
		if err != nil {
			// The tracer finds that out, too, and ends. Told to end before that, while it
			// tries on a child what it can do, it would leave that child stopped for ever,
			// with its side of the pipe open.
			select {
			case <-f.ended:
			case <-time.After(killPatience):
			}
			return err
		}
		if traced {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("strace does not attach within %v: see whether the process waits for a disk that is stalled", killPatience)
		}
	}
}

// tracedBy tells whether all threads of a process are traced by another one.
func tracedBy(pid, tracer int) (bool, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) == 0 {
		return false, fmt.Errorf("find its threads: %w", errors.Join(err, os.ErrProcessDone))
	}
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		// A thread that has ended makes no calls.
		if err == nil && !strings.Contains(string(status), fmt.Sprintf("\nTracerPid:\t%d\n", tracer)) {
			return false, nil
		}
	}
	return true, nil
}

// listen reads what the tracer says. It says most of it late.
func (f *Failing) listen(said io.ReadCloser) {
	defer close(f.ended)
	defer func() { _ = said.Close() }()
	lines := bufio.NewReader(said)
	for {
		line, err := lines.ReadString('\n')
		if strings.Contains(line, "(INJECTED)") {
			f.injected++
		}
		if strings.HasPrefix(line, "strace: ") {
			f.last = strings.TrimSpace(strings.TrimPrefix(line, "strace: "))
		}
		if err != nil {
			return
		}
	}
}

// Mend lets the calls of the process succeed again and returns how many failed.
// The process may have ended. It may be called twice.
func (f *Failing) Mend() int {
	// It lets go of the process, and ends, when it is told to; when the process
	// has ended, it has too.
	_ = f.tracer.Process.Signal(syscall.SIGTERM)
	select {
	case <-f.ended:
	case <-time.After(killPatience):
		_ = f.tracer.Process.Kill()
		<-f.ended
	}
	if f.tracer.ProcessState == nil {
		// It ends by the signal, which says nothing.
		_ = f.tracer.Wait()
	}
	f.thread.close()
	return f.injected
}
