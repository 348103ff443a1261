package diskspace

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// Usage is what there is on a file system, in bytes.
type Usage struct {
	// Free is what this process may still write.
	Free uint64
	// Size is how much there is in all; 0 when it is not known.
	Size uint64
}

// Of measures the file system that a directory is on.
func Of(dir string) (Usage, error) {
	var stat unix.Statfs_t
	for {
		err := unix.Statfs(dir, &stat)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Usage{}, fmt.Errorf("measure free space of %s: %w", dir, err)
		}
	}
	block := uint64(max(stat.Bsize, 1))
	return Usage{Free: times(stat.Bavail, block), Size: times(stat.Blocks, block)}, nil
}

// times multiplies; file systems that have no size of their own say what they
// like.
func times(a, b uint64) uint64 {
	if a > math.MaxUint64/b {
		return math.MaxUint64
	}
	return a * b
}

// share is which part of a file system, one in so many, is the most that is kept
// free of it: a floor that suits a disk would take half of a small one.
const share = 20

// floor returns how much must stay free of a file system.
func (c Config) floor(size uint64) uint64 {
	if size == 0 {
		return c.Floor
	}
	return min(c.Floor, size/share)
}

// low tells whether there is too little. One that was low before has to have a
// quarter more than that, so that nothing changes to and fro at the limit.
func (c Config) low(u Usage, before bool) bool {
	floor := c.floor(u.Size)
	if before {
		floor += floor / 4
	}
	return u.Free < floor
}

// Text writes a number of bytes for people.
func Text(bytes uint64) string {
	const unit = 1024
	if bytes < unit {
		return fmt.Sprintf("%d bytes", bytes)
	}
	value, power := float64(bytes)/unit, 0
	for value >= unit && power < 5 {
		value /= unit
		power++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[power])
}
