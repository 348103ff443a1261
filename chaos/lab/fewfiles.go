package lab

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// FewFiles leaves a process so many file descriptors beside those that it has
// open, until the function that is returned is called. That does nothing when the
// process has ended.
func FewFiles(pid, spare int) (restore func() error, err error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return nil, fmt.Errorf("leave process %d few files: %w", pid, err)
	}
	open := map[int]bool{}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil {
			open[fd] = true
		}
	}
	// The limit is on their numbers, of which the lowest free one is taken.
	limit := 0
	for free := 0; free < spare || open[limit]; limit++ {
		if !open[limit] {
			free++
		}
	}
	// The process is not confused with another one that gets its number.
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, fmt.Errorf("leave process %d few files: %w", pid, err)
	}
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		return nil, fmt.Errorf("leave process %d few files: %w", pid, os.NewSyscallError("prlimit", err))
	}
	few := before
	few.Cur = min(before.Cur, uint64(limit))
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		return nil, fmt.Errorf("leave process %d few files: %w", pid, os.NewSyscallError("prlimit", err))
	}
	return func() error {
		defer func() { _ = process.Release() }()
		if process.Signal(syscall.Signal(0)) != nil {
			return nil
		}
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("give process %d its files back: %w", pid, os.NewSyscallError("prlimit", err))
		}
		return nil
	}, nil
}
