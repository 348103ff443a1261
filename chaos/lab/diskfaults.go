package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// filler is the file that a disk is filled with.
const filler = ".filler"

// Stall lets every write to the disk, and every flush, wait until Resume.
func (d *Disk) Stall() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stalled != nil {
		return nil
	}
	keeper, err := d.lab.newKeeper(`exec fsfreeze --unfreeze "$1"`, d.Path)
	if err != nil {
		return fmt.Errorf("stall disk %s: %w", d.Path, err)
	}
	if err := d.request(requestFreeze, 0); err != nil {
		keeper.dismiss()
		return fmt.Errorf("stall disk %s: %w", d.Path, err)
	}
	d.stalled = keeper
	return nil
}

// Resume lets a stalled disk go on.
func (d *Disk) Resume() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.resume()
}

func (d *Disk) resume() error {
	if d.stalled == nil {
		return nil
	}
	if err := d.request(requestThaw, 0); err != nil {
		return fmt.Errorf("resume disk %s: %w", d.Path, err)
	}
	d.stalled.dismiss()
	d.stalled = nil
	return nil
}

// PowerOff makes the disk lose, at once and for good, everything that was not
// flushed. Whatever uses it gets errors from then on, also what waited for a
// stalled one; end it, then use PowerOn.
func (d *Disk) PowerOff() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.request(requestShutdown, shutdownNow); err != nil {
		return fmt.Errorf("cut disk %s from power: %w", d.Path, err)
	}
	return d.resume()
}

// PowerOn mounts a disk again that was cut from power, with what was flushed.
func (d *Disk) PowerOn() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := errors.Join(d.unmount(), d.mount()); err != nil {
		return fmt.Errorf("turn disk %s on: %w", d.Path, err)
	}
	return nil
}

// ReadOnly lets nothing be written from now on, as a file system does that has
// found an error in itself: what was not flushed is lost too.
func (d *Disk) ReadOnly() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.device == nil {
		return fmt.Errorf("make disk %s read-only: %w", d.Path, os.ErrClosed)
	}
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(d.device.Name()), "trigger_fs_error")
	if err := os.WriteFile(trigger, []byte("1"), 0); err != nil {
		return fmt.Errorf("make disk %s read-only: %w: %w", d.Path, ErrUnable, err)
	}
	return nil
}

// Writable repairs a disk that became read-only, and mounts it again. What uses
// it must have ended, as for any repair.
func (d *Disk) Writable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	// One that is stalled could not be repaired.
	if err := errors.Join(d.resume(), d.unmount()); err != nil {
		return fmt.Errorf("make disk %s writable: %w", d.Path, err)
	}
	text, err := exec.Command("e2fsck", "-p", "-f", d.device.Name()).CombinedOutput()
	// 1 says that it had something to repair.
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("check: %w: %s", err, text)
	}
	if err := errors.Join(err, d.mount()); err != nil {
		return fmt.Errorf("make disk %s writable: %w", d.Path, err)
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
	// A disk that lost power meanwhile may have lost the filler too.
	if err := os.Remove(filepath.Join(d.Outside(), filler)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("empty disk %s: %w", d.Path, err)
	}
	// One that loses power next would be full again.
	folder, err := os.Open(d.Outside())
	if err != nil {
		return fmt.Errorf("empty disk %s: %w", d.Path, err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("empty disk %s: %w", d.Path, err)
	}
	return nil
}
