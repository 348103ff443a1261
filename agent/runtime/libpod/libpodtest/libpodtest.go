// Package libpodtest runs the tests of the runtimes that use podman on real ones:
// the machine's and the one that is built from the module. It protects one
// invariant: in CI a test that needs podman never passes without it.
package libpodtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/podmand"
)

var errNoPodman = errors.New("there is no podman: install the package podman or run tools/podman/build.sh")

// Image is an image of busybox that every service has.
const Image = "localhost/busybox:latest"

// Main stops the services when the tests are done. It is for goleak, which then
// finds nothing of them.
type Main struct{ *testing.M }

// Run runs the tests and returns the exit code.
func (m Main) Run() int {
	code := m.M.Run()
	for _, s := range services.started {
		if err := s.Stop(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}

// services are those that the tests share: one for each podman program.
var services struct {
	mu      sync.Mutex
	started map[string]*podmand.Service
}

// Programs returns the podman programs to test with: the one that is asked for,
// else the machine's and the one built from the module.
func Programs(t testing.TB) []string {
	t.Helper()
	if program := os.Getenv(podmand.EnvProgram); program != "" {
		return []string{program}
	}
	// From the directory of a runtime.
	found, err := filepath.Glob("../../../.cache/podman-*/podman")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := podmand.Find(""); err == nil {
		found = append([]string{""}, found...)
	}
	return found
}

// OnEach runs a test on each podman there is. Without any it is skipped;
// in CI it fails.
func OnEach(t *testing.T, test func(t *testing.T, s *podmand.Service)) {
	all := Programs(t)
	if len(all) == 0 {
		mustHave(t, errNoPodman)
	}
	for _, program := range all {
		s := MustService(t, program)
		t.Run(s.Version(), func(t *testing.T) { test(t, s) })
	}
}

// OnLatest runs a test on the podman that was built from the module, or on the
// machine's where there is no other: for tests that take long and are about
// ourselves more than about podman.
func OnLatest(t *testing.T, test func(t *testing.T, s *podmand.Service)) {
	all := Programs(t)
	if len(all) == 0 {
		mustHave(t, errNoPodman)
	}
	s := MustService(t, all[len(all)-1])
	t.Run(s.Version(), func(t *testing.T) { test(t, s) })
}

// mustHave ends the test when something is missing on this machine.
func mustHave(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// MustService returns the service of a program that all tests share.
func MustService(t testing.TB, program string) *podmand.Service {
	t.Helper()
	services.mu.Lock()
	defer services.mu.Unlock()
	if s := services.started[program]; s != nil {
		return s
	}
	s := MustStartService(t, program)
	ImportBusybox(t, s, Image)
	if services.started == nil {
		services.started = make(map[string]*podmand.Service)
	}
	services.started[program] = s
	return s
}

// ImportBusybox makes an image of the machine's busybox.
func ImportBusybox(t testing.TB, s *podmand.Service, image string) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	mustHave(t, err)
	if err := s.ImportBinary(t.Context(), busybox, image); err != nil {
		t.Fatal(err)
	}
}

// MustStartService starts a service of a test's own, which must stop it.
func MustStartService(t testing.TB, program string) *podmand.Service {
	t.Helper()
	mustHave(t, podmand.Bridge())
	dir, err := os.MkdirTemp("", "argosy")
	if err != nil {
		t.Fatal(err)
	}
	cfg := podmand.DefaultConfig(dir)
	cfg.Program = program
	s, err := podmand.Start(t.Context(), cfg)
	if errors.Is(err, podmand.ErrMissing) || errors.Is(err, podmand.ErrUnusable) {
		mustHave(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// MustPodman runs the podman program beside the service.
func MustPodman(t testing.TB, s *podmand.Service, args ...string) string {
	t.Helper()
	out, err := s.Podman(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
