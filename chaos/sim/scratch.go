package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// memory is where files are in memory.
const memory = "/dev/shm"

// scratchName begins the names of scratch directories.
const scratchName = "argosy-simulation-"

// youth is for how long a scratch directory is let be that nobody holds: whoever
// made it may not have come to that yet.
const youth = time.Minute

// scratch is a directory for files that nobody needs for long. Its lock tells
// that a process lives that uses it, and is given back whatever ends the process.
type scratch struct {
	dir  string
	lock *os.File
}

// newScratch makes one below another directory, or, when that is empty, in memory
// where there is such a file system. It removes those there that were left behind
// by processes that were killed: what is in memory is missing elsewhere.
func newScratch(below string) (*scratch, error) {
	if below == "" {
		below = os.TempDir()
		if info, err := os.Stat(memory); err == nil && info.IsDir() {
			below = memory
		}
	}
	sweep(below)
	dir, err := os.MkdirTemp(below, scratchName)
	if err != nil {
		return nil, fmt.Errorf("make scratch directory: %w", err)
	}
	lock, err := hold(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make scratch directory: %w", err), os.RemoveAll(dir))
	}
	return &scratch{dir, lock}, nil
}

// remove removes the directory, and what is in it.
func (s *scratch) remove() error {
	return errors.Join(os.RemoveAll(s.dir), s.lock.Close())
}

// hold takes the lock of a directory.
func hold(dir string) (*os.File, error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), file.Close())
	}
	return file, nil
}

// sweep removes scratch directories that no living process holds. What cannot be
// removed is another user's, and no reason not to simulate.
func sweep(below string) {
	found, err := filepath.Glob(filepath.Join(below, scratchName+"*"))
	if err != nil {
		return
	}
	for _, dir := range found {
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() || time.Since(info.ModTime()) < youth {
			continue
		}
		if lock, err := hold(dir); err == nil {
			_ = (&scratch{dir, lock}).remove()
		}
	}
}
