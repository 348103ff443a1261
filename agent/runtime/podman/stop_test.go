package podman_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod/libpodtest"
	"github.com/argosy-cluster/argosy/agent/runtime/podman"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// However a container is to be stopped, it is told so once, by its own signal, and
// nothing of it goes on or is started again.
func TestAContainerIsToldOnceToEnd(t *testing.T) {
	for name, test := range map[string]struct {
		options []string
		script  string
		want    string
	}{
		"at once":            {script: "trap 'note TERM; exit' TERM", want: "up TERM"},
		"by another signal":  {options: []string{"--stop-signal=USR1"}, script: "trap 'note TERM' TERM; trap 'note USR1; exit' USR1", want: "up USR1"},
		"never":              {options: []string{"--stop-timeout=1"}, script: "trap 'note TERM' TERM", want: "up TERM"},
		"without time":       {options: []string{"--stop-timeout=0"}, script: "trap 'note TERM' TERM", want: "up"},
		"that podman starts": {options: []string{"--restart=always"}, script: "trap 'note TERM; exit' TERM", want: "up TERM"},
		"beside the machine": {options: []string{"--pid=host"}, script: "trap 'note TERM; exit' TERM", want: "up TERM"},
	} {
		t.Run(name, func(t *testing.T) {
			libpodtest.OnEach(t, func(t *testing.T, s *podmand.Service) {
				p := mustOpen(t, s, "told")
				dir := t.TempDir()
				watcher := watch(t, p)
				watcher.await(nil, "first resync", resync)
				script := "note() { echo $1 >>/told/signs; }; " + test.script + "; note up; echo ready; while :; do sleep 0.02; done"
				w := workload("told", "told", config(append([]string{"--network=none", "-v", dir + ":/told"}, test.options...), "sh", "-c", script))
				mustStart(t, p, w)
				t.Cleanup(func() { mustRemove(t, p, argosyv1.InstanceOf(w)) })
				awaitLine(t, p, w, "ready")
				mustRemove(t, p, argosyv1.InstanceOf(w))
				if left := libpodtest.MustPodman(t, s, "ps", "-a", "--quiet", "--filter", "label=agent=told"); left != "" {
					t.Errorf("left: %s", left)
				}
				signs, err := os.ReadFile(filepath.Join(dir, "signs"))
				if got := strings.Join(strings.Fields(string(signs)), " "); err != nil || got != test.want {
					t.Errorf("the container saw %q, %v, want %q", got, err, test.want)
				}
			})
		})
	}
}

// awaitLine waits until a workload has printed a line.
func awaitLine(t *testing.T, p *podman.Podman, w *argosyv1.Workload, want string) {
	t.Helper()
	err := p.Logs(t.Context(), argosyv1.InstanceOf(w), runtime.LogOptions{Tail: -1, Follow: true}, func(line runtime.LogLine) error {
		if string(line.Line) == want {
			return io.EOF
		}
		return nil
	})
	if !errors.Is(err, io.EOF) {
		t.Fatalf("wait for line %q: %v", want, err)
	}
}

// A service that answers what podman does not: the container is stopped in its own way.
func TestAContainerThatTakesNoSignalIsStopped(t *testing.T) {
	for name, test := range map[string]struct {
		inspect, kill int
		kills         int
	}{
		"it cannot be looked at": {inspect: http.StatusInternalServerError},
		"the signal is refused":  {inspect: http.StatusOK, kill: http.StatusInternalServerError, kills: 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeService(t)
			w := workload("w", "agent", config(nil))
			id := strings.Repeat("1", 64)
			answer := func(method, path string, code int, body string) {
				f.HandleFunc(method+" "+path, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(code)
					_, _ = io.WriteString(w, body)
				})
			}
			f.list = `[{"Id":"` + id + `","State":"running","StartedAt":1,"Labels":{"agent":"agent","name":"` + argosyv1.InstanceOf(w).Key() + `"}}]`
			answer("GET", "/containers/"+id+"/json", test.inspect, `{"State":{"Running":true},"Config":{"StopTimeout":10},"HostConfig":{"PidMode":"private"},"message":"broken"}`)
			answer("POST", "/containers/"+id+"/kill", test.kill, `{"message":"broken"}`)
			answer("POST", "/containers/"+id+"/stop", http.StatusNoContent, "")
			answer("DELETE", "/containers/"+id, http.StatusOK, `[{"Id":"`+id+`"}]`)
			if err := openFake(t, f).Remove(t.Context(), argosyv1.InstanceOf(w)); err != nil {
				t.Fatal(err)
			}
			for call, want := range map[string]int{"POST /containers/" + id + "/kill": test.kills, "POST /containers/" + id + "/stop": 1, "DELETE /containers/" + id: 1} {
				if n := f.count(call); n != want {
					t.Errorf("%s was called %d times, want %d", call, n, want)
				}
			}
		})
	}
}

func TestAStopTimeOutThatIsTooLongIsCutOff(t *testing.T) {
	f := newFakeService(t)
	w := workload("w", "agent", config(nil))
	id := strings.Repeat("1", 64)
	f.list = `[{"Id":"` + id + `","State":"running","StartedAt":1,"Labels":{"agent":"agent","name":"` + argosyv1.InstanceOf(w).Key() + `"}}]`
	f.HandleFunc("GET /containers/"+id+"/json", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"State":{"Running":true},"Config":{"StopTimeout":10000},"HostConfig":{"PidMode":"host"}}`)
	})
	f.HandleFunc("POST /containers/"+id+"/stop", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the context ends only after it
		<-r.Context().Done()
	})
	f.HandleFunc("DELETE /containers/"+id, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[{"Id":"`+id+`"}]`) })
	p, err := podman.New(podman.Config{Agent: "agent", Service: f.url, StopTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if err := p.Remove(t.Context(), argosyv1.InstanceOf(w)); err != nil || f.count("DELETE /containers/"+id) != 1 {
		t.Errorf("error %v, want that it is removed by force", err)
	}
}
