package traffic_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	"github.com/argosy-cluster/argosy/chaos/traffic"
	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestProbesInContainersGiveSignsOfLife(t *testing.T) {
	const image = "localhost/argosy-probe:1"
	podman := mustPodman(t)
	binary := filepath.Join(t.TempDir(), probe.Name)
	build := exec.Command("go", "build", "-o", binary, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	if err := podman.ImportBinary(t.Context(), binary, image); err != nil {
		t.Fatal(err)
	}
	recorder, err := history.Create(t.TempDir()+"/trial", history.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	c := mustCluster(t, cluster.Config{Agents: 1, Runtimes: []string{"podman"}, PodmanSocket: podman.URL()})
	container := probe.Containers(image, "/bin/"+probe.Name, recorder.BeatsDir())
	var made *argosyv1.Workload
	load := plan.Load{Writers: 1, Probes: 1, LogFollowers: 1, PauseUs: 10_000}
	tr, _ := mustStart(t, c, load, func(config *traffic.Config) {
		config.Recorder = recorder
		config.Probe = func(workload, agent, value string) *argosyv1.Workload {
			made = container(workload, agent, value)
			return made
		}
	})
	eventually(t, func() bool { return tr.Counts().Lines >= 5 }, func() any { return tr.Counts() })
	h := mustEnd(t, tr, recorder)
	if len(h.Beats) == 0 || h.Beats[0].What != history.BeatStart {
		t.Fatalf("beats %+v", h.Beats)
	}
	for _, b := range h.Beats {
		if b.PID <= 1 || b.PID != h.Beats[0].PID || b.Instance != argosyv1.InstanceID(made.GetRuntimeConfig()) || b.Value != history.Value(made.GetRuntimeConfig()) {
			t.Errorf("beat %+v of %s", b, made.GetRuntimeConfig())
		}
	}
}

// mustPodman starts a podman service of the test's own.
func mustPodman(t *testing.T) *podmand.Service {
	t.Helper()
	// Sockets live below it: its path must be short.
	dir, err := os.MkdirTemp("", "tp-")
	if err != nil {
		t.Fatal(err)
	}
	service, err := podmand.Start(t.Context(), podmand.DefaultConfig(dir))
	if errors.Is(err, podmand.ErrMissing) || errors.Is(err, podmand.ErrUnusable) {
		_ = os.RemoveAll(dir)
		t.Skipf("no podman that can be used: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return service
}
