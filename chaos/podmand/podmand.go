// Package podmand runs a private podman service for demonstrations, tests and
// fault injection: its own storage, locks, network, events and socket, all in
// one directory. It protects one invariant: nothing outside that directory is
// touched, neither the containers of whoever uses the machine nor another
// service of this package, and after Stop nothing is left of it, no container,
// mount, network namespace or bridge.
//
// The service's program may be killed, stopped and started again while its
// containers run on; that is what chaos needs of it.
package podmand

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	// ErrMissing is returned when there is no podman program on this machine.
	ErrMissing = errors.New("podman is not installed")
	// ErrUnusable is returned when podman is there and cannot work here; the
	// text says what is in the way.
	ErrUnusable = errors.New("podman cannot work here")
)

// Config says which podman to run, and where.
type Config struct {
	// Dir holds everything of the service. It is made when missing, must be
	// empty (or of an earlier service), and is removed by Stop. Required; short,
	// since sockets live in it (at most 60 bytes).
	Dir string
	// Program is the podman program, a path. Default: $ARGOSY_PODMAN, else the
	// podman of PATH.
	Program string
	// OCIRuntime is the program that runs containers ("crun", "runc").
	// Default: the first of crun and runc that can run a container here.
	OCIRuntime string
	// StartTimeout bounds the wait for the first answer of the service; a slow
	// machine needs more, a broken one is noticed later. Default: 30 s.
	StartTimeout time.Duration
	// Logger gets the lines the service prints. Default: none.
	Logger *slog.Logger
}

// DefaultConfig returns the configuration for a directory.
func DefaultConfig(dir string) Config {
	return Config{Dir: dir, StartTimeout: 30 * time.Second}
}

// maxDir leaves room for the longest socket path below the directory: a socket
// address holds 108 bytes.
const maxDir = 60

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("start podman service: no directory given")
	case len(c.Dir) > maxDir:
		return fmt.Errorf("start podman service: directory %s is %d bytes long, sockets in it allow %d: choose a shorter one", c.Dir, len(c.Dir), maxDir)
	case c.StartTimeout < 0:
		return fmt.Errorf("start podman service: start timeout %s is negative", c.StartTimeout)
	}
	return nil
}

// Service is a podman service of our own.
type Service struct {
	cfg     Config
	program string
	layout  layout
	client  *http.Client
	logger  *slog.Logger
	guard   *guard

	mu      sync.Mutex
	process *process
	version string
	stopped bool
}

// process is one run of the service's program.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// Start starts a private service and returns when it answers. ErrMissing and
// ErrUnusable say that this machine cannot do it.
func Start(ctx context.Context, cfg Config) (*Service, error) {
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = DefaultConfig("").StartTimeout
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	program, err := Find(cfg.Program)
	if err != nil {
		return nil, err
	}
	if err := checkPrivilege(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("start podman service: %w", err)
	}
	cfg.Dir = dir
	s := &Service{cfg: cfg, program: program, layout: layout{dir}, logger: cfg.Logger}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if err := s.layout.prepare(ctx, cfg.OCIRuntime); err != nil {
		return nil, err
	}
	s.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", s.layout.socket())
		},
		DisableCompression: true,
	}}
	if s.guard, err = s.newGuard(); err != nil {
		return nil, errors.Join(err, s.empty())
	}
	if err := s.Restart(ctx); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// URL returns the address of the service, unix:///path.
func (s *Service) URL() string { return "unix://" + s.layout.socket() }

// Dir returns the directory of the service.
func (s *Service) Dir() string { return s.cfg.Dir }

// Version returns the version of podman.
func (s *Service) Version() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// PID returns the process id of the service, 0 when it does not run.
func (s *Service) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.cmd.Process.Pid
}

// Restart starts the service's program again after Kill, and returns when it
// answers. It does nothing when the program runs.
func (s *Service) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errors.New("start podman service: it was stopped for good")
	}
	if s.process != nil {
		return nil
	}
	// A socket that a killed program left makes the next one fail.
	if err := os.Remove(s.layout.socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("start podman service: %w", err)
	}
	p, output, err := s.launch()
	if err != nil {
		return err
	}
	s.process = p
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.StartTimeout,
		fmt.Errorf("no answer within %s", s.cfg.StartTimeout))
	defer cancel()
	version, err := s.awaitAnswer(ctx, p)
	if err != nil {
		s.end(syscall.SIGKILL)
		return fmt.Errorf("%w: %s system service: %w%s", ErrUnusable, s.program, err, output.quote())
	}
	s.version = version
	return nil
}

// launch runs the program.
func (s *Service) launch() (*process, *tail, error) {
	cmd := s.command("system", "service", "--time=0", s.URL())
	// In a process group of its own: Ctrl-C at the terminal is for whoever
	// started us, who then stops the service in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output := &tail{logger: s.logger}
	cmd.Stdout, cmd.Stderr = output, output
	// The containers' monitors inherit the pipe; waiting for its end would be
	// waiting for them.
	cmd.WaitDelay = 100 * time.Millisecond
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("%w: start %s: %w", ErrUnusable, s.program, err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is in the output; that it ended is all that matters
	}()
	return p, output, nil
}

// awaitAnswer returns the version when the service answers.
func (s *Service) awaitAnswer(ctx context.Context, p *process) (string, error) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		version, err := s.ping(ctx)
		if err == nil {
			return version, nil
		}
		select {
		case <-p.ended:
			return "", fmt.Errorf("it ended with %s", p.cmd.ProcessState)
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// Kill ends the service's program with SIGKILL; its containers run on.
func (s *Service) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return errors.New("kill podman service: it does not run")
	}
	s.end(syscall.SIGKILL)
	return nil
}

// Pause stops the service's program with SIGSTOP: it hangs until Resume.
func (s *Service) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets the service's program go on after Pause.
func (s *Service) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Service) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return fmt.Errorf("send %s to podman service: it does not run", sig)
	}
	return s.process.cmd.Process.Signal(sig)
}

// end ends the program and waits for it. The caller holds the lock.
func (s *Service) end(sig syscall.Signal) {
	if s.process == nil {
		return
	}
	p := s.process
	s.process = nil
	_ = p.cmd.Process.Signal(sig)
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // a paused one does not see SIGTERM
	grace := time.NewTimer(5 * time.Second)
	defer grace.Stop()
	select {
	case <-p.ended:
	case <-grace.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	s.client.CloseIdleConnections()
}

// Podman runs the podman program on the storage of this service and returns
// what it prints: for what another client of the same machine would do.
func (s *Service) Podman(ctx context.Context, args ...string) (string, error) {
	cmd := s.commandContext(ctx, args...)
	// Containers' monitors inherit the pipes, as above.
	cmd.WaitDelay = 100 * time.Millisecond
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return text, fmt.Errorf("podman %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return text, nil
}

func (s *Service) command(args ...string) *exec.Cmd {
	return s.commandContext(context.Background(), args...)
}

func (s *Service) commandContext(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"--root", s.layout.root(), "--runroot", s.layout.runroot()}, args...)
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Env = s.layout.environment()
	cmd.Dir = s.cfg.Dir
	return cmd
}
