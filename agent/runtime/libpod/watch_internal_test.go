package libpod

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

// Podman leaves out what happens before the time from which on events are asked for, as
// long as the stream lasts.
func TestEventsAreAskedForAnewWhenTheClockIsSetBack(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan time.Time, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Libpod-API-Version", "5.0.0")
		if !strings.HasSuffix(r.URL.Path, "/events") {
			return
		}
		since, err := time.Parse(time.RFC3339Nano, r.URL.Query().Get("since"))
		if err != nil {
			t.Error(err)
		}
		asked <- since
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()

	cfg := DefaultConfig("agent")
	cfg.Service, cfg.ResyncInterval = "unix://"+listener.Addr().String(), time.Millisecond
	index := NewIndex(First)
	client := NewClient(cfg, index.Doubt)
	var back atomic.Int64
	source := &Source{
		Client: client, Index: index, List: func(context.Context) error { return nil },
		day: func() time.Time { return time.Now().Add(-time.Duration(back.Load())) },
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = source.Watch(ctx, func(runtime.Event) {})
	}()
	first := <-asked
	back.Store(int64(time.Hour))
	select {
	case second := <-asked:
		if first.Sub(second) < time.Minute {
			t.Errorf("events were asked for from %v on, then from %v", first, second)
		}
	case <-time.After(10 * time.Second):
		t.Error("events are not asked for anew")
	}
	cancel()
	<-ended
	client.Close()
}
