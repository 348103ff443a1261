package sim

import (
	"context"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest/fake"
	"github.com/argosy-cluster/argosy/chaos/history"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// runtimeName is the name of the runtime that agents offer.
const runtimeName = "process"

// beatEvery is how often what runs says so.
const beatEvery = 5 * time.Second

// stage is what all machines share: it knows what runs anywhere, as a lock file on
// a shared disk would.
type stage struct {
	record *history.Recorder
	clock  history.Clock

	mu      sync.Mutex
	pids    int
	running map[string]*actor // by workload
}

// actor is what pretends to be the process of an instance.
type actor struct {
	beat history.Beat
}

func newStage(record *history.Recorder, clock history.Clock) *stage {
	return &stage{record: record, clock: clock, running: map[string]*actor{}}
}

func (s *stage) say(b history.Beat, what string) {
	b.What, b.At = what, s.clock()
	s.record.Beat(b)
}

// enter begins a process; nil when another one of its workload is on stage.
func (s *stage) enter(w *argosyv1.Workload) *actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := argosyv1.InstanceOf(w)
	s.pids++
	a := &actor{history.Beat{
		Workload: w.GetName(), Instance: name.GetId(), Agent: name.GetAgent(),
		Value: history.Value(w.GetRuntimeConfig()), PID: s.pids,
	}}
	if s.running[w.GetName()] != nil {
		s.say(a.beat, history.BeatClash)
		return nil
	}
	s.running[w.GetName()] = a
	s.say(a.beat, history.BeatStart)
	return a
}

// leave ends a process, told to do so or not.
func (s *stage) leave(a *actor, told bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[a.beat.Workload] != a {
		return
	}
	delete(s.running, a.beat.Workload)
	if told {
		s.say(a.beat, history.BeatStop)
	}
}

// run gives signs of life for all until the context ends, and calls passed each
// time.
func (s *stage) run(ctx context.Context, passed func()) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.beat()
			passed()
		}
	}
}

func (s *stage) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.running {
		s.say(a.beat, history.BeatOn)
	}
}

// machine is where an agent's workloads run; they outlive the agent.
type machine struct {
	*fake.Runtime
	stage *stage

	mu     sync.Mutex
	actors map[string]*actor // by instance
}

func newMachine(s *stage) *machine {
	return &machine{Runtime: fake.New(runtimeName), stage: s, actors: map[string]*actor{}}
}

// Start implements runtime.Starter.
func (m *machine) Start(ctx context.Context, w *argosyv1.Workload, options runtime.StartOptions) (runtime.Instance, error) {
	name := argosyv1.InstanceOf(w)
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, ok := m.Get(name); ok && i.Status == runtime.StatusRunning {
		return i, nil
	}
	i, err := m.Runtime.Start(ctx, w, options)
	if err != nil {
		return i, err
	}
	if a := m.stage.enter(w); a != nil {
		m.actors[name.Key()] = a
		return i, nil
	}
	m.Runtime.Exit(name, 1)
	return i, nil
}

// Remove implements runtime.Starter.
func (m *machine) Remove(ctx context.Context, name *argosyv1.InstanceName) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.Runtime.Remove(ctx, name); err != nil {
		return err
	}
	m.end(name.Key(), true)
	return nil
}

// end takes an instance off the stage. The lock is held.
func (m *machine) end(key string, told bool) {
	if a := m.actors[key]; a != nil {
		m.stage.leave(a, told)
		delete(m.actors, key)
	}
}

// kill ends one workload, number choice of those that run, and returns its name.
func (m *machine) kill(choice uint64) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list, err := m.Runtime.List(context.Background())
	if err != nil {
		return "", false
	}
	var running []runtime.Instance
	for _, i := range list {
		if i.Status == runtime.StatusRunning {
			running = append(running, i)
		}
	}
	if len(running) == 0 {
		return "", false
	}
	victim := running[choice%uint64(len(running))]
	m.Runtime.Exit(victim.Name, 137)
	m.end(victim.Name.Key(), false)
	return victim.Name.GetWorkload(), true
}

// powerOff ends everything that runs.
func (m *machine) powerOff() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, a := range m.actors {
		m.stage.leave(a, false)
		delete(m.actors, key)
	}
	list, _ := m.Runtime.List(context.Background())
	for _, i := range list {
		if i.Status == runtime.StatusRunning {
			m.Runtime.Exit(i.Name, 137)
		}
	}
}

// startTakes is how long it takes to start or remove a workload.
const startTakes = 50 * time.Millisecond

// access is the machine as one life of its agent sees it: what a dead agent asks
// for is not done.
type access struct {
	*machine
	dead <-chan struct{}
}

var (
	_ runtime.Runtime = access{}
	_ runtime.Creator = access{}
)

// work waits as long as it takes to start something.
func (a access) work(ctx context.Context) error {
	timer := time.NewTimer(startTakes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-a.dead:
	}
	select {
	case <-a.dead:
		return runtime.ErrUnavailable
	default:
		return nil
	}
}

// Create implements runtime.Creator.
func (a access) Create(ctx context.Context, w *argosyv1.Workload, options runtime.StartOptions) (runtime.Instance, error) {
	if err := a.work(ctx); err != nil {
		return runtime.Instance{}, err
	}
	return a.machine.Create(ctx, w, options)
}

// Start implements runtime.Starter.
func (a access) Start(ctx context.Context, w *argosyv1.Workload, options runtime.StartOptions) (runtime.Instance, error) {
	if err := a.work(ctx); err != nil {
		return runtime.Instance{}, err
	}
	return a.machine.Start(ctx, w, options)
}

// Remove implements runtime.Starter.
func (a access) Remove(ctx context.Context, name *argosyv1.InstanceName) error {
	if err := a.work(ctx); err != nil {
		return err
	}
	return a.machine.Remove(ctx, name)
}
