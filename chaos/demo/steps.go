package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/wait"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// servicePort is where the demonstration's service listens, on its agent's own
// loopback address.
const servicePort = "8080"

// jobName is the workload that ends by itself, once.
const jobName = "job"

func (s *stage) serviceAddress() string {
	return s.cluster.Agents[0].Host + ":" + servicePort
}

// workloads are what the demonstration runs.
func (s *stage) workloads() []*argosyv1.Workload {
	serve := fmt.Sprintf("command: %s\nargs: [hello, --listen, '%s']\n", s.config.Binary, s.serviceAddress())
	service := &argosyv1.Workload{
		Name: "hello", Agent: s.cluster.Agents[0].Name, Runtime: "process", RuntimeConfig: serve,
		RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
	}
	if s.podman != nil {
		service.Runtime = "podman"
		service.RuntimeConfig = fmt.Sprintf("image: %s\ncommandOptions: [--net=host]\ncommandArgs: [/bin/%s, hello, --listen, '%s']\n",
			image, filepath.Base(s.config.Binary), s.serviceAddress())
	}
	return []*argosyv1.Workload{
		service,
		{
			Name: "ticker", Agent: s.cluster.Agents[1].Name, Runtime: "process",
			RuntimeConfig: "command: /bin/sh\nargs: [-c, 'n=0; while :; do n=$((n+1)); echo tick $n; sleep 1; done']\n",
			RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
		},
		{
			Name: jobName, Agent: s.cluster.Agents[1].Name, Runtime: "process",
			RuntimeConfig: fmt.Sprintf("command: /bin/sh\nargs: [-c, 'echo done once >> %s']\n", s.jobFile()),
		},
	}
}

func (s *stage) jobFile() string { return filepath.Join(s.config.Dir, "job.txt") }

func (s *stage) applyManifest(ctx context.Context, step *step) error {
	workloads := s.workloads()
	begin := time.Now()
	if _, err := s.client.Apply(ctx, &argosyv1.ApplyRequest{Workloads: workloads}); err != nil {
		return err
	}
	accepted := time.Since(begin)
	settled, err := s.settled(ctx, workloads)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	for _, w := range workloads {
		state := settled[w.GetName()]
		step.note("%-8s %-9s on %s: %s", w.GetName(), w.GetRuntime(), w.GetAgent(), state.GetExecution().Text())
	}
	step.check(settled[jobName].GetExecution().GetState() == argosyv1.State_STATE_SUCCEEDED, "the job ran to its end")
	step.note("accepted by a majority after %s, all there after %s", round(accepted), round(took))
	return s.request(ctx)
}

// settled waits until every workload runs, and the job has succeeded.
func (s *stage) settled(ctx context.Context, workloads []*argosyv1.Workload) (map[string]*argosyv1.WorkloadState, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	states := map[string]*argosyv1.WorkloadState{}
	err := s.client.Watch(ctx, &argosyv1.WatchRequest{OmitDesired: true}, func(message *argosyv1.WatchResponse) error {
		for _, state := range message.GetStates() {
			states[state.GetInstance().GetWorkload()] = state
		}
		for _, w := range workloads {
			execution := states[w.GetName()].GetExecution()
			switch execution.GetState() {
			case argosyv1.State_STATE_RUNNING:
				if w.GetName() == jobName {
					return nil
				}
			case argosyv1.State_STATE_SUCCEEDED:
			case argosyv1.State_STATE_FAILED:
				return fmt.Errorf("workload %s: %s %s", w.GetName(), execution.Text(), execution.GetAdditionalInfo())
			default:
				if execution.GetSubstate() == argosyv1.Substate_SUBSTATE_PENDING_STARTING_FAILED {
					return fmt.Errorf("workload %s: %s %s", w.GetName(), execution.Text(), execution.GetAdditionalInfo())
				}
				return nil
			}
		}
		return client.ErrStop
	})
	return states, err
}

// request asks the service once; a new one may need a moment to listen.
func (s *stage) request(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ask(ctx, s.serviceAddress())
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("ask the service: %w", err)
		}
	}
}

func ask(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	return nil
}

func (s *stage) killLeader(ctx context.Context, step *step) error {
	before, err := s.instances(ctx)
	if err != nil {
		return err
	}
	load := startLoad(ctx, s)
	if err := wait.For(ctx, s.config.Load); err != nil {
		return errors.Join(err, load.stop())
	}
	leader, err := s.cluster.Leader(ctx)
	if err != nil {
		return errors.Join(err, load.stop())
	}
	killed := time.Now()
	if err := leader.Kill(); err != nil {
		return errors.Join(err, load.stop())
	}
	if err := wait.For(ctx, s.config.Load); err != nil {
		return errors.Join(err, load.stop())
	}
	if err := load.stop(); err != nil {
		return err
	}
	acknowledgedBefore, acknowledgedAfter, outage := load.outage(killed)
	step.note("killed %s, the leader", leader.Name)
	step.check(acknowledgedAfter > 0, "writes go on: the longest pause after the kill was %s", round(outage))
	lost, err := load.lost(ctx)
	if err != nil {
		return err
	}
	step.check(lost == 0, "writes acknowledged before the kill %d, after it %d, lost %d", acknowledgedBefore, acknowledgedAfter, lost)
	step.check(load.requestsFailed.Load() == 0, "requests to the workload %d, failed %d", load.requests.Load(), load.requestsFailed.Load())
	after, err := s.instances(ctx)
	if err != nil {
		return err
	}
	restarts := countRestarts(before, after)
	step.check(restarts == 0, "restarts of workloads %d", restarts)
	return s.checkJob(step)
}

func (s *stage) restartServer(ctx context.Context, step *step) error {
	var down *cluster.Process
	for _, p := range s.cluster.Servers {
		if !p.Running() {
			down = p
		}
	}
	if down == nil {
		return errors.New("all servers run")
	}
	begin := time.Now()
	if err := down.Start(); err != nil {
		return err
	}
	err := s.cluster.WaitLevel(ctx)
	if err != nil && !errors.Is(err, cluster.ErrDiverged) {
		return err
	}
	step.check(err == nil, "%s is back and has caught up after %s; all three have the same state", down.Name, round(time.Since(begin)))
	return nil
}

func (s *stage) killAgent(ctx context.Context, step *step) error {
	before, err := s.instances(ctx)
	if err != nil {
		return err
	}
	agent := s.cluster.Agents[0]
	if err := agent.Kill(); err != nil {
		return err
	}
	err = ask(ctx, s.serviceAddress())
	step.check(err == nil, "the service answers while its agent is dead")
	if err := agent.Start(); err != nil {
		return err
	}
	if err := s.cluster.WaitReady(ctx); err != nil {
		return err
	}
	if _, err := s.settled(ctx, s.workloads()); err != nil {
		return err
	}
	after, err := s.instances(ctx)
	if err != nil {
		return err
	}
	restarts := countRestarts(before, after)
	step.check(restarts == 0, "the agent is back and took over what ran: restarts of workloads %d", restarts)
	return nil
}

// instances returns the runtime id of every instance of the demonstration's own
// workloads.
func (s *stage) instances(ctx context.Context) (map[string]*argosyv1.ExecutionState, error) {
	state, err := s.client.GetState(ctx, &argosyv1.GetStateRequest{Names: []string{"hello", "ticker", jobName}})
	if err != nil {
		return nil, err
	}
	instances := map[string]*argosyv1.ExecutionState{}
	for _, s := range state.GetStates() {
		instances[s.GetInstance().Key()] = s.GetExecution()
	}
	return instances, nil
}

// checkJob looks at what the job has written: a line for each time it ran.
func (s *stage) checkJob(step *step) error {
	text, err := os.ReadFile(s.jobFile())
	if err != nil {
		return fmt.Errorf("read what the job wrote: %w", err)
	}
	runs := strings.Count(string(text), "\n")
	step.check(runs == 1, "the job that had finished ran %d time", runs)
	return nil
}

// countRestarts counts the instances that are not the same container or process
// as before.
func countRestarts(before, after map[string]*argosyv1.ExecutionState) int {
	restarts := 0
	for key, old := range before {
		now, ok := after[key]
		if !ok || now.GetRuntimeId() != old.GetRuntimeId() || now.GetStartedUnixNanos() != old.GetStartedUnixNanos() || now.GetRestarts() != old.GetRestarts() {
			restarts++
		}
	}
	return restarts
}

// counter counts over goroutines.
type counter = atomic.Int64
