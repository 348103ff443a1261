package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

// ErrHeld is returned when another keeper has the directory.
var ErrHeld = errors.New("another keeper has the directory")

// Main runs the keeper of a directory with the defaults until the context ends
// or nobody needs it. It is what the hidden command of the binary calls; the
// process must be there for nothing else, as the keeper reaps all its children.
func Main(ctx context.Context, dir string, logger *slog.Logger) error {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("run keeper: %w", err)
	}
	cfg := DefaultConfig()
	cfg.Dir, cfg.Logger = absolute, logger
	return Run(ctx, cfg)
}

// Run is Main with a configuration of its own. Processes go on running when it
// returns.
func Run(ctx context.Context, cfg Config) error {
	starter := newStarter()
	defer starter.close()
	if err := cfg.Validate(); err != nil {
		starter.say(err.Error())
		return err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	// The heap is small and lives for long: more frequent collections cost
	// nothing that is seen, and halve what lies about.
	debug.SetGCPercent(50)
	err := run(ctx, cfg, starter)
	switch {
	case errors.Is(err, ErrHeld):
		starter.say(wire.Held)
	case err != nil:
		starter.say(err.Error())
	}
	return err
}

func run(ctx context.Context, cfg Config, starter *starter) error {
	if err := os.MkdirAll(filepath.Join(cfg.Dir, wire.InstancesDir), 0o700); err != nil {
		return fmt.Errorf("make keeper directory: %w", err)
	}
	// Who may open the socket may run commands, and logs are nobody else's.
	if err := os.Chmod(cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("protect keeper directory: %w", err)
	}
	lock, err := takeLock(cfg.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	listener, err := listen(cfg.Dir)
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become reaper of orphans: %w", err)
	}
	// Notified of before the first child, and before those of a predecessor of
	// the same process can matter.
	childEnded := make(chan os.Signal, 1)
	signal.Notify(childEnded, syscall.SIGCHLD)
	defer signal.Stop(childEnded)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := newIdle(cfg.Idle, func() { cancel(errIdle) })
	defer idle.stop()
	table, err := openTable(cfg, idle)
	if err != nil {
		return err
	}
	service := &service{table: table, idle: idle, logger: cfg.Logger, connections: make(map[net.Conn]struct{})}

	var running sync.WaitGroup
	running.Go(table.logs.run)
	running.Go(func() { table.found.run(ctx.Done()) })
	running.Go(func() { table.reap(ctx, childEnded) })
	stopListening := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stopListening()

	cfg.Logger.Info("keeper started", "directory", cfg.Dir, "pid", os.Getpid(), "running", table.running)
	starter.say(wire.Ready)
	service.serve(ctx, listener)

	cancel(nil)
	table.logs.close()
	table.found.close()
	running.Wait()
	cfg.Logger.Info("keeper ended", "cause", context.Cause(ctx))
	return table.journal.close()
}

func openTable(cfg Config, idle *idle) (*table, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	logs, err := newCollector(cfg.SegmentBytes, cfg.BacklogBytes, cfg.Logger)
	if err != nil {
		return nil, err
	}
	found, err := newFoundWatch()
	if err != nil {
		return nil, err
	}
	journal, rows, err := openJournal(cfg.Dir, cfg.Logger)
	if err != nil {
		return nil, err
	}
	t := &table{
		dir: cfg.Dir, boot: boot, logger: cfg.Logger, logs: logs, found: found, journal: journal,
		changed:  idle.setRunning,
		entries:  make(map[string]*entry),
		children: make(map[int]*entry),
		watchers: make(map[*watcher]struct{}),
	}
	return t, t.recover(rows)
}

// takeLock makes sure that there is one keeper for a directory.
func takeLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, wire.LockFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open keeper lock: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		text, _ := os.ReadFile(path)
		holder, _, _ := strings.Cut(string(text), "\n")
		return nil, errors.Join(fmt.Errorf("lock %s: %w (pid %s)", path, ErrHeld, holder), file.Close())
	}
	if err == nil {
		// Its first line is a pid at every moment, for who looks without the lock.
		var n int
		if n, err = file.WriteString(strconv.Itoa(os.Getpid()) + "\n"); err == nil {
			err = file.Truncate(int64(n))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return file, nil
}

// listen opens the socket; who has the lock may replace it.
func listen(dir string) (net.Listener, error) {
	path, release, err := wire.ShortPath(dir)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	defer release()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", dir, err)
	}
	// The path is of this moment only; a successor removes the file.
	listener.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect socket: %w", err), listener.Close())
	}
	return listener, nil
}

// starter is who started the keeper and waits to hear how it went.
type starter struct{ file *os.File }

func newStarter() *starter {
	number, err := strconv.Atoi(os.Getenv(wire.EnvReady))
	_ = os.Unsetenv(wire.EnvReady)
	if err != nil || number < 3 {
		return &starter{}
	}
	// No process may hold it open.
	syscall.CloseOnExec(number)
	return &starter{file: os.NewFile(uintptr(number), "starter")}
}

// say tells one line, once.
func (s *starter) say(line string) {
	if s.file == nil {
		return
	}
	_, _ = s.file.WriteString(strings.ReplaceAll(line, "\n", "; ") + "\n")
	s.close()
}

func (s *starter) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}
