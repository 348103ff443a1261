package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

var (
	// ErrUnable is returned when this machine, or this user, cannot have a lab.
	ErrUnable = errors.New("cannot build machines here")
	// ErrClosed is returned when a lab is used after its end.
	ErrClosed = errors.New("lab is closed")
)

// Lab is a set of hosts and disks.
type Lab struct {
	dir    string
	thread *thread
	// router is the network namespace that all hosts are joined by, and routes
	// its rules and links.
	router netns.NsHandle
	routes *netlink.Handle

	mu    sync.Mutex
	hosts map[string]*Host
	disks []*Disk
	rules map[link]*netlink.Rule

	closing sync.Once
	closed  error
}

// New builds an empty lab. Images of its disks are kept in the directory; their
// file system is what the disks are measured on.
func New(dir string) (*Lab, error) {
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
	l := &Lab{dir: dir, thread: newThread(), router: netns.None(), hosts: map[string]*Host{}, rules: map[link]*netlink.Rule{}}
	if err := l.thread.do(l.enter); err != nil {
		return nil, errors.Join(fmt.Errorf("build lab: %w: %w", ErrUnable, err), l.Close())
	}
	if l.routes, err = netlink.NewHandleAt(l.router, unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("build lab: talk to the router's kernel: %w", err), l.Close())
	}
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
	router, err := netns.Get()
	if err != nil {
		return err
	}
	l.router = router
	// Names of settings under /proc are those of the thread that opens them.
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

// Close lets all disks go on, unmounts them and takes the hosts apart. What runs
// on them must have ended. It may be called twice.
func (l *Lab) Close() error {
	l.closing.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		var errs []error
		for _, disk := range l.disks {
			errs = append(errs, disk.close())
		}
		for _, host := range l.hosts {
			errs = append(errs, host.close())
		}
		if l.routes != nil {
			l.routes.Close()
		}
		if l.router.IsOpen() {
			errs = append(errs, l.router.Close())
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
