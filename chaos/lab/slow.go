package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// throttle is the file that bounds how many writes a block device is given a
// second, for everybody. Groups of version 2 have none for the root, to which
// the journal's writer belongs.
const throttle = "blkio.throttle.write_iops_device"

// Slow bounds how many writes the disk does in a second until Fast. A flush takes
// several.
func (d *Disk) Slow(writesPerSecond int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if writesPerSecond < 1 {
		return fmt.Errorf("slow disk %s down to %d writes a second: it must be at least 1", d.Path, writesPerSecond)
	}
	path, number, err := d.throttle()
	if err != nil {
		return fmt.Errorf("slow disk %s down: %w", d.Path, err)
	}
	if d.slowed == nil {
		// The kernel would keep the bound for the next one that gets the device.
		if d.slowed, err = d.lab.newKeeper(`echo "$1 0" > "$2"`, number, path); err != nil {
			return fmt.Errorf("slow disk %s down: %w", d.Path, err)
		}
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%s %d", number, writesPerSecond), 0); err != nil {
		return errors.Join(fmt.Errorf("slow disk %s down: %w", d.Path, err), d.fast())
	}
	return nil
}

// Fast takes the bound away.
func (d *Disk) Fast() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fast()
}

func (d *Disk) fast() error {
	if d.slowed == nil {
		return nil
	}
	path, number, err := d.throttle()
	if err == nil {
		err = os.WriteFile(path, []byte(number+" 0"), 0)
	}
	if err != nil {
		return fmt.Errorf("let disk %s be as fast as it is: %w", d.Path, err)
	}
	d.slowed.dismiss()
	d.slowed = nil
	return nil
}

// throttle returns the file, and what the device is called in it; d.mu is held.
func (d *Disk) throttle() (path, number string, err error) {
	if d.device == nil {
		return "", "", os.ErrClosed
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(d.device.Fd()), &stat); err != nil {
		return "", "", err
	}
	root, err := hierarchy("blkio")
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrUnable, err)
	}
	path = filepath.Join(root, throttle)
	if _, err := os.Stat(path); err != nil {
		return "", "", fmt.Errorf("%w: the kernel bounds no writes of a device: %w", ErrUnable, err)
	}
	return path, fmt.Sprintf("%d:%d", unix.Major(stat.Rdev), unix.Minor(stat.Rdev)), nil
}
