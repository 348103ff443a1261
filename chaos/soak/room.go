package soak

import (
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// room returns an error when there is too little for another trial: on the disk,
// or of what may be kept.
func (s *soak) room() error {
	var stat unix.Statfs_t
	if err := unix.Statfs(s.Dir, &stat); err != nil {
		return fmt.Errorf("look how much room %s has: %w", s.Dir, err)
	}
	if free := int64(stat.Bavail) * stat.Bsize; free < s.Room {
		return fmt.Errorf("%w: %s has %d MiB free, and %d are kept free: make room, or name another directory", ErrDisk, s.Dir, free>>20, s.Room>>20)
	}
	kept, err := size(s.Dir)
	if err != nil {
		return err
	}
	if kept > s.Kept {
		return fmt.Errorf("%w: trials that were kept in %s have %d MiB, more than %d: remove those that were looked at", ErrDisk, s.Dir, kept>>20, s.Kept>>20)
	}
	return nil
}

// size is how much of the disk the files below a directory take.
func size(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		// Images of disks have holes: their size says little.
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			return err
		}
		total += stat.Blocks * 512
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("look what %s has: %w", dir, err)
	}
	return total, nil
}
