package podman_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/podman"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// fakeService answers as podman does, as far as a test says, and counts.
type fakeService struct {
	http.ServeMux
	url string

	mu    sync.Mutex
	calls []string
	list  string
}

// newFakeService serves a version and an empty list; a test adds the rest.
func newFakeService(t *testing.T) *fakeService {
	t.Helper()
	dir, err := os.MkdirTemp("", "fake")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeService{url: "unix://" + socket, list: "[]"}
	f.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Libpod-API-Version", "5.0.0") })
	f.HandleFunc("GET /containers/json", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, f.list) })
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, path, _ := strings.Cut(r.URL.Path, "/libpod")
		r.URL.Path = path
		f.mu.Lock()
		f.calls = append(f.calls, r.Method+" "+path)
		f.mu.Unlock()
		f.ServeHTTP(w, r)
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return f
}

func (f *fakeService) count(call string) (count int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if c == call {
			count++
		}
	}
	return count
}

func openFake(t *testing.T, f *fakeService) *podman.Podman {
	t.Helper()
	p, err := podman.New(podman.Config{
		Agent: "agent", Service: f.url, PingInterval: 10 * time.Millisecond, PingTimeout: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestCreateIsSentOnceWhenItsAnswerIsLost(t *testing.T) {
	f := newFakeService(t)
	f.HandleFunc("POST /containers/create", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	p := openFake(t, f)
	_, err := p.Start(t.Context(), workload("w", "agent", config(nil)), runtime.StartOptions{})
	if !errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("error %v, want %v", err, runtime.ErrUnavailable)
	}
	if n := f.count("POST /containers/create"); n != 1 {
		t.Errorf("create was sent %d times", n)
	}
	if info := p.Info(t.Context()); !strings.Contains(info.GetProblem(), f.url) || info.GetVersion() != "5.0.0" {
		t.Errorf("info is %v", info)
	}
	if _, err := p.List(t.Context()); err != nil {
		t.Error(err)
	}
	if info := p.Info(t.Context()); info.GetProblem() != "" {
		t.Errorf("after an answer info is %v", info)
	}
}

func TestAnswerThatBreaksOffIsUnavailable(t *testing.T) {
	f := newFakeService(t)
	f.HandleFunc("POST /containers/create", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"Id":`)
	})
	_, err := openFake(t, f).Start(t.Context(), workload("w", "agent", config(nil)), runtime.StartOptions{})
	if !errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("error %v, want %v", err, runtime.ErrUnavailable)
	}
}

func TestNonsenseIsAnErrorAndNotUnavailable(t *testing.T) {
	f := newFakeService(t)
	f.HandleFunc("POST /containers/create", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	_, err := openFake(t, f).Start(t.Context(), workload("w", "agent", config(nil)), runtime.StartOptions{})
	if err == nil || errors.Is(err, runtime.ErrUnavailable) || errors.Is(err, runtime.ErrInvalidConfig) {
		t.Errorf("error is %v", err)
	}
}

func TestServiceThatHangsEndsACallThatWaits(t *testing.T) {
	f := newFakeService(t)
	hangs := make(chan struct{})
	var once sync.Once
	f.HandleFunc("POST /containers/create", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the context ends only after it
		once.Do(func() { close(hangs) })
		<-r.Context().Done()
	})
	f.HandleFunc("GET /_ping", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hangs:
			<-r.Context().Done()
		default:
			w.Header().Set("Libpod-API-Version", "5.0.0")
		}
	})
	p := openFake(t, f)
	_, err := p.Start(t.Context(), workload("w", "agent", config(nil)), runtime.StartOptions{})
	if !errors.Is(err, runtime.ErrUnavailable) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("error %v, want that it does not answer", err)
	}
}

func TestAServiceThatAnswersIsNotGoneBecauseACallTakesTooLong(t *testing.T) {
	f := newFakeService(t)
	f.HandleFunc("POST /images/pull", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the context ends only after it
		<-r.Context().Done()
	})
	p, err := podman.New(podman.Config{Agent: "agent", Service: f.url, PullTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	_, err = p.Start(t.Context(), workload("w", "agent", config([]string{"--pull=always"})), runtime.StartOptions{})
	if err == nil || errors.Is(err, runtime.ErrUnavailable) || !strings.Contains(err.Error(), "pull image "+image) || !strings.Contains(err.Error(), "50ms") {
		t.Errorf("error %v, want that the image did not come within 50ms", err)
	}
	if info := p.Info(t.Context()); info.GetProblem() != "" {
		t.Errorf("info is %v", info)
	}
}

// Podman may have started it: an agent that ends leaves it to its next life, and whoever
// does not want it any more removes it.
func TestAStartThatIsCutOffRemovesNothing(t *testing.T) {
	f := newFakeService(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.HandleFunc("POST /containers/create", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"Id":"1","Warnings":[]}`)
	})
	f.HandleFunc("POST /containers/1/start", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the context ends only after it
		cancel()
		<-r.Context().Done()
	})
	_, err := openFake(t, f).Start(ctx, workload("w", "agent", config(nil)), runtime.StartOptions{})
	if !errors.Is(err, context.Canceled) || f.count("DELETE /containers/1") != 0 {
		t.Errorf("error %v, %d removals", err, f.count("DELETE /containers/1"))
	}
}

func TestMissingServiceIsNamedAtOnce(t *testing.T) {
	p, err := podman.New(podman.Config{Agent: "agent", Service: "unix:///nowhere/podman.sock"})
	if err != nil {
		t.Fatal(err)
	}
	if info := p.Info(t.Context()); !strings.Contains(info.GetProblem(), "/nowhere/podman.sock") || info.GetVersion() != "" {
		t.Errorf("info is %v", info)
	}
	if _, err := p.List(t.Context()); !errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("list: %v", err)
	}
	if err := p.Remove(t.Context(), argosyv1.InstanceOf(workload("w", "agent", ""))); !errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("remove: %v", err)
	}
}

func TestPullPolicyIsFollowed(t *testing.T) {
	for _, test := range []struct {
		options []string
		missing bool
		want    string // the calls, create and pull
		fails   bool
	}{
		{nil, false, "create start", false},
		{nil, true, "create pull create start", false},
		{[]string{"--pull=missing"}, true, "create pull create start", false},
		{[]string{"--pull=never"}, true, "create", true},
		{[]string{"--pull=always"}, false, "pull create start", false},
		{[]string{"--pull=newer"}, false, "pull create start", false},
		{[]string{"--arch=arm64"}, false, "pull create start", false},
	} {
		t.Run(fmt.Sprint(test.options, test.missing), func(t *testing.T) {
			f := newFakeService(t)
			var calls []string
			f.HandleFunc("POST /containers/create", func(w http.ResponseWriter, _ *http.Request) {
				calls = append(calls, "create")
				if test.missing && !strings.Contains(strings.Join(calls, " "), "pull") {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusNotFound)
					_, _ = io.WriteString(w, `{"cause":"no such image","message":"no such image","response":404}`)
					return
				}
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, `{"Id":"1","Warnings":[]}`)
			})
			f.HandleFunc("POST /images/pull", func(w http.ResponseWriter, r *http.Request) {
				calls = append(calls, "pull")
				if r.URL.Query().Get("reference") != image {
					t.Errorf("pull of %s", r.URL.Query().Get("reference"))
				}
				_, _ = io.WriteString(w, `{"images":["1"],"id":"1"}`)
			})
			f.HandleFunc("POST /containers/1/start", func(w http.ResponseWriter, _ *http.Request) {
				calls = append(calls, "start")
				w.WriteHeader(http.StatusNoContent)
			})
			_, err := openFake(t, f).Start(t.Context(), workload("w", "agent", config(test.options)), runtime.StartOptions{})
			if (err != nil) != test.fails || errors.Is(err, runtime.ErrInvalidConfig) {
				t.Errorf("error is %v", err)
			}
			if got := strings.Join(calls, " "); got != test.want {
				t.Errorf("calls are %q, want %q", got, test.want)
			}
		})
	}
}

func TestConfigIsValidated(t *testing.T) {
	for _, cfg := range []podman.Config{
		{}, {Agent: "a", Service: "tcp://host:1"}, {Agent: "a", Service: "unix://relative"}, {Agent: "a", PingInterval: -1},
	} {
		if _, err := podman.New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
	if err := podman.DefaultConfig("agent").Validate(); err != nil {
		t.Error(err)
	}
}
