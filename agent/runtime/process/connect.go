package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/process/wire"
)

const (
	// attempts is how often a call is made whose keeper was lost meanwhile; one
	// that ends may take a moment for it.
	attempts = 5
	// startTimeout is how long a keeper may take to take over what its
	// predecessor left and to answer.
	startTimeout = 30 * time.Second
	// answerTimeout is how long one that runs may take to answer.
	answerTimeout = 30 * time.Second
	// busyPause is how long to wait for a keeper that was found to be starting or
	// ending, or whose queue of new connections is full; longer each time that
	// one was lost.
	busyPause = 10 * time.Millisecond
	// keeperLogMost is how long a keeper's own log may be when the next keeper
	// starts, in bytes.
	keeperLogMost = 1 << 20
)

var errHeld = errors.New("another keeper is starting or hangs")

// ask sends a request and returns the one response.
func (r *Runtime) ask(ctx context.Context, request wire.Request) (wire.Response, error) {
	var response wire.Response
	err := r.converse(ctx, request, func(connection net.Conn) error {
		response = wire.Response{}
		return receive(connection, &response)
	})
	return response, err
}

// converse sends a request and lets talk read what comes, which is the keeper's
// error or what the operation answers. It is repeated with a new connection when
// the connection is lost before the first answer.
func (r *Runtime) converse(ctx context.Context, request wire.Request, talk func(net.Conn) error) error {
	request.Version = wire.Version
	var lost error
	for attempt := range attempts {
		if attempt > 1 {
			select {
			case <-ctx.Done():
			case <-time.After(busyPause << attempt):
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := r.converseOnce(ctx, request, talk)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return r.unavailable(fmt.Errorf("keeper does not answer: %w", err))
		case !errors.Is(err, errLost) && !errors.Is(err, errMute):
			if errors.Is(err, runtime.ErrUnavailable) {
				r.note(err)
			}
			return err
		}
		lost = err
	}
	if errors.Is(lost, runtime.ErrUnavailable) {
		return lost
	}
	return r.unavailable(lost)
}

var (
	// errLost is returned when a connection broke before it brought an answer.
	errLost = errors.New("connection to keeper lost")
	// errMute is returned when a keeper was started and has ended before it could be
	// asked: somebody has killed it, or it always does.
	errMute = errors.New("ended without a word")
)

func (r *Runtime) converseOnce(ctx context.Context, request wire.Request, talk func(net.Conn) error) error {
	connection, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer connection.Close()
	// A call that is given up closes its connection, which also tells the keeper.
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	if request.Op != wire.OpStart && request.Op != wire.OpRemove {
		// These two wait for processes that stop; the others wait for nobody.
		_ = connection.SetReadDeadline(time.Now().Add(answerTimeout))
	}
	if err := wire.Write(connection, request); err != nil {
		if errors.Is(err, wire.ErrFrameTooLong) {
			return fmt.Errorf("%w: %w", runtime.ErrInvalidConfig, err)
		}
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return talk(connection)
}

// receive reads one response; the keeper's error is returned as ours.
func receive(connection net.Conn, response *wire.Response) error {
	if err := wire.Read(connection, response); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	_ = connection.SetReadDeadline(time.Time{})
	if response.Error == nil {
		return nil
	}
	switch response.Error.Kind {
	case wire.KindInvalid:
		return fmt.Errorf("%w: %w", runtime.ErrInvalidConfig, response.Error)
	case wire.KindNotFound:
		return fmt.Errorf("%w: %w", runtime.ErrNotFound, response.Error)
	case wire.KindVersion:
		return fmt.Errorf("%w: %w", runtime.ErrUnavailable, response.Error)
	default:
		return response.Error
	}
}

// note keeps why the keeper cannot be asked, for Info.
func (r *Runtime) note(err error) {
	text := err.Error()
	r.problem.Store(&text)
}

func (r *Runtime) unavailable(err error) error {
	r.note(err)
	return fmt.Errorf("%w: %w", runtime.ErrUnavailable, err)
}

// connect connects to the keeper, which it starts when there is none.
func (r *Runtime) connect(ctx context.Context) (net.Conn, error) {
	deadline, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		connection, err := r.dial()
		if err == nil {
			r.problem.Store(nil)
			return connection, nil
		}
		if !errors.Is(err, unix.EAGAIN) {
			err = r.startKeeper(deadline)
			if err == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(err, errHeld) && !errors.Is(err, unix.EAGAIN) {
			return nil, r.unavailable(err)
		}
		select {
		case <-deadline.Done():
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, r.unavailable(err)
		case <-time.After(busyPause):
		}
	}
}

func (r *Runtime) dial() (net.Conn, error) {
	path, release, err := wire.ShortPath(r.cfg.Dir)
	if err != nil {
		return nil, err
	}
	defer release()
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
}

// startKeeper starts a keeper and returns when it can be connected to.
func (r *Runtime) startKeeper(ctx context.Context) error {
	select {
	case r.starts <- struct{}{}:
		defer func() { <-r.starts }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if connection, err := r.dial(); err == nil {
		// Another call has started it while this one waited.
		return connection.Close()
	}
	if r.child > 0 {
		// It was ours and has ended; nobody else takes it from the kernel's list.
		_, _ = syscall.Wait4(r.child, nil, syscall.WNOHANG, nil)
		r.child = 0
	}
	answer, err := r.spawnKeeper()
	if err != nil {
		return fmt.Errorf("start keeper: %w", err)
	}
	defer answer.Close()
	stop := context.AfterFunc(ctx, func() { _ = answer.Close() })
	defer stop()
	said, err := io.ReadAll(io.LimitReader(answer, 4096))
	switch word := strings.TrimSpace(string(said)); {
	case ctx.Err() != nil:
		return fmt.Errorf("start keeper: no answer from pid %d: %w", r.child, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("start keeper: %w", err)
	case word == wire.Ready:
		r.logger.Info("keeper started", "pid", r.child, "directory", r.cfg.Dir)
		return nil
	case word == wire.Held:
		return errHeld
	case word == "":
		return fmt.Errorf("start keeper: %q %w, see %s",
			r.cfg.KeeperCommand[0], errMute, filepath.Join(r.cfg.Dir, wire.LogFile))
	default:
		return fmt.Errorf("start keeper: %s", word)
	}
}

// spawnKeeper starts the keeper's process in a session of its own, with nothing
// of ours but its log, and returns where it says how it went.
func (r *Runtime) spawnKeeper() (answer *os.File, err error) {
	if err := os.MkdirAll(r.cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	log, err := openKeeperLog(filepath.Join(r.cfg.Dir, wire.LogFile))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	answer, say, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer say.Close()
	files := []*os.File{null, log, log, say}
	fds := make([]uintptr, 0, len(files))
	for _, file := range files {
		fds = append(fds, file.Fd())
	}
	args := append(r.cfg.KeeperCommand[:len(r.cfg.KeeperCommand):len(r.cfg.KeeperCommand)], "--dir", r.cfg.Dir)
	pid, err := syscall.ForkExec(args[0], args, &syscall.ProcAttr{
		Dir:   "/",
		Env:   append(environment(nil, r.surroundings(runtime.StartOptions{})), wire.EnvReady+"="+strconv.Itoa(len(files)-1)),
		Files: fds,
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "exec", Path: args[0], Err: err}, answer.Close())
	}
	r.child = pid
	return answer, nil
}

func openKeeperLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err == nil && info.Size() > keeperLogMost {
		_ = file.Truncate(0)
	}
	return file, nil
}
