package podman_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/podman"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const image = "localhost/busybox:latest"

func TestMain(m *testing.M) { goleak.VerifyTestMain(withServices{m}) }

// withServices stops the services when the tests are done, before leaks are
// looked for.
type withServices struct{ *testing.M }

func (w withServices) Run() int {
	code := w.M.Run()
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

// programs returns the podman programs to test with: the one that is asked for,
// else the machine's and the one built from the module.
func programs(t testing.TB) []string {
	t.Helper()
	if program := os.Getenv(podmand.EnvProgram); program != "" {
		return []string{program}
	}
	found, err := filepath.Glob("../../../.cache/podman-*/podman")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := podmand.Find(""); err == nil {
		found = append([]string{""}, found...)
	}
	return found
}

// onEachPodman runs a test on each podman there is. Without any it is skipped;
// in CI it fails.
func onEachPodman(t *testing.T, test func(t *testing.T, s *podmand.Service)) {
	all := programs(t)
	if len(all) == 0 {
		mustHave(t, errors.New("there is no podman: install the package podman or run tools/podman/build.sh"))
	}
	for _, program := range all {
		s := mustService(t, program)
		t.Run(s.Version(), func(t *testing.T) { test(t, s) })
	}
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

func mustService(t testing.TB, program string) *podmand.Service {
	t.Helper()
	services.mu.Lock()
	defer services.mu.Unlock()
	if s := services.started[program]; s != nil {
		return s
	}
	s := mustStartService(t, program)
	importBusybox(t, s)
	if services.started == nil {
		services.started = make(map[string]*podmand.Service)
	}
	services.started[program] = s
	return s
}

func importBusybox(t testing.TB, s *podmand.Service) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	mustHave(t, err)
	if err := s.ImportBinary(t.Context(), busybox, image); err != nil {
		t.Fatal(err)
	}
}

func mustStartService(t testing.TB, program string) *podmand.Service {
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

func mustPodman(t testing.TB, s *podmand.Service, args ...string) string {
	t.Helper()
	out, err := s.Podman(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mustOpen returns a runtime for an agent, with the service and times of a test.
func mustOpen(t testing.TB, s *podmand.Service, agent string, change ...func(*podman.Config)) *podman.Podman {
	t.Helper()
	cfg := podman.Config{Agent: agent, Service: s.URL()}
	for _, f := range change {
		f(&cfg)
	}
	p, err := podman.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// config writes a runtime configuration.
func config(options []string, args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "image: %s\n", image)
	for key, list := range map[string][]string{"commandOptions": options, "commandArgs": args} {
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s:\n", key)
		for _, word := range list {
			fmt.Fprintf(&b, "- %q\n", word)
		}
	}
	return b.String()
}

func workload(name, agent, config string) *argosyv1.Workload {
	return &argosyv1.Workload{Name: name, Agent: agent, Runtime: podman.Name, RuntimeConfig: config}
}

func mustStart(t testing.TB, p *podman.Podman, w *argosyv1.Workload) runtime.Instance {
	t.Helper()
	instance, err := p.Start(t.Context(), w, runtime.StartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustRemove(t, p, argosyv1.InstanceOf(w)) })
	return instance
}

func mustRemove(t testing.TB, p *podman.Podman, name *argosyv1.InstanceName) {
	t.Helper()
	if err := p.Remove(context.Background(), name); err != nil {
		t.Error(err)
	}
}

func TestConformance(t *testing.T) {
	onEachPodman(t, func(t *testing.T, s *podmand.Service) {
		runtimetest.Run(t, runtimetest.Harness{
			Runtime: podman.Name,
			Open: func(t *testing.T, agent string) (runtime.Runtime, func()) {
				p := mustOpen(t, s, agent)
				return p, func() { _ = p.Close() }
			},
			Config: func(script runtimetest.Script) string {
				var options []string
				if script.StopTimeout > 0 {
					options = append(options, "--stop-timeout", fmt.Sprint(int(script.StopTimeout/time.Second)))
				}
				return config(append(options, "--network=none"), "sh", "-c", script.Body)
			},
			Kill: func(t *testing.T, instance runtime.Instance, signal syscall.Signal) {
				var pid int
				if _, err := fmt.Sscan(mustPodman(t, s, "inspect", "--format", "{{.State.Pid}}", instance.RuntimeID), &pid); err != nil {
					t.Fatal(err)
				}
				if err := syscall.Kill(pid, signal); err != nil {
					t.Fatal(err)
				}
			},
			Invalid: map[string]string{
				"image: [":                               "runtimeConfig",
				"commandArgs: [x]":                       "image is missing",
				config([]string{"--no-such-option"}):     "--no-such-option",
				config([]string{"--memory", "plenty"}):   "--memory",
				config([]string{"-p", "eighty:80"}):      "--publish",
				config([]string{"stray"}):                "stray",
				"generalOptions: [--root, /x]\nimage: x": "--root",
			},
			Failing:      config([]string{"--network=none"}, "/no/such/program"),
			Many:         10,
			ReuseKeepsID: true,
			LogsVanish:   true,
		})
	})
}
