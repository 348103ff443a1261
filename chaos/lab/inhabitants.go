package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// reap is what a host's keeper does when this process is gone: it kills whatever
// is left in its own network namespace. Programs of the lab end with it, but not
// those that they made to outlive them. It does nothing when it is not where it
// should be: what lives there is not the lab's.
const reap = `
[ "$(readlink /proc/self/ns/net)" = "$1" ] || exit 1
[ /proc/1/ns/net -ef /proc/self/ns/net ] && exit 1
for turn in $(seq 1000); do
	left=
	for each in /proc/[0-9]*; do
		[ "$each" != "/proc/$$" ] && [ "$each/ns/net" -ef /proc/self/ns/net ] && kill -9 "${each#/proc/}" && left=1
	done
	[ "$left" ] || exit 0
	sleep 0.05
done 2>/dev/null`

// newReaper starts the keeper of a host.
func (h *Host) newReaper() error {
	own, err := h.inode()
	if err != nil {
		return err
	}
	h.reaper, err = newKeeper(func(cmd *exec.Cmd) error { return h.start(cmd) }, reap, fmt.Sprintf("net:[%d]", own.number))
	return err
}

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
		if err != nil || pid == os.Getpid() || h.reaper != nil && pid == h.reaper.cmd.Process.Pid {
			continue
		}
		// One that has ended meanwhile is nowhere.
		if where, err := inodeAt(filepath.Join("/proc", entry.Name(), "ns", "net")); err == nil && where == own {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// KillAll kills every process on the host and waits until they are gone.
func (h *Host) KillAll() error {
	for range 1000 {
		pids, err := h.Processes()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill process %d on %s: %w", pid, h.Name, err)
			}
		}
		// Those that wait for a disk end when it goes on.
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("kill all processes on %s: some do not end: see whether they wait for a disk that is stalled", h.Name)
}
