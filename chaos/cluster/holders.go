package cluster

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Keepers, and the processes below them, are made to outlive their agents: they
// are found by the files that they hold open below the data directory.

// holders returns the processes that hold a file below a directory open, without
// this one.
func holders(dir string) []int {
	prefix := filepath.Clean(dir) + string(filepath.Separator)
	var pids []int
	for _, pid := range processes() {
		if pid == os.Getpid() {
			continue
		}
		fds := filepath.Join("/proc", strconv.Itoa(pid), "fd")
		// A process that has ended meanwhile, or is another user's, holds nothing
		// of ours.
		entries, _ := os.ReadDir(fds)
		if slices.ContainsFunc(entries, func(entry fs.DirEntry) bool {
			target, err := os.Readlink(filepath.Join(fds, entry.Name()))
			return err == nil && strings.HasPrefix(target, prefix)
		}) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// descendants adds to the processes all those below them.
func descendants(roots []int) []int {
	children := map[int][]int{}
	for _, pid := range processes() {
		if parent, ok := parentOf(pid); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	found := map[int]bool{}
	for queue := slices.Clone(roots); len(queue) > 0; {
		pid := queue[0]
		queue = queue[1:]
		if !found[pid] {
			found[pid] = true
			queue = append(queue, children[pid]...)
		}
	}
	return slices.Collect(maps.Keys(found))
}

func parentOf(pid int) (int, bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return parent, err == nil
}

// KeeperPID returns the process id of an agent's keeper; the error is
// fs.ErrNotExist when it has none.
func (p *Process) KeeperPID() (int, error) {
	for _, pid := range holders(p.DataDir) {
		cmdline, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if args := strings.Split(string(cmdline), "\x00"); err == nil && slices.Contains(args, "keeper") {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("find keeper of %s: %w", p.Name, fs.ErrNotExist)
}

// EndHolders kills everything that holds a file below a directory open, and all
// below it, and waits until nothing does: what agents that no Cluster knows have
// left.
func EndHolders(dir string) {
	for range 100 {
		pids := holders(dir)
		if len(pids) == 0 {
			return
		}
		for _, pid := range descendants(pids) {
			// One that has ended by itself is as good.
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
