package lab

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

var (
	// ErrUnable is returned when this machine, or this user, cannot have a lab.
	ErrUnable = errors.New("cannot build machines here")
	// ErrFull is returned when a disk of the lab has no room on the disk of this
	// machine.
	ErrFull = errors.New("no room for the disk")
	// ErrClosed is returned when a lab is used after its end.
	ErrClosed = errors.New("lab is closed")
)

// Lab is a set of hosts and disks.
type Lab struct {
	dir    string
	thread *thread
	// home is the network namespace of the lab itself: that of the router.
	home netns.NsHandle
	// newFabric makes what joins the hosts.
	newFabric func() (fabric, error)

	mu     sync.Mutex
	fabric fabric
	hosts  map[string]*Host
	disks  []*Disk
	cuts   map[link]bool
	shapes map[link]Link

	closing sync.Once
	closed  error
}

// Option changes how a lab is built.
type Option func(*Lab)

// Shaped joins the hosts by a switch in user space, which can delay and lose
// packets as Shape says, instead of by the kernel's router. All its chance is in
// the seed.
func Shaped(seed uint64) Option {
	return func(l *Lab) { l.newFabric = func() (fabric, error) { return newCrossbar(l.thread, l.home, seed), nil } }
}

// New builds an empty lab. Images of its disks are kept in the directory; their
// file system is what the disks are measured on.
func New(dir string, options ...Option) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("build lab: %w: it needs namespaces and loop devices, and user %d is not root: run it as root", ErrUnable, os.Geteuid())
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("build lab: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("build lab: %w", err)
	}
	l := &Lab{dir: dir, thread: newThread(), home: netns.None(), hosts: map[string]*Host{}, cuts: map[link]bool{}, shapes: map[link]Link{}}
	l.newFabric = func() (fabric, error) { return newRouter(l.home) }
	for _, option := range options {
		option(l)
	}
	if err := l.thread.do(l.enter); err != nil {
		return nil, errors.Join(fmt.Errorf("build lab: %w: %w", ErrUnable, err), l.Close())
	}
	fabric, err := l.newFabric()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build lab: %w", err), l.Close())
	}
	l.fabric = fabric
	return l, nil
}

// enter gives the lab's thread its namespaces: the router's network, and a mount
// namespace from which nothing reaches the rest of the machine.
func (l *Lab) enter() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	home, err := netns.Get()
	if err != nil {
		return err
	}
	l.home = home
	// Names of settings under /proc are those of the thread that opens them.
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

// Hosts returns all hosts that there are, by their numbers.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.hosts), func(a, b *Host) int { return a.number - b.number })
}

// Close lets all disks go on, kills what is left on the hosts, unmounts the disks
// and takes the hosts apart. It may be called twice.
func (l *Lab) Close() error {
	l.closing.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		var errs []error
		for _, disk := range l.disks {
			errs = append(errs, disk.Resume())
		}
		for _, host := range l.hosts {
			errs = append(errs, host.close())
		}
		for _, disk := range l.disks {
			errs = append(errs, disk.close())
		}
		if l.fabric != nil {
			errs = append(errs, l.fabric.close())
		}
		if l.home.IsOpen() {
			errs = append(errs, l.home.Close())
		}
		l.thread.close()
		l.closed = errors.Join(errs...)
	})
	return l.closed
}

// child is how programs of a lab are started: they end with the thread that
// started them.
func child() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
