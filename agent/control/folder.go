package control

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/argosy-cluster/argosy/agent/runfolder"
)

// Names of an interface's files. Workloads write to output and read from input.
const (
	pipesFolder = "control_interface"
	inputPipe   = "input"
	outputPipe  = "output"
	sessionFile = "session"
)

const (
	// Everybody who is shown the folder of the pipes may use them; the folder
	// above it keeps all others out.
	pipeMode        = 0o666
	pipesFolderMode = 0o755
)

// folder is the place of one interface.
type folder struct {
	agent  runfolder.Folder
	name   string
	logger *slog.Logger
}

// path of the folder of the pipes, which the workload is shown.
func (f folder) path() string { return f.agent.Path(f.name, pipesFolder) }

// open opens the interface's own folder, which workloads do not see.
func (f folder) open() (*os.File, error) { return f.agent.OpenInstance(f.name) }

// openPipes opens the folder of the pipes.
func (f folder) openPipes() (*os.File, error) {
	above, err := f.open()
	if err != nil {
		return nil, err
	}
	defer above.Close()
	return f.agent.Own(above, pipesFolder, pipesFolderMode)
}

// pipes makes both pipes if they are not there.
func (f folder) pipes() error {
	folder, err := f.openPipes()
	if err != nil {
		return err
	}
	defer folder.Close()
	for _, name := range []string{inputPipe, outputPipe} {
		pipe, err := f.find(folder, name)
		if err != nil {
			return err
		}
		_ = unix.Close(pipe)
	}
	return nil
}

// find opens a pipe as a place only (O_PATH), so that nothing has happened to
// whatever is there before we know that it is a pipe of ours. What is none is
// removed, and the pipe made anew.
func (f folder) find(folder *os.File, name string) (int, error) {
	for range 3 {
		if err := unix.Mknodat(int(folder.Fd()), name, unix.S_IFIFO|0o600, 0); err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, fmt.Errorf("make pipe %s in %s: %w", name, f.path(), err)
		}
		fd, err := unix.Openat(int(folder.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return -1, fmt.Errorf("open pipe %s in %s: %w", name, f.path(), err)
		}
		wrong, err := checkPipe(fd)
		if err == nil && wrong == "" {
			return fd, nil
		}
		_ = unix.Close(fd)
		if err != nil {
			return -1, fmt.Errorf("look at pipe %s in %s: %w", name, f.path(), err)
		}
		f.logger.Warn("pipe of a control interface was replaced; it is made anew", "folder", f.path(), "pipe", name, "reason", wrong)
		if err := runfolder.RemoveAll(folder, name); err != nil {
			return -1, err
		}
	}
	return -1, fmt.Errorf("%w: pipe %s in %s is replaced again and again", runfolder.ErrUnsafe, name, f.path())
}

// checkPipe says what is wrong with a pipe of ours, and mends its mode.
func checkPipe(fd int) (wrong string, err error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return "", err
	}
	switch {
	case stat.Mode&unix.S_IFMT != unix.S_IFIFO:
		return "it is no pipe", nil
	case int(stat.Uid) != os.Geteuid():
		return fmt.Sprintf("it belongs to user %d", stat.Uid), nil
	case stat.Nlink > 1:
		return "it has other names too", nil
	case stat.Mode&0o7777 == pipeMode:
		return "", nil
	}
	return "", unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), pipeMode)
}

// openPipe opens a pipe without waiting for its other end.
func (f folder) openPipe(folder *os.File, name string, flags int) (*os.File, error) {
	place, err := f.find(folder, name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(place)
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(place), flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open pipe %s in %s: %w", name, f.path(), err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// same tells whether an open pipe still is the one of its name.
func (f folder) same(name string, file *os.File) bool {
	folder, err := f.openPipes()
	if err != nil {
		return false
	}
	defer folder.Close()
	var there, ours unix.Stat_t
	err = unix.Fstatat(int(folder.Fd()), name, &there, unix.AT_SYMLINK_NOFOLLOW)
	raw, rawErr := file.SyscallConn()
	if err != nil || rawErr != nil {
		return false
	}
	controlErr := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &ours) })
	return err == nil && controlErr == nil && there.Dev == ours.Dev && there.Ino == ours.Ino && there.Nlink == 1
}

// hasSession tells whether a session was noted.
func (f folder) hasSession() bool {
	above, err := f.open()
	if err != nil {
		return false
	}
	defer above.Close()
	var stat unix.Stat_t
	err = unix.Fstatat(int(above.Fd()), sessionFile, &stat, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && stat.Mode&unix.S_IFMT == unix.S_IFREG
}

// noteSession notes that there is a session, or none. It is not flushed: without
// it a workload has to say Hello once more.
func (f folder) noteSession(is bool) error {
	above, err := f.open()
	if err != nil {
		return err
	}
	defer above.Close()
	if !is {
		if err := unix.Unlinkat(int(above.Fd()), sessionFile, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("forget session of %s: %w", f.name, err)
		}
		return nil
	}
	fd, err := unix.Openat(int(above.Fd()), sessionFile, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("note session of %s: %w", f.name, err)
	}
	return unix.Close(fd)
}
