package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	lockFile = "lock"
	nameFile = "agent-name"
)

// dataDir is a data directory that this process has for itself.
type dataDir struct{ lock *os.File }

// claim takes a data directory for the agent of the name. It refuses one that
// another process uses or that is another agent's: two agents would remember
// each other's assignments.
func claim(path, name string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	d := &dataDir{lock: lock}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(lock.Name())
		err = fmt.Errorf("lock data directory %s: process %s uses it (%w): %w; stop that process or give this agent another --data-dir",
			path, strings.TrimSpace(string(holder)), err, ErrInUse)
		return nil, errors.Join(err, d.release())
	}
	if err := d.sign(path, name); err != nil {
		return nil, errors.Join(err, d.release())
	}
	return d, nil
}

// sign writes who has the directory and to which agent it belongs.
func (d *dataDir) sign(path, name string) error {
	// For people only: on a full disk nobody is named.
	n, err := d.lock.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	if err != nil {
		n = 0
	}
	_ = d.lock.Truncate(int64(n))
	owner, err := os.ReadFile(filepath.Join(path, nameFile))
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && len(owner) == 0:
		if err := os.WriteFile(filepath.Join(path, nameFile), []byte(name+"\n"), 0o600); err != nil {
			return fmt.Errorf("sign data directory: %w", err)
		}
	case err != nil:
		return fmt.Errorf("read owner of data directory: %w", err)
	case strings.TrimSpace(string(owner)) != name:
		return fmt.Errorf("data directory %s belongs to agent %s, not to %s: give this agent another --data-dir: %w",
			path, strings.TrimSpace(string(owner)), name, ErrOtherAgent)
	}
	return nil
}

// id tells the directory from every other one, for as long as the machine runs:
// by the file that is locked, so that a copy of the directory is another one.
func (d *dataDir) id() (string, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(d.lock.Fd()), &stat); err != nil {
		return "", fmt.Errorf("identify data directory: %w", err)
	}
	return fmt.Sprintf("%x-%x", stat.Dev, stat.Ino), nil
}

// release gives the directory back. The lock file stays: removing it would let
// two processes lock two files of one name.
func (d *dataDir) release() error { return d.lock.Close() }
