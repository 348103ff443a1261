package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// reap is what a host's keeper does when this process is gone: it kills whatever
// is left in its own network namespace. Programs of the lab end with it, but not
// those that they made to outlive them. It does nothing when it is not where it
// should be: what lives there is not the lab's. Then it removes their control
// groups, which are its further arguments.
const reap = `
[ "$(readlink /proc/self/ns/net)" = "$1" ] || exit 1
[ /proc/1/ns/net -ef /proc/self/ns/net ] && exit 1
for turn in $(seq 1000); do
	left=
	for each in /proc/[0-9]*; do
		[ "$each" != "/proc/$$" ] && [ "$each/ns/net" -ef /proc/self/ns/net ] && kill -9 "${each#/proc/}" && left=1
	done
	[ "$left" ] || break
	sleep 0.05
done 2>/dev/null
shift
for turn in $(seq 1000); do
	left=
	for each; do
		[ ! -d "$each" ] || rmdir "$each" || left=1
	done
	[ "$left" ] || break
	sleep 0.05
done 2>/dev/null`

// newReaper starts the keeper of a host.
func (h *Host) newReaper(own inode) error {
	args := []string{fmt.Sprintf("net:[%d]", own.number)}
	if h.group != nil {
		args = append(args, h.group.paths()...)
	}
	reaper, err := newKeeper(h.start, reap, args...)
	h.reaper = reaper
	return err
}

// killPatience is how long a process that was killed may take to end.
const killPatience = 30 * time.Second

// inode is what a namespace is known by.
type inode struct{ device, number uint64 }

func inodeAt(path string) (inode, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return inode{}, err
	}
	return inode{stat.Dev, stat.Ino}, nil
}

// inode returns that of the host's namespace. One that is this machine's own is
// an error: nobody may take what lives there for the lab's.
func (h *Host) inode() (inode, error) {
	own, err := inodeAt(fmt.Sprintf("/proc/self/fd/%d", int(h.namespace)))
	if err != nil {
		return own, fmt.Errorf("look at the namespace of %s: %w", h.Name, err)
	}
	if first, err := inodeAt("/proc/1/ns/net"); err == nil && first == own {
		return own, fmt.Errorf("look at the namespace of %s: it is this machine's own", h.Name)
	}
	return own, nil
}

// Processes returns the processes on the host, whoever started them: also those
// that outlived their parents.
func (h *Host) Processes() ([]int, error) {
	own, err := h.inode()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("find processes on %s: %w", h.Name, err)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		// A thread of this process may be there for a moment.
		if err == nil && pid != os.Getpid() && pid != h.reaper.pid() && lives(pid, own) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// lives tells whether a process is in a network namespace. One that has ended is
// nowhere.
func lives(pid int, namespace inode) bool {
	where, err := inodeAt(filepath.Join("/proc", strconv.Itoa(pid), "ns", "net"))
	return err == nil && where == namespace
}

// KillAll kills every process on the host and waits until they are gone.
func (h *Host) KillAll() error {
	own, err := h.inode()
	if err != nil {
		return err
	}
	// What they start meanwhile is found the next time.
	for {
		pids, err := h.Processes()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := kill(pid, own); err != nil {
				return fmt.Errorf("kill process %d on %s: %w", pid, h.Name, err)
			}
		}
	}
}

// kill ends a process and waits until it has ended. It does nothing when another
// one has got the number that is not in the namespace.
func kill(pid int, namespace inode) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if !lives(pid, namespace) {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	for deadline := time.Now().Add(killPatience); time.Now().Before(deadline); {
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return fmt.Errorf("it does not end within %v: see whether it waits for a disk that is stalled", killPatience)
}
