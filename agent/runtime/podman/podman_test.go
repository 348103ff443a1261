package podman_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod/libpodtest"
	"github.com/argosy-cluster/argosy/agent/runtime/podman"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const image = libpodtest.Image

func TestMain(m *testing.M) { goleak.VerifyTestMain(libpodtest.Main{M: m}) }

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
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		runtimetest.Run(t, runtimetest.Harness{
			Runtime: podman.Name,
			Open: func(t *testing.T, agent string) (runtime.Runtime, func()) {
				p := mustOpen(t, s, agent)
				return p, func() { _ = p.Close() }
			},
			Config: func(script runtimetest.Script) string {
				return config([]string{"--stop-timeout", fmt.Sprint(int(script.StopTimeout / time.Second)), "--network=none"}, "sh", "-c", script.Body)
			},
			Kill: func(t *testing.T, instance runtime.Instance, signal syscall.Signal) {
				var pid int
				if _, err := fmt.Sscan(libpodtest.MustPodman(t, s, "inspect", "--format", "{{.State.Pid}}", instance.RuntimeID), &pid); err != nil {
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
			Creates:      true,
			Mounts:       true,
			LogsVanish:   true,
		})
	})
}
