package podman_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod/libpodtest"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// BenchmarkStart compares Start with bare create and start requests through the
// same socket, in turns so that both meet the same machine.
func BenchmarkStart(b *testing.B) {
	for _, program := range libpodtest.Programs(b) {
		s := libpodtest.MustService(b, program)
		b.Run(s.Version(), func(b *testing.B) { benchmarkStart(b, s) })
	}
}

func benchmarkStart(b *testing.B, s *podmand.Service) {
	p := mustOpen(b, s, "bench")
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	synced := make(chan struct{}, 1)
	go func() {
		defer close(ended)
		_ = p.Watch(ctx, func(e runtime.Event) {
			if e.Resync {
				synced <- struct{}{}
			}
		})
	}()
	defer func() { cancel(); <-ended }()
	<-synced
	bare := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(s.URL(), "unix://"))
	}}}
	defer bare.CloseIdleConnections()

	var ours, theirs []time.Duration
	for i := range b.N {
		w := workload(fmt.Sprintf("bench-%d", i), "bench", config([]string{"--network=none"}, "sleep", "1000"))
		var id string
		turns := []func(){
			func() {
				began := time.Now()
				if _, err := p.Start(b.Context(), w, runtime.StartOptions{}); err != nil {
					b.Fatal(err)
				}
				ours = append(ours, time.Since(began))
			},
			func() {
				began := time.Now()
				id = mustBareStart(b, bare, i)
				theirs = append(theirs, time.Since(began))
			},
		}
		turns[i%2]()
		turns[1-i%2]()
		b.StopTimer()
		libpodtest.MustPodman(b, s, "rm", "-f", "--time=0", id, argosyv1.InstanceOf(w).Key())
		b.StartTimer()
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	us, them := ours[len(ours)/2], theirs[len(theirs)/2]
	b.ReportMetric(us.Seconds()*1000, "ms/start")
	b.ReportMetric(them.Seconds()*1000, "ms/bare")
	b.ReportMetric(float64(us)/float64(them), "ratio")
}

func mustBareStart(b *testing.B, client *http.Client, i int) string {
	b.Helper()
	spec, err := json.Marshal(map[string]any{
		"name": fmt.Sprintf("bare-%d", i), "image": image, "command": []string{"sleep", "1000"},
		"netns": map[string]string{"nsmode": "none"},
	})
	if err != nil {
		b.Fatal(err)
	}
	post := func(path string, body []byte) []byte {
		response, err := client.Post("http://podman/v4.0.0/libpod"+path, "application/json", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode/100 != 2 {
			b.Fatalf("%s: %v: %s", path, err, text)
		}
		return text
	}
	var created struct{ ID string }
	if err := json.Unmarshal(post("/containers/create", spec), &created); err != nil {
		b.Fatal(err)
	}
	post("/containers/"+created.ID+"/start", nil)
	return created.ID
}
