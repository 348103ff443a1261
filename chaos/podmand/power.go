package podmand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// LosePower does to the service what losing power does to a machine: the service
// and everything in its containers is killed at once, nobody sees how it ends,
// and what podman keeps in memory only is lost. Restart is the next boot.
func (s *Service) LosePower(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errors.New("lose power: the service was stopped for good")
	}
	s.end(syscall.SIGKILL)
	// The monitors first: each would note how its container ended.
	monitors, err := s.monitors()
	if err != nil {
		return fmt.Errorf("lose power: %w", err)
	}
	var victims []int
	for _, monitor := range monitors {
		children, err := childrenOf(monitor)
		if err != nil {
			return fmt.Errorf("lose power: %w", err)
		}
		victims = append(victims, children...)
	}
	for _, pid := range append(monitors, victims...) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("lose power: kill %d: %w", pid, err)
		}
	}
	if err := s.awaitMonitors(ctx); err != nil {
		return err
	}
	if err := errors.Join(s.unmount(), s.forgetContainers()); err != nil {
		return fmt.Errorf("lose power: %w", err)
	}
	for _, dir := range []string{s.layout.runroot(), s.layout.tmp()} {
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
			return fmt.Errorf("lose power: %w", err)
		}
	}
	return nil
}

// forgetContainers removes what the machine keeps of our containers outside our
// directory until it is started anew: the state of the OCI runtime and network
// namespaces.
func (s *Service) forgetContainers() error {
	bundles, err := filepath.Glob(filepath.Join(s.layout.root(), "*-containers", "*", "userdata"))
	if err != nil {
		return err
	}
	var problems []error
	for _, bundle := range bundles {
		id := filepath.Base(filepath.Dir(bundle))
		for _, runtime := range []string{"runc", "crun"} {
			problems = append(problems, os.RemoveAll(filepath.Join("/run", runtime, id)))
		}
		problems = append(problems, removeNetworkNamespace(bundle))
	}
	return errors.Join(problems...)
}

// removeNetworkNamespace removes the network namespace that a container's bundle
// names, if it is one that podman made.
func removeNetworkNamespace(bundle string) error {
	text, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // never started
	}
	var spec struct {
		Linux struct {
			Namespaces []struct{ Type, Path string }
		}
	}
	if err = errors.Join(err, json.Unmarshal(text, &spec)); err != nil {
		return err
	}
	for _, namespace := range spec.Linux.Namespaces {
		if namespace.Type != "network" || !strings.HasPrefix(namespace.Path, "/run/netns/netns-") {
			continue
		}
		if err := unix.Unmount(namespace.Path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", namespace.Path, err)
		}
		if err := os.Remove(namespace.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
