package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Process is one server or agent: a program with its arguments, that may be
// started, killed and started again.
type Process struct {
	// Name of the server or agent.
	Name string
	// Host is the address that is its own.
	Host string
	// DataDir is its data directory.
	DataDir string
	// LogPath is the file with everything it printed, over all its lives.
	LogPath string

	binary      string
	args        []string
	environment []string
	spawn       func(*exec.Cmd) error
	log         *slog.Logger

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	exit error
	// signalled is set when it was told to end, or killed.
	signalled bool
}

// Set has a flag that it was given another value, from its next start on. It reports
// false when it was not given the flag, or has that value already.
func (p *Process) Set(flag, value string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.Index(p.args, flag) + 1
	if at == 0 || at == len(p.args) || p.args[at] == value {
		return false
	}
	p.args = slices.Clone(p.args)
	p.args[at] = value
	return true
}

// Start starts the process; it does not wait until it answers.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return fmt.Errorf("start %s: %w", p.Name, ErrRunning)
	}
	if err := os.MkdirAll(filepath.Dir(p.LogPath), 0o755); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	logFile, err := os.OpenFile(p.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	// The child has a descriptor of its own.
	defer func() { _ = logFile.Close() }()
	cmd := exec.Command(p.binary, p.args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = append(os.Environ(), p.environment...)
	// A process group of its own keeps a Ctrl-C at the terminal from reaching it
	// before whoever started it has decided what to do.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.spawn(cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done, p.exit, p.signalled = cmd, done, nil, false
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.exit = err
		p.mu.Unlock()
		close(done)
	}()
	p.log.Info("process started", "name", p.Name, "pid", cmd.Process.Pid)
	return nil
}

// running reports whether it runs; p.mu is held.
func (p *Process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Running reports whether the process runs.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

// PID returns the process id of the present or last life, 0 before the first.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Done is closed when the present life has ended. It is nil before the first.
func (p *Process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// Err returns how the last life ended; nil when it ended with exit code 0.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

// collapsed returns how the present life ended, if it did so unasked.
func (p *Process) collapsed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.running() || p.signalled {
		return nil
	}
	if p.exit == nil {
		return errEnded
	}
	return p.exit
}

// Signal sends a signal.
func (p *Process) Signal(signal syscall.Signal) error {
	p.mu.Lock()
	if !p.running() {
		p.mu.Unlock()
		return fmt.Errorf("signal %s: %w", p.Name, ErrNotRunning)
	}
	err := p.cmd.Process.Signal(signal)
	if err == nil {
		p.signalled = p.signalled || signal == syscall.SIGKILL || signal == syscall.SIGTERM || signal == syscall.SIGINT
	}
	done := p.done
	p.mu.Unlock()
	if errors.Is(err, os.ErrProcessDone) {
		// It ended this moment. Whoever starts it again shall find it so.
		<-done
		err = ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	p.log.Info("process signalled", "name", p.Name, "signal", signal.String())
	return nil
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.Done()
	return nil
}

// Freeze stops the process with SIGSTOP; Thaw lets it go on.
func (p *Process) Freeze() error { return p.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (p *Process) Thaw() error { return p.Signal(syscall.SIGCONT) }

// Stop asks the process to end and waits until it has; when the context ends
// first it is killed, and the error says so.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.Done():
		return p.Err()
	case <-ctx.Done():
		_ = p.Kill()
		return fmt.Errorf("stop %s: it did not end in time and was killed: %w", p.Name, context.Cause(ctx))
	}
}

// end ends the process however it is: an orderly stop at first, SIGKILL after
// the patience.
func (p *Process) end(patience time.Duration) {
	_ = p.Thaw()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// What is left to say is in its log.
	_ = p.Stop(ctx)
}
