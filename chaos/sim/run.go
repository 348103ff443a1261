package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/evidence"
	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/traffic"
	"github.com/argosy-cluster/argosy/chaos/wait"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// ErrHung is returned when a bubble came to no end: something in it waits for what
// never comes, or was left behind.
var ErrHung = errors.New("the bubble came to no end")

// Config says what to simulate.
type Config struct {
	// Plan is what happens. Required; see MakePlan.
	Plan *plan.Plan
	// Dir is where a directory is made for the files of the servers and agents,
	// which is removed in the end. Default: a file system in memory where there is
	// one.
	Dir string
	// Log hears what the processes log. Default: nobody.
	Log slog.Handler
	// Stuck is called with the stacks of all goroutines in the bubble when no time
	// has passed in it for StuckAfter of real time: most likely somebody waits for a
	// lock which is held by one that waits for time. The bubble cannot be left then,
	// only the process ended. Default: nobody is told.
	Stuck func(stacks string)

	record *history.Recorder
	// passed counts while time passes in the bubble.
	passed *atomic.Int64
}

// StuckAfter is how long no time may pass in a bubble.
const StuckAfter = 2 * time.Minute

// Result is what became of a simulation.
type Result struct {
	// History is everything that was recorded.
	History *history.History
	// Counts is how much traffic there was.
	Counts traffic.Counts
	// Faults that were done, by kind.
	Faults map[string]int64
	// Virtual is how much time passed in the bubble, Real how much outside.
	Virtual, Real time.Duration

	// dirs are the data directories of the servers.
	dirs []evidence.Process
}

// Run simulates. The error is about the simulation itself, or a process that ended
// by itself; the history is there all the same if there was one.
func Run(cfg Config) (result *Result, err error) {
	if err := cfg.Plan.Validate(); err != nil {
		return nil, err
	}
	for _, step := range cfg.Plan.Steps {
		if _, ok := strikes[step.Fault]; !ok {
			return nil, fmt.Errorf("simulate plan: step %d: %w: %s cannot be simulated", step.N, fault.ErrUnavailable, step.Fault)
		}
	}
	files, err := newScratch(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	defer func() { err = errors.Join(err, files.remove()) }()
	cfg.Dir = files.dir
	if cfg.Log == nil {
		cfg.Log = slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1})
	}
	began := time.Now()
	cfg.passed = new(atomic.Int64)
	cfg.record = history.InMemory(history.Meta{
		Seed: cfg.Plan.Seed, Profile: cfg.Plan.Profile, Simulated: true, Settings: settings(cfg.Plan.Settings),
		Promised: promised(cfg.Plan),
	})
	result = &Result{}
	if err = cfg.enclose(result); err == nil {
		err = readReplicas(cfg.record, result.dirs)
	}
	cfg.record.Update(func(m *history.Meta) {
		if err != nil {
			m.Error = err.Error()
		}
	})
	h, closing := cfg.record.Close()
	result.History, result.Real = h, time.Since(began)
	return result, errors.Join(err, closing)
}

// promised is what there must be in the history of a plan.
func promised(p *plan.Plan) []string {
	kinds := []string{history.KindSights, history.KindLeaderships, history.KindLines, history.KindReplicas}
	if p.Settings.OldLevel > 0 {
		kinds = append(kinds, history.KindLevels)
	}
	if p.Settings.Agents > 0 {
		kinds = append(kinds, history.KindLooks)
		if p.Load.Probes > 0 {
			kinds = append(kinds, history.KindBeats)
		}
	}
	return kinds
}

// enclose simulates in a bubble of its own.
func (c *Config) enclose(result *Result) (err error) {
	defer c.guard()()
	defer func() {
		if cause := recover(); cause != nil {
			stacks := make([]byte, 8<<20)
			left := inBubble(string(stacks[:runtime.Stack(stacks, true)]))
			if !forgotten(fmt.Sprint(cause), left) {
				err = fmt.Errorf("simulate seed %d: %w: %v\n%s", c.Plan.Seed, ErrHung, cause, left)
			}
		}
	}()
	// A bubble belongs to a test. This one is of none.
	testing.Init()
	synctest.Test(new(testing.T), func(*testing.T) { err = simulate(c, result) })
	return err
}

// readReplicas records what the servers had in the end.
func readReplicas(record *history.Recorder, dirs []evidence.Process) error {
	replicas, err := evidence.Replicas(context.Background(), dirs)
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	for _, replica := range replicas {
		record.Replica(replica)
	}
	return nil
}

// guard looks from outside whether time passes in the bubble, until the result is
// called.
func (c *Config) guard() (stop func()) {
	if c.Stuck == nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(StuckAfter)
		defer ticker.Stop()
		last := int64(-1)
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			now := c.passed.Load()
			if now == last {
				stacks := make([]byte, 8<<20)
				c.Stuck(inBubble(string(stacks[:runtime.Stack(stacks, true)])))
			}
			last = now
		}
	}()
	return func() { close(done) }
}

// inBubble keeps the stacks of goroutines in a bubble.
func inBubble(stacks string) string {
	var kept []string
	for _, stack := range strings.Split(stacks, "\n\n") {
		if head, _, _ := strings.Cut(stack, "\n"); strings.Contains(head, "synctest bubble") {
			kept = append(kept, stack)
		}
	}
	return strings.Join(kept, "\n\n")
}

// Times of a simulation, before those of its plan and after.
const (
	startLimit  = 5 * time.Minute
	settleLimit = 30 * time.Minute
	afterglow   = 2 * time.Minute
	lookEvery   = 2 * time.Second
	// calm is for how long it is looked at what has come to rest, stretched as the
	// cluster's times are.
	calm = 12 * time.Second
)

// simulate runs in the bubble.
func simulate(cfg *Config, result *Result) error {
	began, record := time.Now(), cfg.record
	w := newWorld(cfg.Plan, cfg.Dir, cfg.Log, record)
	s := newStage(record, w.clock)
	record.Update(func(m *history.Meta) { m.Began = w.clock() })
	ctx, cancel := context.WithCancel(context.Background())
	var along sync.WaitGroup
	along.Go(func() { s.run(ctx, func() { cfg.passed.Add(1) }) })
	w.start(s)
	var err error
	result.Counts, result.Faults, err = w.try(ctx, &along)
	cancel()
	along.Wait()
	s.beat()
	w.stop()
	// What was asked for and given up waits for its time to run out; what is there
	// after that was left behind, and ends the bubble with an error.
	time.Sleep(afterglow)
	record.Update(func(m *history.Meta) { m.Ended = w.clock() })
	for _, r := range w.servers {
		result.dirs = append(result.dirs, evidence.Process{Name: r.name, DataDir: r.dir})
	}
	result.Virtual = time.Since(began)
	return errors.Join(err, w.failed())
}

// settings are those of the plan, for people and for those who judge.
func settings(s plan.Settings) map[string]string {
	return map[string]string{
		check.SettingTiming: strconv.FormatFloat(s.TimingMultiplier, 'g', -1, 64),
		"servers":           strconv.Itoa(s.Servers), "agents": strconv.Itoa(s.Agents),
		"snapshot_threshold": strconv.FormatUint(s.SnapshotThreshold, 10), "log_store": s.LogStore,
	}
}

// try lets the clients come, does what the plan says, and lets everything come to
// rest again.
func (w *world) try(ctx context.Context, along *sync.WaitGroup) (counts traffic.Counts, faults map[string]int64, err error) {
	cl, err := w.connect()
	if err != nil {
		return counts, nil, err
	}
	defer cl.Close()
	limit, cancel := context.WithTimeout(ctx, startLimit)
	err = w.level(limit, cl)
	cancel()
	if err != nil {
		return counts, nil, err
	}
	load, err := traffic.Start(ctx, w.traffic())
	if err != nil {
		return counts, nil, err
	}
	defer load.Stop()
	along.Go(func() { w.look(ctx, load.Probes()) })
	_ = wait.For(ctx, w.pace(2*time.Second))
	faults = w.carryOut(ctx)
	w.record.Update(func(m *history.Meta) { m.Quiet = w.clock() })
	limit, cancel = context.WithTimeout(ctx, settleLimit)
	defer cancel()
	if err = w.level(limit, cl); err == nil {
		err = load.Settle(limit)
	}
	if err == nil {
		err = w.level(limit, cl)
	}
	_ = wait.For(limit, w.pace(calm))
	load.Stop()
	return load.Counts(), faults, err
}

// traffic is what the clients do.
func (w *world) traffic() traffic.Config {
	cfg := traffic.Config{
		Connect: w.connect, Load: w.plan.Load, Rand: rand.New(rand.NewPCG(w.plan.Seed, 4)), Recorder: w.record, Clock: w.clock,
		Patience: w.pace(time.Second),
		Probe: func(workload, agent, value string) *argosyv1.Workload {
			return &argosyv1.Workload{
				Name: workload, Agent: agent, Runtime: runtimeName, RuntimeConfig: "command: probe\nargs: [--value, " + value + "]\n",
				RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
			}
		},
	}
	for _, r := range w.servers {
		cfg.Servers = append(cfg.Servers, traffic.Server{Name: r.name, Endpoint: r.endpoint()})
	}
	for _, n := range w.agents {
		cfg.Agents = append(cfg.Agents, n.name)
	}
	return cfg
}

// look records how far the agents are, over and over.
func (w *world) look(ctx context.Context, probes []string) {
	cl, err := w.connect()
	if err != nil {
		w.fail(err)
		return
	}
	defer cl.Close()
	for wait.For(ctx, lookEvery) == nil {
		limit, cancel := context.WithTimeout(ctx, w.pace(time.Second))
		state, err := cl.GetState(limit, &argosyv1.GetStateRequest{OmitStates: true, Names: probes})
		cancel()
		if err != nil {
			continue
		}
		// An agent is told, and says, nothing of what changes for others.
		wanted := map[string]uint64{}
		for _, workload := range state.GetWorkloads() {
			wanted[workload.GetAgent()] = max(wanted[workload.GetAgent()], workload.GetRevision())
		}
		for _, agent := range state.GetAgentStatuses() {
			w.record.Look(history.Look{
				Agent: agent.GetName(), At: w.clock(), Connected: agent.GetConnected(),
				Converged: agent.GetConvergedRevision(), Wanted: wanted[agent.GetName()],
			})
		}
	}
}

// carryOut does all faults of the plan, each at its time, and returns how many it
// did of each kind when all are healed.
func (w *world) carryOut(ctx context.Context) map[string]int64 {
	began := time.Now()
	done := map[string]int64{}
	var mu sync.Mutex
	var steps sync.WaitGroup
	for _, step := range w.plan.Steps {
		if wait.For(ctx, time.Until(began.Add(step.At()))) != nil {
			break
		}
		steps.Go(func() {
			if w.carry(ctx, step) {
				mu.Lock()
				defer mu.Unlock()
				done[string(step.Fault)]++
			}
		})
	}
	steps.Wait()
	w.returns.Wait()
	return done
}

// carry does one fault and heals it.
func (w *world) carry(ctx context.Context, step plan.Step) bool {
	kind, _ := fault.Of(step.Fault)
	f := history.Fault{Step: step.N, Kind: string(step.Fault), Changes: kind.Changes, Begun: w.clock()}
	if leader := w.leader(); leader != nil {
		f.Leader = leader.name
	}
	losses, whole := w.ledger.Losses(), w.ledger.Quorum()
	e, err := strikes[step.Fault](ctx, w, step, rand.New(rand.NewPCG(w.plan.Seed, step.Choice)))
	if err != nil {
		f.Error = err.Error()
		f.Skipped = errors.Is(err, fault.ErrBudget) || errors.Is(err, fault.ErrNoTarget)
		if !f.Skipped {
			w.fail(fmt.Errorf("step %d, %s: %w", step.N, step.Fault, err))
		}
		w.record.Fault(f)
		return false
	}
	f.Targets, f.Detail, f.Struck = e.targets, e.detail, w.clock()
	whole = whole && w.ledger.Quorum()
	_ = wait.For(ctx, step.For())
	f.Healing = w.clock()
	f.Quorum = whole && w.ledger.Losses() == losses
	if e.heal != nil {
		if err := e.heal(ctx); err != nil {
			f.Error = err.Error()
			w.fail(fmt.Errorf("heal step %d, %s: %w", step.N, step.Fault, err))
			w.record.Fault(f)
			return true
		}
	}
	f.Healed = w.clock()
	w.record.Fault(f)
	return true
}
