// Package runfolder is the place on the host of what an agent shows to its
// instances: <run folder>/<agent>_io/<workload>.<id>, a folder for each instance,
// as Ankaios has it.
//
// It protects one invariant: what is made or removed here is the agent's. A folder
// that belongs to somebody else, or that others may write to, is refused, and no
// link is followed.
package runfolder

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"golang.org/x/sys/unix"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var (
	// ErrUnsafe is returned when a folder belongs to somebody else or others may
	// write to it.
	ErrUnsafe = errors.New("folder is not the agent's alone")
	// ErrInUse is returned when another process has the folder of the agent.
	ErrInUse = errors.New("run folder in use")
	// ErrName is returned for an instance whose names cannot be part of a path.
	ErrName = errors.New("names may have a-z, A-Z, 0-9, _ and - only")
)

const (
	dirFlags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_RDONLY
	// privateMode is that of all folders here: whom something in them is for is
	// shown it by a mount.
	privateMode = 0o700
)

// Names that may be part of a path.
var (
	validName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,63}$`)
	validID   = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
)

// ValidAgent tells whether an agent of the name can have a folder.
func ValidAgent(name string) bool { return validName.MatchString(name) }

// NameOf returns the name of an instance's folder, or ErrName.
func NameOf(instance *argosyv1.InstanceName) (string, error) {
	if !validName.MatchString(instance.GetWorkload()) || !validID.MatchString(instance.GetId()) {
		return "", fmt.Errorf("instance %q cannot have a folder: its %w", instance.Key(), ErrName)
	}
	return instance.GetWorkload() + "." + instance.GetId(), nil
}

// Folder is that of one agent in a run folder.
type Folder struct {
	dir, name string
	logger    *slog.Logger
}

// New returns the folder of an agent in the run folder dir, an absolute path. It
// touches nothing. A nil logger discards.
func New(dir, agent string, logger *slog.Logger) Folder {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return Folder{dir: filepath.Clean(dir), name: agent + "_io", logger: logger}
}

// Path returns the path of what is in the folder.
func (f Folder) Path(elements ...string) string {
	return filepath.Join(append([]string{f.dir, f.name}, elements...)...)
}

// Open opens the folder; it is made if there is none. What is in the way is not
// removed: it may be somebody's.
func (f Folder) Open() (*os.File, error) {
	if err := os.MkdirAll(f.dir, privateMode); err != nil {
		return nil, fmt.Errorf("make run folder: %w", err)
	}
	root, err := openPrivate(unix.AT_FDCWD, f.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := unix.Mkdirat(int(root.Fd()), f.name, privateMode); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("make folder %s in %s: %w", f.name, f.dir, err)
	}
	return openPrivate(int(root.Fd()), f.name)
}

// Claim opens the folder and keeps other processes from claiming it until the
// result is closed.
func (f Folder) Claim() (*os.File, error) {
	folder, err := f.Open()
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = folder.Close()
		return nil, fmt.Errorf("lock %s: %w: another agent of this name uses it (%w); stop that one or give this one another run folder",
			f.Path(), ErrInUse, err)
	}
	return folder, nil
}

// openPrivate opens a folder that is the process's own and that nobody else may
// write to.
func openPrivate(parent int, name string) (*os.File, error) {
	fd, err := unix.Openat(parent, name, dirFlags, 0)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", name, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("look at folder %s: %w", name, err)
	}
	if int(stat.Uid) != os.Geteuid() || stat.Mode&0o022 != 0 {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%w: folder %s belongs to user %d and has mode %o; give it to user %d and let nobody else write to it, or use another run folder",
			ErrUnsafe, name, stat.Uid, stat.Mode&0o7777, os.Geteuid())
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Names lists what is in the folder.
func (f Folder) Names() ([]string, error) {
	folder, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", f.name, err)
	}
	return names, nil
}

// Remove removes what is called so with everything in it, following no link.
func (f Folder) Remove(name string) error {
	folder, err := f.Open()
	if err != nil {
		return err
	}
	defer folder.Close()
	return RemoveAll(folder, name)
}

// OpenInstance opens the folder of an instance by its name; it is made if there is
// none.
func (f Folder) OpenInstance(name string) (*os.File, error) {
	agent, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer agent.Close()
	return f.Own(agent, name, privateMode)
}

// Own opens a folder of ours with a mode in one that is ours alone; it is made if
// there is none. What else has its name was left by nobody we know, and is removed.
func (f Folder) Own(parent *os.File, name string, mode uint32) (*os.File, error) {
	for range 3 {
		if err := unix.Mkdirat(int(parent.Fd()), name, mode); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("make folder %s: %w", name, err)
		}
		opened, err := openOwn(parent, name, mode)
		switch {
		case err == nil:
			return opened, nil
		case errors.Is(err, unix.ENOENT): // removed since
			continue
		case !isForeign(err):
			return nil, fmt.Errorf("open folder %s in %s: %w", name, parent.Name(), err)
		}
		f.logger.Warn("folder of an instance was not as it was made; it is made anew", "in", parent.Name(), "name", name, "reason", err)
		if err := RemoveAll(parent, name); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: folder %s in %s is replaced again and again", ErrUnsafe, name, parent.Name())
}

// errForeign is returned for a folder that belongs to somebody else.
var errForeign = errors.New("it is not ours")

// isForeign tells from an error of openOwn that something else has the name of a
// folder of ours; other errors say nothing of what is there.
func isForeign(err error) bool {
	for _, foreign := range []error{errForeign, unix.ENOTDIR, unix.ELOOP, unix.EACCES} {
		if errors.Is(err, foreign) {
			return true
		}
	}
	return false
}

// openOwn opens a folder of ours and sees to its mode.
func openOwn(parent *os.File, name string, mode uint32) (*os.File, error) {
	fd, err := unix.Openat(int(parent.Fd()), name, dirFlags, 0)
	if err != nil {
		return nil, err
	}
	opened := os.NewFile(uintptr(fd), name)
	if err := makeOurs(opened, mode); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

// makeOurs gives a folder its mode, if it is ours.
func makeOurs(folder *os.File, mode uint32) error {
	var stat unix.Stat_t
	if err := unix.Fstat(int(folder.Fd()), &stat); err != nil {
		return err
	}
	if int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: it belongs to user %d", errForeign, stat.Uid)
	}
	if stat.Mode&0o7777 != mode {
		return folder.Chmod(fs.FileMode(mode))
	}
	return nil
}

// RemoveAll removes what is called so in an open folder, following no link.
func RemoveAll(parent *os.File, name string) error {
	root, err := os.OpenRoot(Self(parent))
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	defer root.Close()
	if err := root.RemoveAll(name); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// Self is a path to an open file, whatever has become of its name.
func Self(file *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(file.Fd())) }
