package podmand_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/chaos/podmand"
)

// TestMain makes the test binary the program that is killed when it is called like
// it.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == doomed {
		os.Exit(beDoomed(os.Args[2], os.Args[3]))
	}
	goleak.VerifyTestMain(m)
}

// shortDir returns an empty directory whose path leaves room for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// mustStart starts a service; without podman the test is skipped, in CI it
// fails.
func mustStart(t *testing.T, cfg podmand.Config) *podmand.Service {
	t.Helper()
	if err := podmand.Bridge(); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	s, err := podmand.Start(t.Context(), cfg)
	if err != nil {
		if errors.Is(err, podmand.ErrMissing) && os.Getenv("CI") == "" {
			t.Skip("needs podman: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustPodman(t *testing.T, s *podmand.Service, args ...string) string {
	t.Helper()
	out, err := s.Podman(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestServiceRunsImportedImageAndLeavesNothing(t *testing.T) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox-static: ", err)
	}
	dir := shortDir(t)
	s := mustStart(t, podmand.DefaultConfig(dir))
	if s.Version() == "" || s.PID() == 0 {
		t.Errorf("version %q, pid %d: both should be known", s.Version(), s.PID())
	}
	if err := s.ImportBinary(t.Context(), busybox, "localhost/busybox:latest"); err != nil {
		t.Fatal(err)
	}
	if out := mustPodman(t, s, "run", "--rm", "localhost/busybox:latest", "echo", "hello"); out != "hello" {
		t.Errorf("container printed %q", out)
	}
	mustPodman(t, s, "run", "-d", "--name", "longlived", "localhost/busybox:latest", "sleep", "1000")

	// The container runs on when the service is killed.
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := mustPodman(t, s, "ps", "--format", "{{.Names}}"); out != "longlived" {
		t.Errorf("after the service was killed these run: %q", out)
	}

	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("second stop: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory is left: %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir) {
		t.Error("mounts are left")
	}
	if err := s.Restart(t.Context()); err == nil {
		t.Error("a stopped service could be started again")
	}
}

func TestStopCleansUpAfterKilledService(t *testing.T) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox-static: ", err)
	}
	s := mustStart(t, podmand.DefaultConfig(shortDir(t)))
	if err := s.ImportBinary(t.Context(), busybox, "localhost/busybox:latest", "/bin/sleep"); err != nil {
		t.Fatal(err)
	}
	mustPodman(t, s, "run", "-d", "localhost/busybox:latest", "1000")
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMissingProgramIsNamed(t *testing.T) {
	cfg := podmand.DefaultConfig(shortDir(t))
	cfg.Program = "/nowhere/podman"
	_, err := podmand.Start(t.Context(), cfg)
	if !errors.Is(err, podmand.ErrMissing) || !strings.Contains(err.Error(), cfg.Program) {
		t.Errorf("got %v", err)
	}
}

func TestProgramThatEndsIsReportedWithItsOutput(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := shortDir(t)
	program := filepath.Join(t.TempDir(), "podman")
	script := "#!/bin/sh\nif [ \"$5\" = system ]; then echo no luck today; exit 3; fi\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := podmand.DefaultConfig(dir)
	cfg.Program, cfg.StartTimeout = program, time.Minute
	_, err := podmand.Start(t.Context(), cfg)
	if !errors.Is(err, podmand.ErrUnusable) || !strings.Contains(err.Error(), "no luck today") {
		t.Errorf("got %v", err)
	}
}

func TestDirectoryOfOthersIsRefused(t *testing.T) {
	if _, err := podmand.Find(""); err != nil {
		t.Skip("needs podman: ", err)
	}
	dir := shortDir(t)
	theirs := filepath.Join(dir, "theirs")
	if err := os.WriteFile(theirs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := podmand.Start(t.Context(), podmand.DefaultConfig(dir)); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Error(err)
	}
}

func TestDynamicProgramIsRefused(t *testing.T) {
	s := &podmand.Service{}
	err := s.ImportBinary(t.Context(), "/bin/ls", "localhost/ls:latest")
	if err == nil || !strings.Contains(err.Error(), "linked dynamically") {
		t.Errorf("got %v", err)
	}
}
