package podmand

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Stop ends the service, removes its containers, and empties its directory.
// It goes on after an error and returns all of them. A second call does
// nothing.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return nil
	}
	s.stopped = true
	s.end(syscall.SIGTERM)
	s.mu.Unlock()
	// Until then it would do this if we were killed.
	defer s.guard.dismiss()

	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// The program, not the service: it works however the service ended. Pods
	// first, since they hold containers that cannot be removed alone.
	_, podErr := s.Podman(ctx, "pod", "rm", "--all", "--force", "--time=0")
	_, containerErr := s.Podman(ctx, "rm", "--all", "--force", "--time=0", "--volumes")
	monitorErr := s.awaitMonitors(ctx)
	return errors.Join(podErr, containerErr, monitorErr, s.forgetContainers(), s.unmount(), s.removeBridge(ctx), s.empty())
}

// awaitMonitors waits for the processes that watched the containers; they end a
// moment after them. What stays is killed: podman knows of no container that was
// just being made when it was killed itself.
func (s *Service) awaitMonitors(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		left, err := s.monitors()
		if err != nil || len(left) == 0 {
			return err
		}
		select {
		case <-ticker.C:
			continue
		case <-ctx.Done():
		}
		for _, pid := range left {
			// What is in a container that was only made waits to be started, for ever.
			children, err := childrenOf(pid)
			if err != nil {
				return err
			}
			for _, pid := range append(children, pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		s.logger.Warn("monitors of containers killed that did not end", "pids", left)
		return nil
	}
}

// monitors returns the processes (conmon) that name our directory in their
// command line: each watches a container.
func (s *Service) monitors() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil {
			continue // it ended meanwhile
		}
		words := strings.Split(string(line), "\x00")
		isMonitor := filepath.Base(words[0]) == "conmon"
		if isMonitor && slices.ContainsFunc(words, func(word string) bool { return within(s.cfg.Dir, word) }) {
			found = append(found, pid)
		}
	}
	return found, nil
}

// unmount takes away what is mounted in the directory, the innermost first.
func (s *Service) unmount() error {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("look for mounts: %w", err)
	}
	defer file.Close()
	var points []string
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		if fields := strings.Fields(scanner.Text()); len(fields) > 4 && within(s.cfg.Dir, fields[4]) {
			points = append(points, fields[4])
		}
	}
	slices.Reverse(points)
	var problems []error
	for _, point := range points {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			problems = append(problems, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(problems...)
}

// removeBridge removes the service's bridge when the last container's end did
// not.
func (s *Service) removeBridge(ctx context.Context) error {
	name := s.layout.bridge()
	if _, err := os.Stat(filepath.Join("/sys/class/net", name)); err != nil {
		return nil
	}
	program, err := exec.LookPath("ip")
	if err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	if out, err := exec.CommandContext(ctx, program, "link", "delete", name).CombinedOutput(); err != nil {
		return fmt.Errorf("remove bridge %s: %w: %s", name, err, out)
	}
	return nil
}

// empty removes what is in the directory, and the directory.
func (s *Service) empty() error {
	if err := os.RemoveAll(s.cfg.Dir); err != nil {
		return fmt.Errorf("empty directory of podman service: %w", err)
	}
	return nil
}

func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// childrenOf returns the processes that a process has started.
func childrenOf(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	var children []int
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		// The name, in parentheses, may hold anything; the parent is the second
		// word after it.
		after := string(text[bytes.LastIndexByte(text, ')')+1:])
		if words := strings.Fields(after); len(words) > 1 && words[1] == strconv.Itoa(pid) {
			children = append(children, child)
		}
	}
	return children, nil
}
