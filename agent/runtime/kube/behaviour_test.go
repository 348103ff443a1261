package kube_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/kube"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod/libpodtest"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// patience is how long a condition may take; nothing is measured by it.
const patience = time.Minute

// inventory lists everything with a name that podman has, networks and images
// aside.
func inventory(t testing.TB, s *podmand.Service) []string {
	t.Helper()
	var all []string
	for _, list := range [][]string{
		{"pod", "ls", "--format", "pod {{.Name}}"}, {"ps", "-a", "--format", "container {{.Names}}"},
		{"volume", "ls", "--format", "volume {{.Name}}"}, {"secret", "ls", "--format", "secret {{.Name}}"},
	} {
		out := libpodtest.MustPodman(t, s, list...)
		all = append(all, slices.DeleteFunc(strings.Split(out, "\n"), func(line string) bool { return line == "" })...)
	}
	slices.Sort(all)
	return all
}

func mustHaveOnly(t testing.TB, s *podmand.Service, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := inventory(t, s); !slices.Equal(got, want) {
		t.Errorf("podman has %q, want %q", got, want)
	}
}

func mustList(t testing.TB, k *kube.Kube) []runtime.Instance {
	t.Helper()
	all, err := k.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func logs(t testing.TB, k *kube.Kube, name *argosyv1.InstanceName, options runtime.LogOptions) []string {
	t.Helper()
	var lines []string
	err := k.Logs(t.Context(), name, options, func(line runtime.LogLine) error {
		lines = append(lines, string(line.Line))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// stateful is a manifest with a thing of each kind; its first program runs before
// the others.
func stateful(name string, programs ...string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ConfigMap
metadata: {name: %[1]s-settings}
data: {greeting: hello}
---
apiVersion: v1
kind: Secret
metadata: {name: %[1]s-secret}
stringData: {word: hush}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %[1]s-claim}
---
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: web}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: first, image: %[2]q, command: [sh, -c, %[3]q], volumeMounts: [{name: data, mountPath: /data}]}
  containers:
  - name: main
    image: %[2]q
    command: [sh, -c, %[4]q]
    volumeMounts: [{name: data, mountPath: /data}, {name: settings, mountPath: /settings}, {name: scratch, mountPath: /scratch}]
  volumes:
  - {name: data, persistentVolumeClaim: {claimName: %[1]s-claim}}
  - {name: settings, configMap: {name: %[1]s-settings}}
  - {name: scratch, emptyDir: {}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s-beside}
spec:
  template:
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: %[2]q, command: [sh, -c, %[5]q]}
`, name, image, programs[0], programs[1], programs[2])
}

func TestManifestWithEverythingRunsAndIsRemoved(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		before := inventory(t, s)
		k := mustOpen(t, s, "everything")
		text := stateful("all", "echo made > /data/file", "cat /data/file; echo $(cat /settings/greeting); "+forever, "echo beside; "+forever)
		w := workload("all", "everything", config(text))
		name := argosyv1.InstanceOf(w)
		instance := mustStart(t, k, w)
		if instance.Status != runtime.StatusRunning {
			t.Errorf("started %+v", instance)
		}
		// The podman runtime must not take the containers for its own, nor
		// another agent.
		if all := mustList(t, mustOpen(t, s, "other")); len(all) > 0 {
			t.Errorf("another agent lists %+v", all)
		}

		var followed []string
		stopped := errors.New("stopped")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		err := k.Logs(ctx, name, runtime.LogOptions{Follow: true, Tail: -1}, func(line runtime.LogLine) error {
			followed = append(followed, string(line.Line))
			if len(followed) == 5 {
				return stopped
			}
			return nil
		})
		want := []string{"all-beside-pod", "all/main: hello", "all/main: made", "all/main: ready"}
		for i, line := range followed {
			if strings.HasPrefix(line, "all-beside-pod") { // older ones number them
				followed[i] = "all-beside-pod"
			}
		}
		slices.Sort(followed)
		if followed = slices.Compact(followed); !errors.Is(err, stopped) || !slices.Equal(followed, want) {
			t.Errorf("followed %q, %v; want %q", followed, err, want)
		}
		if lines := logs(t, k, name, runtime.LogOptions{Tail: -1}); len(lines) != 5 {
			t.Errorf("logs are %q", lines)
		}
		if lines := logs(t, k, name, runtime.LogOptions{Tail: 2}); len(lines) != 2 {
			t.Errorf("the last two lines are %q", lines)
		}

		mustRemove(t, k, name)
		mustRemove(t, k, name)
		mustHaveOnly(t, s, append(before, "volume all-claim", "volume all-settings")...)
		forced := workload("all", "everything", config(text, "downOptions: [--force]"))
		mustStart(t, k, forced)
		mustRemove(t, k, argosyv1.InstanceOf(forced))
		mustHaveOnly(t, s, before...)
	})
}

func TestAPlayThatFailsLeavesNothingAndHarmsNobody(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		k := mustOpen(t, s, "fails")
		other := mustStart(t, k, workload("other", "fails", config(pod("taken", forever))))
		libpodtest.MustPodman(t, s, "volume", "create", "bad-claim")
		defer libpodtest.MustPodman(t, s, "volume", "rm", "bad-claim")
		before := inventory(t, s)
		for problem, last := range map[string]string{
			"taken":   pod("taken", "true"),
			"nowhere": strings.Replace(pod("image", "true"), image+`"`, `localhost/nowhere:1", imagePullPolicy: Never`, 1),
			"no/such": strings.Replace(pod("command", ""), `[sh, -c, ""]`, "[/no/such/program]", 1),
		} {
			w := workload("bad", "fails", config(stateful("bad", "true", forever, forever)+"---\n"+last, "downOptions: [--force]"))
			_, err := k.Start(t.Context(), w, runtime.StartOptions{})
			if err == nil || errors.Is(err, runtime.ErrInvalidConfig) || errors.Is(err, runtime.ErrUnavailable) || !strings.Contains(err.Error(), problem) {
				t.Errorf("start: %v, want %s", err, problem)
			}
			mustHaveOnly(t, s, before...)
		}
		if all := mustList(t, k); len(all) != 1 || all[0].RuntimeID != other.RuntimeID || all[0].Status != runtime.StatusRunning {
			t.Errorf("list is %+v, want %+v only", all, other)
		}
	})
}

// mortal is a way to a service that ends after a number of requests that change
// something, as if the agent had been killed before the next one.
func mortal(t *testing.T, s *podmand.Service, changes int64) (url string, died func() bool) {
	t.Helper()
	dir, err := os.MkdirTemp("", "mortal")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(s.URL(), "unix://"))
	}}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", "podman"
	}}
	var made atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			made.Add(1)
		}
		if made.Load() > changes {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
		_ = os.RemoveAll(dir)
	})
	return "unix://" + filepath.Join(dir, "s"), func() bool { return made.Load() > changes }
}

func mustOpenMortal(t *testing.T, s *podmand.Service, agent string, changes int64) (k *kube.Kube, died func() bool) {
	t.Helper()
	url, died := mortal(t, s, changes)
	k, err := kube.New(kube.Config{Agent: agent, Service: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k, died
}

func TestAnAgentThatDiesBetweenTwoStepsLeavesNothingUnknown(t *testing.T) {
	libpodtest.OnLatest(t, func(t *testing.T, s *podmand.Service) {
		before := inventory(t, s)
		w := workload("w", "dies", config(stateful("dies", "echo x > /data/x", forever, forever), "downOptions: [--force]"))
		name := argosyv1.InstanceOf(w)
		successor := mustOpen(t, s, "dies")
		clean := func(when string) {
			t.Helper()
			mustRemove(t, successor, name)
			if got := inventory(t, s); !slices.Equal(got, before) {
				t.Fatalf("%s: podman has %q, want %q", when, got, before)
			}
		}
		for step := int64(0); ; step++ {
			k, died := mustOpenMortal(t, s, "dies", step)
			_, err := k.Start(t.Context(), w, runtime.StartOptions{})
			if !died() {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			if err == nil {
				t.Fatalf("start cut off after %d changes: no error", step)
			}
			when := fmt.Sprintf("start cut off after %d changes", step)
			if all := mustList(t, successor); step > 0 && (len(all) != 1 || all[0].Status != runtime.StatusStarting) {
				t.Fatalf("%s: listed are %+v", when, all)
			}
			if step == 2 { // played, and not written down
				if instance, err := successor.Start(t.Context(), w, runtime.StartOptions{}); err != nil || instance.Status != runtime.StatusRunning {
					t.Fatalf("%s: started again: %+v, %v", when, instance, err)
				}
			}
			clean(when)
		}
		for step := int64(1); ; step++ {
			if instance, err := successor.Start(t.Context(), w, runtime.StartOptions{}); err != nil || instance.Status != runtime.StatusRunning {
				t.Fatalf("start: %+v, %v", instance, err)
			}
			k, died := mustOpenMortal(t, s, "dies", step)
			err := k.Remove(t.Context(), name)
			if !died() {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			when := fmt.Sprintf("removal cut off after %d changes", step)
			if all := mustList(t, successor); len(all) != 1 {
				t.Fatalf("%s: listed are %+v", when, all)
			}
			clean(when)
		}
		mustHaveOnly(t, s, before...)
	})
}

// Podman goes on without the agent, and the pods may run for long until there is
// one again.
func TestWhatPodsHaveWrittenOutlivesAnAgentThatDiedWhileStartingThem(t *testing.T) {
	libpodtest.OnLatest(t, func(t *testing.T, s *podmand.Service) {
		w := workload("w", "writes", config(stateful("writes", "[ -e /data/id ] || cat /proc/sys/kernel/random/uuid > /data/id",
			"cat /data/id; "+forever, forever)))
		defer libpodtest.MustPodman(t, s, "volume", "rm", "writes-claim", "writes-settings")
		k, _ := mustOpenMortal(t, s, "writes", 2)
		if _, err := k.Start(t.Context(), w, runtime.StartOptions{}); !errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("start: %v", err)
		}
		successor := mustOpen(t, s, "writes")
		written := func() string {
			seen := errors.New("seen")
			var id string
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := successor.Logs(ctx, argosyv1.InstanceOf(w), runtime.LogOptions{Follow: true, Tail: -1}, func(line runtime.LogLine) error {
				said, ok := strings.CutPrefix(string(line.Line), "writes/main: ")
				if !ok || said == "ready" {
					return nil
				}
				id = said
				return seen
			})
			if !errors.Is(err, seen) {
				t.Errorf("logs ended with %v", err)
			}
			return id
		}
		before := written()
		// Its successor dies too, when it has removed the pods.
		k, _ = mustOpenMortal(t, s, "writes", 5)
		if _, err := k.Start(t.Context(), w, runtime.StartOptions{}); !errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("start: %v", err)
		}
		if got := libpodtest.MustPodman(t, s, "pod", "ls", "--quiet"); got != "" {
			t.Errorf("pods are left: %s", got)
		}
		if _, err := successor.Start(t.Context(), w, runtime.StartOptions{}); err != nil {
			t.Fatal(err)
		}
		if after := written(); after != before {
			t.Errorf("the volume holds %s, it held %s", after, before)
		}
		mustRemove(t, successor, argosyv1.InstanceOf(w))
	})
}

func TestPodsOfAnkaiosAreMadeAnew(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		before := inventory(t, s)
		k := mustOpen(t, s, "moved")
		manifest := pod("moved", forever)
		w := workload("moved", "moved", config(manifest))
		name := argosyv1.InstanceOf(w)
		file := filepath.Join(t.TempDir(), "pod.yaml")
		if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		libpodtest.MustPodman(t, s, "kube", "play", "--quiet", "--network=none", file)
		id := libpodtest.MustPodman(t, s, "pod", "ls", "--filter", "name=moved", "--no-trunc", "--format", "{{.Id}}")
		for volume, data := range map[string]string{".config": w.GetRuntimeConfig(), ".pods": fmt.Sprintf("[%q]", id)} {
			libpodtest.MustPodman(t, s, "volume", "create", "--label", "data="+base64.RawStdEncoding.EncodeToString([]byte(data)), name.Key()+volume)
		}
		if all := mustList(t, k); len(all) != 1 || all[0].Status != runtime.StatusStarting {
			t.Errorf("listed are %+v", all)
		}
		if instance := mustStart(t, k, w); instance.Status != runtime.StatusRunning || instance.RuntimeID == id {
			t.Errorf("started %+v over pod %s", instance, id)
		}
		mustRemove(t, k, name)
		mustHaveOnly(t, s, before...)
	})
}

// watching collects the events of a runtime for the length of a test.
func watching(t *testing.T, k *kube.Kube) <-chan runtime.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	events, ended := make(chan runtime.Event, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		_ = k.Watch(ctx, func(e runtime.Event) { events <- e })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	await(t, events, "resync", func(e runtime.Event) bool { return e.Resync })
	return events
}

func await(t *testing.T, events <-chan runtime.Event, what string, holds func(runtime.Event) bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		select {
		case e := <-events:
			if holds(e) {
				return
			}
		case <-limit.C:
			t.Fatalf("no event of %s", what)
		}
	}
}

func TestWhatPodmanRestartsDoesNotCountAsEnded(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		k := mustOpen(t, s, "restarts")
		events := watching(t, k)
		mustStart(t, k, workload("w", "restarts", config(strings.Replace(pod("again", "sleep 0.5; exit 3"), "Never", "Always", 1))))
		var starts []time.Time
		await(t, events, "a third start", func(e runtime.Event) bool {
			if e.Gone || e.Instance.Status == runtime.StatusExited {
				t.Errorf("told of %+v", e)
			}
			if e.Instance.Status == runtime.StatusRunning && !slices.Contains(starts, e.Instance.StartedAt) {
				starts = append(starts, e.Instance.StartedAt)
			}
			return len(starts) == 3
		})
	})
}

func TestPodsThatSomebodyElseRemovesAreToldAsEnded(t *testing.T) {
	libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
		k := mustOpen(t, s, "lost")
		events := watching(t, k)
		instance := mustStart(t, k, workload("w", "lost", config(pod("lost", forever, forever))))
		libpodtest.MustPodman(t, s, "pod", "rm", "--force", "--time=0", instance.RuntimeID)
		await(t, events, "end", func(e runtime.Event) bool {
			return e.Instance.Status == runtime.StatusExited && strings.Contains(e.Instance.Detail, "gone")
		})
		again := mustStart(t, k, workload("w", "lost", config(pod("lost", forever, forever))))
		if again.Status != runtime.StatusRunning || again.RuntimeID == instance.RuntimeID {
			t.Errorf("started again: %+v", again)
		}
	})
}

func TestExampleRuns(t *testing.T) {
	libpodtest.OnLatest(t, func(t *testing.T, s *podmand.Service) {
		text, err := os.ReadFile("../../../examples/pod.yaml")
		if err != nil {
			t.Fatal(err)
		}
		example, err := manifest.Parse(text, manifest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		libpodtest.ImportBusybox(t, s, "docker.io/library/busybox:1.37")
		w := example.Workloads[0]
		// The network that podman makes for pods is one for the whole machine.
		w.RuntimeConfig = "playOptions: [--network=none]\n" + w.GetRuntimeConfig()
		k := mustOpen(t, s, w.GetAgent())
		if instance := mustStart(t, k, w); instance.Status != runtime.StatusRunning {
			t.Errorf("started %+v", instance)
		}
		seen := errors.New("seen")
		wrote := false
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		err = k.Logs(ctx, argosyv1.InstanceOf(w), runtime.LogOptions{Follow: true, Tail: -1}, func(line runtime.LogLine) error {
			wrote = wrote || strings.HasPrefix(string(line.Line), "writer: wrote ")
			if wrote && strings.HasPrefix(string(line.Line), "reader: read ") {
				return seen
			}
			return nil
		})
		if !errors.Is(err, seen) {
			t.Errorf("logs ended with %v", err)
		}
	})
}
