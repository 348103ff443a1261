package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// perConfig is how many workloads use the same config.
const perConfig = 5

// measureManifests measures what it costs to change one of many workloads that
// have templates and dependencies, and to change a config that many use.
func measureManifests(ctx context.Context, s *suite) error {
	p, err := s.startPlain(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	c, err := p.cluster.Client(client.Config{Timeout: time.Minute})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	took := map[int]sample{}
	for _, size := range []int{100, 5_000, 10_000} {
		if err := applyTemplated(ctx, c, size); err != nil {
			return err
		}
		if took[size], err = changeOne(ctx, c, size, s.times(200)); err != nil {
			return err
		}
	}
	s.add("change of one of 5,000 workloads with 1,000 configs and 3 dependencies each, to its acknowledgement, p50", milliseconds(took[5_000].at(0.5)), "ms", atMost(20))
	s.add("the same with 100 workloads, p50", milliseconds(took[100].at(0.5)), "ms", nil)
	s.add("the same with 10,000 workloads, p50", milliseconds(took[10_000].at(0.5)), "ms", nil)
	s.add("the latter against the former", took[10_000].at(0.5).Seconds()/took[100].at(0.5).Seconds(), "times", atMost(1.5))
	return errors.Join(s.measureRendering(ctx, c), s.measureCycles(ctx, c))
}

// applyTemplated makes the workloads up to a number of which each uses one config
// and depends on three others.
func applyTemplated(ctx context.Context, c *client.Client, size int) error {
	request := &argosyv1.ApplyRequest{}
	for n := range size / perConfig {
		request.Configs = append(request.Configs, textConfig(fmt.Sprintf("config-%d", n), "first"))
	}
	for n := range size {
		request.Workloads = append(request.Workloads, templated(n, size, "first"))
	}
	_, err := c.Apply(ctx, request)
	return err
}

func textConfig(key, text string) *argosyv1.Config {
	return &argosyv1.Config{Key: key, Value: &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: text}}}
}

func templated(n, size int, salt string) *argosyv1.Workload {
	w := &argosyv1.Workload{
		Name: fmt.Sprintf("w-%d", n), Runtime: "process",
		RuntimeConfig: fmt.Sprintf("command: /bin/echo\nargs: ['{{value}}', '%d', '%s']\n", n, salt),
		Configs:       map[string]string{"value": fmt.Sprintf("config-%d", n%(size/perConfig))},
		Dependencies:  map[string]argosyv1.DependencyCondition{},
	}
	for _, on := range []int{n - 1, n / 2, n / 3} {
		if on >= 0 && on < n {
			w.Dependencies[fmt.Sprintf("w-%d", on)] = argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING
		}
	}
	return w
}

func changeOne(ctx context.Context, c *client.Client, size, times int) (sample, error) {
	var took sample
	for n := range times {
		request := &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{templated(n*7919%size, size, strconv.Itoa(n))}}
		begin := time.Now()
		if _, err := c.Apply(ctx, request); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}

// measureRendering changes a config that a thousand workloads use.
func (s *suite) measureRendering(ctx context.Context, c *client.Client) error {
	const users = 1_000
	request := &argosyv1.ApplyRequest{Configs: []*argosyv1.Config{textConfig("shared", "first")}}
	for n := range users {
		request.Workloads = append(request.Workloads, &argosyv1.Workload{
			Name: fmt.Sprintf("r-%d", n), Runtime: "process", RuntimeConfig: "command: /bin/echo\nargs: ['{{value}}']\n",
			Configs: map[string]string{"value": "shared"},
		})
	}
	if _, err := c.Apply(ctx, request); err != nil {
		return err
	}
	var took sample
	for n := range s.times(20) {
		begin := time.Now()
		response, err := c.Apply(ctx, &argosyv1.ApplyRequest{Configs: []*argosyv1.Config{textConfig("shared", strconv.Itoa(n))}})
		if err != nil {
			return err
		}
		took = append(took, time.Since(begin))
		if got := len(response.GetResult().GetRendered()); got != users {
			return fmt.Errorf("a changed config rendered %d workloads, want %d", got, users)
		}
	}
	s.add("change of a config that renders 1,000 workloads, to its acknowledgement, p50", milliseconds(took.at(0.5)), "ms", atMost(500))
	return nil
}

// measureCycles measures how long it takes until a cycle is found and refused: ten
// times as many workloads in it may cost ten times as much, and some.
func (s *suite) measureCycles(ctx context.Context, c *client.Client) error {
	var took [2]sample
	for i, size := range []int{1_000, 10_000} {
		link := func(n, on int) *argosyv1.Workload {
			return &argosyv1.Workload{
				Name: fmt.Sprintf("chain-%d-%d", size, n), Runtime: "process", RuntimeConfig: "command: /bin/echo\n",
				Dependencies: map[string]argosyv1.DependencyCondition{fmt.Sprintf("chain-%d-%d", size, on): argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING},
			}
		}
		request := &argosyv1.ApplyRequest{}
		for n := range size {
			request.Workloads = append(request.Workloads, link(n, n+1))
		}
		if _, err := c.Apply(ctx, request); err != nil {
			return err
		}
		for range s.times(50) {
			begin := time.Now()
			_, err := c.Apply(ctx, &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{link(size, 0)}})
			if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID {
				return fmt.Errorf("a cycle of %d workloads was not refused: %w", size, err)
			}
			took[i] = append(took[i], time.Since(begin))
		}
	}
	s.add("refusal of a cycle of 10,000 workloads, p50", milliseconds(took[1].at(0.5)), "ms", nil)
	s.add("the same of 1,000, p50", milliseconds(took[0].at(0.5)), "ms", nil)
	s.add("the former against the latter, of ten times as many", took[1].at(0.5).Seconds()/took[0].at(0.5).Seconds(), "times", atMost(12))
	return nil
}

// measureSight measures how soon somebody who watches a follower sees what an
// agent does and what becomes of a workload.
func measureSight(ctx context.Context, s *suite) error {
	dir, clean, err := s.dir("sight")
	if err != nil {
		return err
	}
	defer clean()
	c, err := cluster.New(cluster.Config{Binary: s.config.Binary, Dir: dir, Agents: 2})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.Start(ctx); err != nil {
		return err
	}
	writer, err := c.Client(client.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = writer.Close() }()
	watcher, stop, err := watchFollower(ctx, c)
	if err != nil {
		return err
	}
	defer stop()
	var taken, ended sample
	for n := range s.times(50) {
		name := fmt.Sprintf("seen-%d", n)
		request := &argosyv1.ApplyRequest{Workloads: []*argosyv1.Workload{{
			Name: name, Agent: c.Agents[n%len(c.Agents)].Name, Runtime: "process", RuntimeConfig: "command: /bin/sleep\nargs: ['86400']\n",
		}}}
		begin := time.Now()
		if _, err := writer.Apply(ctx, request); err != nil {
			return err
		}
		if _, err := watcher.next(ctx, name, argosyv1.State_STATE_PENDING); err != nil {
			return err
		}
		taken = append(taken, time.Since(begin))
		running, err := watcher.next(ctx, name, argosyv1.State_STATE_RUNNING)
		if err != nil {
			return err
		}
		pid, err := strconv.Atoi(running.GetExecution().GetRuntimeId())
		if err != nil {
			return fmt.Errorf("the process of workload %s has the id %q, want its pid: %w", name, running.GetExecution().GetRuntimeId(), err)
		}
		begin = time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill process %d of workload %s: %w", pid, name, err)
		}
		if _, err := watcher.next(ctx, name, argosyv1.State_STATE_FAILED); err != nil {
			return err
		}
		ended = append(ended, time.Since(begin))
	}
	s.add("apply of one workload until its agent's first word of it is seen on a follower, p50", milliseconds(taken.at(0.5)), "ms", atMost(20))
	s.add("end of a process until it is seen on a follower, p50", milliseconds(ended.at(0.5)), "ms", atMost(50))
	return nil
}

// sightings are the states that a watch on one server has shown.
type sightings struct {
	states chan *argosyv1.WorkloadState
	failed chan error
}

// watchFollower watches observed state on a server that does not lead.
func watchFollower(ctx context.Context, c *cluster.Cluster) (*sightings, func(), error) {
	leader, err := c.Leader(ctx)
	if err != nil {
		return nil, nil, err
	}
	var follower *cluster.Process
	for _, server := range c.Servers {
		if server != leader {
			follower = server
		}
	}
	reader, err := c.Client(client.Config{Endpoints: []string{follower.Endpoint()}})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	seen := &sightings{states: make(chan *argosyv1.WorkloadState, 1024), failed: make(chan error, 1)}
	done, ready := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		begun := false
		seen.failed <- reader.Watch(ctx, &argosyv1.WatchRequest{OmitDesired: true, OmitAgents: true}, func(m *argosyv1.WatchResponse) error {
			for _, state := range m.GetStates() {
				select {
				case seen.states <- state:
				case <-ctx.Done():
				}
			}
			if m.GetSnapshotEnd() && !begun {
				begun = true
				close(ready)
			}
			return nil
		})
	}()
	stop := func() {
		cancel()
		<-done
		_ = reader.Close()
	}
	select {
	case <-ready:
		return seen, stop, nil
	case err := <-seen.failed:
		stop()
		return nil, nil, fmt.Errorf("watch a follower: %w", err)
	}
}

// next waits until a workload is seen in a state that its agent has given.
func (s *sightings) next(ctx context.Context, workload string, want argosyv1.State) (*argosyv1.WorkloadState, error) {
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for {
		select {
		case state := <-s.states:
			e := state.GetExecution()
			if state.GetInstance().GetWorkload() == workload && e.GetState() == want && e.GetSubstate() != argosyv1.Substate_SUBSTATE_PENDING_INITIAL {
				return state, nil
			}
		case err := <-s.failed:
			return nil, fmt.Errorf("watch a follower: %w", err)
		case <-limit.C:
			return nil, fmt.Errorf("workload %s was not seen in state %s on a follower within 10 s", workload, want.Name())
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
