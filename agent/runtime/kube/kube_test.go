package kube_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/kube"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod/libpodtest"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const image = libpodtest.Image

func TestMain(m *testing.M) { goleak.VerifyTestMain(libpodtest.Main{M: m}) }

// mustOpen returns a runtime for an agent.
func mustOpen(t testing.TB, s *podmand.Service, agent string) *kube.Kube {
	t.Helper()
	k, err := kube.New(kube.Config{Agent: agent, Service: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// config writes a runtime configuration; other keys come before the manifest.
func config(manifest string, keys ...string) string {
	keys = append(keys, "playOptions: [--network=none]", "manifest: |")
	return strings.Join(keys, "\n") + "\n  " + strings.ReplaceAll(strings.TrimSpace(manifest), "\n", "\n  ") + "\n"
}

// pod writes the manifest of a pod whose containers run shell programs. A program
// that is told to end before it listens is killed after a second.
func pod(name string, programs ...string) string { return podEnding(name, time.Second, programs...) }

// podEnding is a pod that has a time to end.
func podEnding(name string, within time.Duration, programs ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  restartPolicy: Never\n  terminationGracePeriodSeconds: %d\n  containers:\n",
		name, int(within/time.Second))
	for i, program := range programs {
		fmt.Fprintf(&b, "  - {name: c%d, image: %q, command: [sh, -c, %q]}\n", i+1, image, program)
	}
	return b.String()
}

const forever = "trap 'exit 0' TERM; echo ready; sleep 100000 & wait"

func workload(name, agent, config string) *argosyv1.Workload {
	return &argosyv1.Workload{Name: name, Agent: agent, Runtime: kube.Name, RuntimeConfig: config}
}

func mustStart(t testing.TB, k *kube.Kube, w *argosyv1.Workload) runtime.Instance {
	t.Helper()
	instance, err := k.Start(t.Context(), w, runtime.StartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustRemove(t, k, argosyv1.InstanceOf(w)) })
	return instance
}

func mustRemove(t testing.TB, k *kube.Kube, name *argosyv1.InstanceName) {
	t.Helper()
	if err := k.Remove(context.Background(), name); err != nil {
		t.Error(err)
	}
}

func TestConformance(t *testing.T) {
	libpodtest.OnLatest(t, func(t *testing.T, s *podmand.Service) {
		runtimetest.Run(t, runtimetest.Harness{
			Runtime: kube.Name,
			Open: func(t *testing.T, agent string) (runtime.Runtime, func()) {
				k := mustOpen(t, s, agent)
				return k, func() { _ = k.Close() }
			},
			Config: func(script runtimetest.Script) string {
				return config(podEnding(fmt.Sprintf("p%.6x", sha256.Sum256([]byte(script.Body))), script.StopTimeout, script.Body))
			},
			Kill: func(t *testing.T, instance runtime.Instance, signal syscall.Signal) {
				libpodtest.MustPodman(t, s, "pod", "kill", "--signal", fmt.Sprint(int(signal)), instance.RuntimeID)
			},
			Invalid: map[string]string{
				"manifest: [":       "runtimeConfig",
				"playOptions: [-q]": "manifest is missing",
				"manifest: 'a: [':": "runtimeConfig",
				config("a: ["):      "document 1",
				config("a: b"):      "it has no kind",
				config("kind: ConfigMap\nmetadata: {name: x}"):                    "nothing in it runs",
				config(strings.Replace(pod("x", "true"), "name: x", "nam: x", 1)): "metadata.name is missing",
				config(pod("x")): "it has no containers",
				config(pod("x", "true") + "---\n" + pod("x", "true")):       "two pods are called x",
				config(strings.Replace(pod("x", "1", "2"), "c2", "c1", 1)):  "two containers are called c1",
				config(strings.Replace(pod("x", "1"), "image:", "img:", 1)): "container c1 has no image",
				config(strings.Replace(pod("x", "1"), "Never", "[]", 1)):    "Pod x",
				"downOptions: [--stop]\nmanifest: x":                        "--stop (supported are --force)",
				"playOptions: [--no-such]\nmanifest: x":                     "--no-such (supported are --annotation, --authfile",
				"playOptions: [--build]\nmanifest: x":                       "--build is not supported",
				"playOptions: [stray]\nmanifest: x":                         "stray",
				"generalOptions: [--root, /x]\nmanifest: x":                 "--root",
			},
			Failing:     config(strings.Replace(pod("failing", ""), "[sh, -c, \"\"]", "[/no/such/program]", 1)),
			Many:        5,
			NeverReuses: true,
			LogsVanish:  true,
		})
	})
}
