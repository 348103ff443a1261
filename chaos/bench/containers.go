package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/wait"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// measureContainers measures an agent with podman against podman itself: an update,
// many containers at once, and a hundred workloads at rest.
func measureContainers(ctx context.Context, s *suite) error {
	podman, err := s.startPodman(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = podman.Stop(context.WithoutCancel(ctx)) }()
	dir, clean, err := s.dir("containers")
	if err != nil {
		return err
	}
	defer clean()
	c, err := cluster.New(cluster.Config{
		Binary: s.config.Binary, Dir: dir, Agents: 2, Runtimes: []string{"podman", "process"}, PodmanSocket: podman.URL(),
	})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.Start(ctx); err != nil {
		return err
	}
	cl, err := c.Client(client.Config{Timeout: time.Minute})
	if err != nil {
		return err
	}
	defer func() { _ = cl.Close() }()
	m := &containers{suite: s, cluster: c, client: cl, raw: newRawPodman(podman.URL())}
	return errors.Join(m.updates(ctx), m.many(ctx), m.atRest(ctx))
}

// containers is one run of the measurement.
type containers struct {
	suite   *suite
	cluster *cluster.Cluster
	client  *client.Client
	raw     *rawPodman
}

// settled is how long a container is left alone before it is stopped: a program that
// has not come to handle signals yet would not end by one.
const settled = 500 * time.Millisecond

// updates measures an update of a container against stop and start of another, in
// turns: how long it takes, and how long nothing of it runs.
func (m *containers) updates(ctx context.Context) error {
	binary := m.suite.config.Binary
	if err := m.raw.create(ctx, "plain", containerCommand(binary)); err != nil {
		return err
	}
	if err := m.raw.start(ctx, "plain"); err != nil {
		return err
	}
	if _, err := m.client.Apply(ctx, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{m.changed("first")}}); err != nil {
		return err
	}
	if err := waitRunning(ctx, m.client, 1); err != nil {
		return err
	}
	var ours, oursGap, plain, plainGap sample
	for n := range m.suite.times(40) {
		if err := wait.For(ctx, settled); err != nil {
			return err
		}
		began := time.Now()
		if err := errors.Join(m.raw.stop(ctx, "plain"), m.raw.start(ctx, "plain")); err != nil {
			return err
		}
		plain = append(plain, time.Since(began))
		gap, err := m.raw.gap(ctx, began)
		if err != nil {
			return err
		}
		plainGap = append(plainGap, gap)
		if err := wait.For(ctx, settled); err != nil {
			return err
		}
		began = time.Now()
		took, err := m.update(ctx, m.changed(fmt.Sprint(n)))
		if err != nil {
			return err
		}
		ours = append(ours, took)
		if gap, err = m.raw.gap(ctx, began); err != nil {
			return err
		}
		oursGap = append(oursGap, gap)
	}
	m.suite.add(fmt.Sprintf("update of a container, apply to Running, p50 of %d", len(ours)), milliseconds(ours.at(0.5)), "ms", nil)
	m.suite.add("podman stop and start through the same socket, p50", milliseconds(plain.at(0.5)), "ms", nil)
	m.suite.add("the former against the latter", ours.at(0.5).Seconds()/plain.at(0.5).Seconds(), "times", atMost(1))
	m.suite.add("update of a container, from the end of the old to the start of the new, p50", milliseconds(oursGap.at(0.5)), "ms", nil)
	m.suite.add("podman stop and start, from the end to the start, p50", milliseconds(plainGap.at(0.5)), "ms", nil)
	m.suite.add("the former against the latter", oursGap.at(0.5).Seconds()/plainGap.at(0.5).Seconds(), "times", nil)
	return errors.Join(m.remove(ctx, []*argosyv1.Workload{m.changed("")}), m.raw.remove(ctx, "plain"))
}

// changed is a workload that differs by a text.
func (m *containers) changed(text string) *argosyv1.Workload {
	w := containerWorkload("updated", m.cluster.Agents[0].Name, m.suite.config.Binary)
	w.RuntimeConfig = strings.Replace(w.RuntimeConfig, "[--net=none]", "[--net=none, '--env=CHANGED="+text+"']", 1)
	return w
}

// update changes a workload that runs and waits until its new instance runs.
func (m *containers) update(ctx context.Context, w *argosyv1.Workload) (time.Duration, error) {
	var old string
	return applyUntil(ctx, m.client, w, func(state *argosyv1.WorkloadState) bool {
		key := state.GetInstance().Key()
		if runs(state) && old == "" {
			old = key
		}
		return runs(state) && key != old
	})
}

// startsAtOnce is how many containers an agent with two cores starts at once.
const startsAtOnce = 4

// many measures 20 containers in one apply against the same by podman's API alone.
func (m *containers) many(ctx context.Context) error {
	count := 20
	if m.suite.config.Quick {
		count = 5
	}
	binary := m.suite.config.Binary
	var ours, plain sample
	for range m.suite.times(10) {
		var names []string
		for n := range count {
			names = append(names, fmt.Sprintf("plain-%d", n))
		}
		began := time.Now()
		if err := m.each(names, func(name string) error {
			if err := m.raw.create(ctx, name, containerCommand(binary)); err != nil {
				return err
			}
			return m.raw.start(ctx, name)
		}); err != nil {
			return err
		}
		plain = append(plain, time.Since(began))
		if err := m.each(names, func(name string) error { return m.raw.remove(ctx, name) }); err != nil {
			return err
		}
		request := &argosyv1.ApplyRequest{}
		for n := range count {
			request.Workloads = append(request.Workloads, containerWorkload(fmt.Sprintf("many-%d", n), m.cluster.Agents[0].Name, binary))
		}
		began = time.Now()
		if _, err := m.client.Apply(ctx, request); err != nil {
			return err
		}
		if err := waitRunning(ctx, m.client, count); err != nil {
			return err
		}
		ours = append(ours, time.Since(began))
		if err := m.remove(ctx, request.GetWorkloads()); err != nil {
			return err
		}
	}
	m.suite.add(fmt.Sprintf("%d containers in one apply on one agent, to all Running, p50 of %d", count, len(ours)), milliseconds(ours.at(0.5)), "ms", nil)
	m.suite.add(fmt.Sprintf("podman create and start of %d through the same socket, %d at once, p50", count, startsAtOnce), milliseconds(plain.at(0.5)), "ms", nil)
	m.suite.add("the former against the latter", ours.at(0.5).Seconds()/plain.at(0.5).Seconds(), "times", atMost(1.3))
	return nil
}

// each does something for every name, a few at once.
func (m *containers) each(names []string, do func(name string) error) error {
	var group errgroup.Group
	group.SetLimit(startsAtOnce)
	for _, name := range names {
		group.Go(func() error { return do(name) })
	}
	return group.Wait()
}

// remove deletes workloads and waits until nothing of them is left.
func (m *containers) remove(ctx context.Context, workloads []*argosyv1.Workload) error {
	var names []string
	for _, w := range workloads {
		names = append(names, w.GetName())
	}
	if _, err := m.client.Delete(ctx, &argosyv1.DeleteRequest{Names: names}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		state, err := m.client.GetState(ctx, &argosyv1.GetStateRequest{Names: names})
		if err != nil || len(state.GetStates()) == 0 {
			return err
		}
		if err := wait.For(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("wait until %d instances are gone: %w", len(state.GetStates()), err)
		}
	}
}

// atRest measures what an agent with a hundred workloads uses, and all below it.
func (m *containers) atRest(ctx context.Context) error {
	count := 100
	if m.suite.config.Quick {
		count = 10
	}
	for i, runtime := range []string{"process", "podman"} {
		agent := m.cluster.Agents[i]
		request := &argosyv1.ApplyRequest{}
		for n := range count {
			w := containerWorkload(fmt.Sprintf("rest-%d", n), agent.Name, m.suite.config.Binary)
			if runtime == "process" {
				w.Runtime, w.RuntimeConfig = runtime, "command: /bin/sleep\nargs: ['86400']\n"
			}
			request.Workloads = append(request.Workloads, w)
		}
		if _, err := m.client.Apply(ctx, request); err != nil {
			return err
		}
		if err := waitRunning(ctx, m.client, count); err != nil {
			return err
		}
		if err := wait.For(ctx, m.suite.seconds(10)); err != nil {
			return err
		}
		length := m.suite.seconds(60)
		before, err := agentUsage(agent)
		if err != nil {
			return err
		}
		if err := wait.For(ctx, length); err != nil {
			return err
		}
		after, err := agentUsage(agent)
		if err != nil {
			return err
		}
		m.suite.add(fmt.Sprintf("agent with its children, %d %s workloads at rest, CPU", count, runtime), 100*(after-before)/length.Seconds(), "% of a core", atMost(1))
		if err := m.remove(ctx, request.GetWorkloads()); err != nil {
			return err
		}
	}
	return nil
}

// agentUsage is the CPU time of an agent, its keeper and all below them, in seconds.
func agentUsage(p *cluster.Process) (float64, error) { return withKeeper(p, familyUsage) }

func (r *rawPodman) create(ctx context.Context, name string, command []string) error {
	return r.call(ctx, http.MethodPost, "/containers/create", map[string]any{
		"name": name, "image": image, "command": command, "netns": map[string]string{"nsmode": "none"},
	})
}

func (r *rawPodman) start(ctx context.Context, name string) error {
	return r.call(ctx, http.MethodPost, "/containers/"+name+"/start", nil)
}

func (r *rawPodman) stop(ctx context.Context, name string) error {
	return r.call(ctx, http.MethodPost, "/containers/"+name+"/stop", nil)
}

func (r *rawPodman) remove(ctx context.Context, name string) error {
	return r.call(ctx, http.MethodDelete, "/containers/"+name+"?force=true&timeout=0", nil)
}

// gap returns how long no container ran since a time, by podman's own events.
func (r *rawPodman) gap(ctx context.Context, since time.Time) (time.Duration, error) {
	query := url.Values{"stream": {"false"}, "since": {strconv.FormatInt(since.Unix(), 10)}, "filters": {`{"type":["container"]}`}}
	text, err := r.ask(ctx, http.MethodGet, "/events?"+query.Encode(), nil)
	if err != nil {
		return 0, err
	}
	var ended, started time.Time
	for events := json.NewDecoder(bytes.NewReader(text)); ; {
		var e struct {
			Action   string
			TimeNano int64 `json:"timeNano"`
		}
		if err := events.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, fmt.Errorf("read events of podman: %w", err)
		}
		switch at := time.Unix(0, e.TimeNano); {
		case at.Before(since):
		case e.Action == "died":
			ended = at
		case e.Action == "start":
			started = at
		}
	}
	if ended.IsZero() || started.Before(ended) {
		return 0, fmt.Errorf("podman tells of an end at %v and a start at %v, want one after the other", ended, started)
	}
	return started.Sub(ended), nil
}
