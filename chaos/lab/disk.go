package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests to a file system, as the kernel's headers define them.
const (
	requestFreeze   = 0xc0045877 // FIFREEZE
	requestThaw     = 0xc0045878 // FITHAW
	requestShutdown = 0x8004587d // EXT4_IOC_SHUTDOWN
	// shutdownNow is its flag to write nothing more, the journal neither.
	shutdownNow = 2
)

// Disk is an ext4 file system of its own, in an image file on a loop device.
type Disk struct {
	// Path is where the lab's programs find it. Others see an empty directory
	// there and use Outside.
	Path string

	lab   *Lab
	image string
	size  int64

	mu sync.Mutex
	// device keeps the loop device while the disk is off.
	device *os.File
	// root is the directory of the disk; nil while it is off.
	root *os.File
	// stalled lets the disk go on when this process dies, slowed takes its bound
	// away; nil while it has none.
	stalled, slowed *keeper
}

// Disk makes a disk of so many bytes. The name is that of its directory.
func (l *Lab) Disk(name string, size int64) (*Disk, error) {
	d := &Disk{lab: l, Path: filepath.Join(l.dir, name), image: filepath.Join(l.dir, name+".img"), size: size}
	if err := d.make(); err != nil {
		return nil, errors.Join(fmt.Errorf("make disk %s: %w", name, err), d.close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disks = append(l.disks, d)
	return d, nil
}

func (d *Disk) make() error {
	if err := d.hasRoom(); err != nil {
		return err
	}
	if err := os.Mkdir(d.Path, 0o755); err != nil {
		return err
	}
	image, err := os.OpenFile(d.image, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	// The loop device has its own hold on the image.
	defer func() { _ = image.Close() }()
	if err := image.Truncate(d.size); err != nil {
		return err
	}
	// Nothing is kept back for root, so that full is full; and no idle thread of
	// the kernel shall write what is measured as the servers' own.
	text, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: %w: install e2fsprogs", ErrUnable, err)
	}
	if err != nil {
		return fmt.Errorf("format: %w: %s", err, text)
	}
	if d.device, err = attach(image); err != nil {
		return err
	}
	return d.mount()
}

// hasRoom checks that the file system of the lab's directory has room for the
// whole image, and for what the images that are there have not used yet: they
// take it as they are written, and a disk must not fail because another one
// does.
func (d *Disk) hasRoom() error {
	var there unix.Statfs_t
	if err := unix.Statfs(d.lab.dir, &there); err != nil {
		return fmt.Errorf("see how much room %s has: %w", d.lab.dir, err)
	}
	d.lab.mu.Lock()
	defer d.lab.mu.Unlock()
	promised := int64(0)
	for _, other := range d.lab.disks {
		var stat unix.Stat_t
		if err := unix.Stat(other.image, &stat); err == nil {
			promised += max(0, other.size-stat.Blocks*512)
		}
	}
	if free := int64(there.Bavail)*there.Bsize - promised; free < d.size {
		return fmt.Errorf("%w: it needs %d MiB, and %s has %d MiB left: remove something there, or take another directory or smaller disks",
			ErrFull, d.size>>20, d.lab.dir, max(0, free)>>20)
	}
	return nil
}

func (d *Disk) mount() error {
	return d.lab.thread.do(func() error {
		// An error of the disk makes it read-only, as distributions have it.
		if err := unix.Mount(d.device.Name(), d.Path, "ext4", unix.MS_NOATIME, "errors=remount-ro"); err != nil {
			return fmt.Errorf("mount %s: %w", d.device.Name(), err)
		}
		root, err := os.Open(d.Path)
		d.root = root
		return err
	})
}

// unmount waits until nobody uses the disk: a program that was killed may still
// be on its way out of the kernel.
func (d *Disk) unmount() error {
	if d.root == nil {
		return nil
	}
	_ = d.root.Close()
	d.root = nil
	unmount := func() error { return unix.Unmount(d.Path, 0) }
	err := d.lab.thread.do(unmount)
	for attempt := 0; errors.Is(err, unix.EBUSY) && attempt < 1000; attempt++ {
		time.Sleep(10 * time.Millisecond)
		err = d.lab.thread.do(unmount)
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w: end what uses it first", d.Path, err)
	}
	return nil
}

// Outside is where this process finds what is on the disk, and others through
// it: the mount is not visible outside the lab. It changes with PowerOn, and
// while the disk is off there is nothing.
func (d *Disk) Outside() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root == nil {
		return filepath.Join(d.Path, "off")
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), d.root.Fd())
}

// request makes one request to the file system; d.mu is held.
func (d *Disk) request(number uintptr, flags uint32) error {
	if d.root == nil {
		return os.ErrClosed
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.root.Fd(), number, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return errno
	}
	return nil
}

func (d *Disk) close() error {
	err := errors.Join(d.Resume(), d.Fast())
	d.mu.Lock()
	defer d.mu.Unlock()
	err = errors.Join(err, d.unmount())
	if d.device != nil {
		err = errors.Join(err, d.device.Close())
		d.device = nil
	}
	return errors.Join(err, os.RemoveAll(d.Path), os.RemoveAll(d.image))
}
