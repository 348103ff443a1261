package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/podmand"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// image is made of the argosy program itself.
const image = "localhost/argosy-bench:1"

func (s *suite) startPodman(ctx context.Context) (*podmand.Service, error) {
	// Sockets live below it: its path must be short.
	dir, err := os.MkdirTemp("", "ab-")
	if err != nil {
		return nil, err
	}
	service, err := podmand.Start(ctx, podmand.DefaultConfig(dir))
	if err != nil {
		return nil, err
	}
	if err := service.ImportBinary(ctx, s.config.Binary, image); err != nil {
		return nil, fmt.Errorf("import image: %w; %w", err, service.Stop(ctx))
	}
	return service, nil
}

func containerCommand(binary string) []string {
	return []string{"/bin/" + filepath.Base(binary), "hello", "--listen", "127.0.0.1:0"}
}

func containerWorkload(name, agent, binary string) *argosyv1.Workload {
	return &argosyv1.Workload{
		Name: name, Agent: agent, Runtime: "podman",
		RuntimeConfig: fmt.Sprintf("image: %s\ncommandOptions: [--net=none]\ncommandArgs: ['%s']\n", image, strings.Join(containerCommand(binary), "', '")),
	}
}

// measurePodman measures apply to Running against create and start through the
// same socket, in turns.
func measurePodman(ctx context.Context, s *suite) error {
	podman, err := s.startPodman(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = podman.Stop(context.WithoutCancel(ctx)) }()
	dir, clean, err := s.dir("podman")
	if err != nil {
		return err
	}
	defer clean()
	c, err := cluster.New(cluster.Config{Binary: s.config.Binary, Dir: dir, Agents: 1, Runtimes: []string{"podman"}, PodmanSocket: podman.URL()})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.Start(ctx); err != nil {
		return err
	}
	cl, err := c.Client(client.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = cl.Close() }()
	raw := newRawPodman(podman.URL())
	var ours, plain sample
	for n := range s.times(20) {
		took, err := raw.createAndStart(ctx, fmt.Sprintf("raw-%d", n), containerCommand(s.config.Binary))
		if err != nil {
			return err
		}
		plain = append(plain, took)
		if took, err = applyToRunning(ctx, cl, containerWorkload(fmt.Sprintf("ours-%d", n), c.Agents[0].Name, s.config.Binary)); err != nil {
			return err
		}
		ours = append(ours, took)
	}
	s.add(fmt.Sprintf("podman workload, image present, apply to Running, p50 of %d", len(ours)), milliseconds(ours.at(0.5)), "ms", nil)
	s.add("podman create and start through the same socket, p50", milliseconds(plain.at(0.5)), "ms", nil)
	s.add("the former against the latter", ours.at(0.5).Seconds()/plain.at(0.5).Seconds(), "times", atMost(1.15))
	return nil
}

// applyToRunning applies a workload, waits until it runs, and removes it again.
func applyToRunning(ctx context.Context, cl *client.Client, w *argosyv1.Workload) (time.Duration, error) {
	took, err := applyUntil(ctx, cl, w, runs)
	if err != nil {
		return 0, err
	}
	_, err = cl.Delete(ctx, &argosyv1.DeleteRequest{Names: []string{w.GetName()}})
	return took, err
}

func runs(state *argosyv1.WorkloadState) bool {
	return state.GetExecution().GetState() == argosyv1.State_STATE_RUNNING
}

// applyUntil applies a workload and returns how long it takes until it is in a state.
// It is shown the states of before, too.
func applyUntil(ctx context.Context, cl *client.Client, w *argosyv1.Workload, reached func(*argosyv1.WorkloadState) bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	watching := make(chan struct{})
	var end time.Time
	result := make(chan error, 1)
	go func() {
		result <- cl.Watch(ctx, &argosyv1.WatchRequest{OmitDesired: true, Names: []string{w.GetName()}}, func(message *argosyv1.WatchResponse) error {
			if slices.ContainsFunc(message.GetStates(), reached) {
				end = time.Now()
				return client.ErrStop
			}
			if message.GetSnapshotEnd() {
				close(watching)
			}
			return nil
		})
	}()
	select {
	case <-watching:
	case err := <-result:
		return 0, fmt.Errorf("watch %s: %w", w.GetName(), err)
	}
	begin := time.Now()
	if _, err := cl.Apply(ctx, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{w}}); err != nil {
		return 0, err
	}
	if err := <-result; err != nil {
		return 0, fmt.Errorf("wait until %s runs: %w", w.GetName(), err)
	}
	return end.Sub(begin), nil
}

// rawPodman speaks podman's own API, and does nothing that is not needed.
type rawPodman struct{ http *http.Client }

func newRawPodman(url string) *rawPodman {
	path := strings.TrimPrefix(url, "unix://")
	return &rawPodman{&http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}}
}

func (r *rawPodman) call(ctx context.Context, method, path string, body any) error {
	_, err := r.ask(ctx, method, path, body)
	return err
}

// ask returns what podman answers.
func (r *rawPodman) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://podman/v4.0.0/libpod"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := r.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		return nil, fmt.Errorf("podman %s %s: %s: %s", method, path, response.Status, answer)
	}
	return answer, nil
}

// createAndStart returns how long the two calls took, and removes the container.
func (r *rawPodman) createAndStart(ctx context.Context, name string, command []string) (time.Duration, error) {
	begin := time.Now()
	if err := r.create(ctx, name, command); err != nil {
		return 0, err
	}
	if err := r.start(ctx, name); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	return took, r.remove(ctx, name)
}
