package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
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

// filler is the file that a disk is filled with.
const filler = ".filler"

// Disk is an ext4 file system of its own, in an image file on a loop device.
type Disk struct {
	// Path is where the lab's programs find it. Others see an empty directory
	// there and use Outside.
	Path string

	lab   *Lab
	image string
	// device keeps the loop device while the disk is off.
	device *os.File
	// root is the directory of the disk; nil while it is off.
	root *os.File
	// keeper lets the disk go on when this process dies; nil while it does.
	keeper *keeper
}

// Disk makes a disk of so many bytes. The name is that of its directory.
func (l *Lab) Disk(name string, size int64) (*Disk, error) {
	d := &Disk{lab: l, Path: filepath.Join(l.dir, name), image: filepath.Join(l.dir, name+".img")}
	if err := d.make(size); err != nil {
		return nil, errors.Join(fmt.Errorf("make disk %s: %w", name, err), d.close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disks = append(l.disks, d)
	return d, nil
}

func (d *Disk) make(size int64) error {
	if err := os.Mkdir(d.Path, 0o755); err != nil {
		return err
	}
	image, err := os.OpenFile(d.image, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	// The loop device has its own hold on the image.
	defer func() { _ = image.Close() }()
	if err := image.Truncate(size); err != nil {
		return err
	}
	// Nothing is kept back for root, so that full is full; and no idle thread of
	// the kernel shall write what is measured as the servers' own.
	if text, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image).CombinedOutput(); err != nil {
		return fmt.Errorf("format: %w: %s", err, text)
	}
	if d.device, err = attach(image); err != nil {
		return err
	}
	return d.mount()
}

// attach puts an image on a free loop device that lets go of it when nobody uses
// it any more.
func attach(image *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = control.Close() }()
	// Somebody else may take the number that was free a moment ago.
	for range 16 {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		device, err := openLoop(number)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(image.Fd())}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		_ = device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("configure %s: %w", device.Name(), err)
		}
	}
	return nil, errors.New("find a free loop device: others took each that was free")
}

func openLoop(number int) (*os.File, error) {
	path := "/dev/loop" + strconv.Itoa(number)
	device, err := os.OpenFile(path, os.O_RDWR, 0)
	if !errors.Is(err, os.ErrNotExist) {
		return device, err
	}
	// Where nothing looks after /dev, a new number has no file yet.
	const major = 7
	if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(major, uint32(number)))); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

func (d *Disk) mount() error {
	return d.lab.thread.do(func() error {
		if err := unix.Mount(d.device.Name(), d.Path, "ext4", unix.MS_NOATIME, ""); err != nil {
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
	return d.lab.thread.do(func() error {
		err := unix.Unmount(d.Path, 0)
		for attempt := 0; errors.Is(err, unix.EBUSY) && attempt < 500; attempt++ {
			time.Sleep(10 * time.Millisecond)
			err = unix.Unmount(d.Path, 0)
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w: end what uses it first", d.Path, err)
		}
		return nil
	})
}

// Outside is where this process finds what is on the disk, and others through
// it: the mount is not visible outside the lab. It changes with PowerOn.
func (d *Disk) Outside() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), d.root.Fd()) }

// Stall lets every write to the disk, and every flush, wait until Resume.
func (d *Disk) Stall() error {
	keeper, err := d.newKeeper()
	if err != nil {
		return fmt.Errorf("stall disk %s: %w", d.Path, err)
	}
	if err := d.request(requestFreeze, 0); err != nil {
		keeper.dismiss()
		return fmt.Errorf("stall disk %s: %w", d.Path, err)
	}
	d.keeper = keeper
	return nil
}

// Resume lets a stalled disk go on.
func (d *Disk) Resume() error {
	if d.keeper == nil {
		return nil
	}
	if err := d.request(requestThaw, 0); err != nil {
		return fmt.Errorf("resume disk %s: %w", d.Path, err)
	}
	d.keeper.dismiss()
	d.keeper = nil
	return nil
}

// PowerOff makes the disk lose, at once and for good, everything that was not
// flushed. Whatever uses it gets errors from then on; end it, then use PowerOn.
func (d *Disk) PowerOff() error {
	if err := d.request(requestShutdown, shutdownNow); err != nil {
		return fmt.Errorf("cut disk %s from power: %w", d.Path, err)
	}
	return nil
}

// PowerOn mounts a disk again that was cut from power, with what was flushed.
func (d *Disk) PowerOn() error {
	if err := errors.Join(d.unmount(), d.mount()); err != nil {
		return fmt.Errorf("turn disk %s on: %w", d.Path, err)
	}
	return nil
}

// Fill takes all space that is left.
func (d *Disk) Fill() error {
	file, err := os.OpenFile(filepath.Join(d.Outside(), filler), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("fill disk %s: %w", d.Path, err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("fill disk %s: %w", d.Path, err)
	}
	end := info.Size()
	for size := int64(1 << 30); size >= 4096; {
		err := unix.Fallocate(int(file.Fd()), 0, end, size)
		switch {
		case err == nil:
			end += size
		case errors.Is(err, unix.ENOSPC):
			size /= 2
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("fill disk %s: %w", d.Path, err)
		}
	}
	return nil
}

// Empty gives back the space that Fill took.
func (d *Disk) Empty() error {
	if err := os.Remove(filepath.Join(d.Outside(), filler)); err != nil {
		return fmt.Errorf("empty disk %s: %w", d.Path, err)
	}
	return nil
}

// request makes one request to the file system.
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
	err := errors.Join(d.Resume(), d.unmount())
	if d.device != nil {
		err = errors.Join(err, d.device.Close())
		d.device = nil
	}
	return errors.Join(err, os.RemoveAll(d.Path), os.RemoveAll(d.image))
}

// keeper is a process that lets a disk go on when this one is gone: else whoever
// waits for the disk could not even be killed.
type keeper struct {
	cmd *exec.Cmd
	// lifeline is closed by the kernel when this process ends.
	lifeline io.Closer
}

func (d *Disk) newKeeper() (*keeper, error) {
	cmd := exec.Command("/bin/sh", "-c", `read -r never; exec fsfreeze --unfreeze "$1"`, "keeper", d.Path)
	// It outlives this process, and a Ctrl-C at the terminal.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := d.lab.thread.do(cmd.Start); err != nil {
		return nil, err
	}
	return &keeper{cmd: cmd, lifeline: lifeline}, nil
}

func (k *keeper) dismiss() {
	// It has no more to do, and tells nothing by how it ends.
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
	_ = k.lifeline.Close()
}
