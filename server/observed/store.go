package observed

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Store holds the observed state of a cluster on one server, for the life of
// the process.
type Store struct {
	cfg Config
	log *slog.Logger

	mu        sync.RWMutex
	instances map[string]*instance   // by key of the instance name
	workloads map[string][]*instance // by name of the workload; rarely more than one
	agents    map[string]*agent      // by name
	connected int
	position  Position
	ring      ring
	writer    *fence
	wake      chan struct{}
}

type instance struct {
	key   string
	state *argosyv1.WorkloadState // as users see it
}

type agent struct {
	status    *argosyv1.AgentStatus
	instances map[string]*instance
}

// fence is the right to write; it ends when another one is given out.
type fence struct {
	term uint64
	lead bool
	done chan struct{}
}

// New makes an empty store that nobody writes to yet.
func New(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure observed state: %w", err)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Store{
		cfg: cfg, log: log,
		instances: map[string]*instance{},
		workloads: map[string][]*instance{},
		agents:    map[string]*agent{},
	}, nil
}

// Snapshot is the whole observed state at one position.
type Snapshot struct {
	// Position is where the snapshot was taken.
	Position Position
	// States are all states, in no order.
	States []*argosyv1.WorkloadState
	// Agents are all agents, in no order.
	Agents []*argosyv1.AgentStatus
}

// Subscribe returns the whole state and a subscription to every change after
// it.
func (s *Store) Subscribe() (*Snapshot, *Subscription) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	snapshot := &Snapshot{
		Position: s.position,
		States:   make([]*argosyv1.WorkloadState, 0, len(s.instances)),
		Agents:   make([]*argosyv1.AgentStatus, 0, len(s.agents)),
	}
	for _, i := range s.instances {
		snapshot.States = append(snapshot.States, i.state)
	}
	for _, a := range s.agents {
		snapshot.Agents = append(snapshot.Agents, a.status)
	}
	return snapshot, &Subscription{store: s, after: s.ring.last}
}

// Agent returns the status of one agent.
func (s *Store) Agent(name string) (*argosyv1.AgentStatus, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.agents[name]
	if !ok {
		return nil, false
	}
	return a.status, true
}

// Agents returns the statuses of all agents, by name.
func (s *Store) Agents() []*argosyv1.AgentStatus {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*argosyv1.AgentStatus, 0, len(s.agents))
	for _, a := range s.agents {
		all = append(all, a.status)
	}
	slices.SortFunc(all, func(a, b *argosyv1.AgentStatus) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all
}

// Connected returns how many agents are connected.
func (s *Store) Connected() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.connected
}

// Reported returns the states that agents reported of the instances of a
// workload, without anything made up for instances that nobody spoke of.
func (s *Store) Reported(workload string) []*argosyv1.WorkloadState {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.reportedLocked(workload)
}

func (s *Store) reportedLocked(workload string) []*argosyv1.WorkloadState {
	var states []*argosyv1.WorkloadState
	for _, i := range s.workloads[workload] {
		states = append(states, i.state)
	}
	slices.SortFunc(states, byInstance)
	return states
}

// On returns whether an agent is connected, and the states of the instances that
// it is known to have, by workload and id.
func (s *Store) On(agent string) (connected bool, states []*argosyv1.WorkloadState) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.agents[agent]
	if !ok {
		return false, nil
	}
	states = make([]*argosyv1.WorkloadState, 0, len(a.instances))
	for _, i := range a.instances {
		states = append(states, i.state)
	}
	slices.SortFunc(states, byInstance)
	return a.status.GetConnected(), states
}

// Elsewhere returns an agent other than the named one that has an instance of a
// workload.
func (s *Store) Elsewhere(workload, agent string) (string, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, i := range s.workloads[workload] {
		if other := i.state.GetInstance().GetAgent(); other != agent {
			return other, true
		}
	}
	return "", false
}

// Has tells whether an agent spoke of an instance.
func (s *Store) Has(instanceKey string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.instances[instanceKey]
	return ok
}

// byInstance orders states by workload, then agent, then id.
func byInstance(a, b *argosyv1.WorkloadState) int {
	x, y := a.GetInstance(), b.GetInstance()
	return cmp.Or(
		strings.Compare(x.GetWorkload(), y.GetWorkload()),
		strings.Compare(x.GetAgent(), y.GetAgent()),
		strings.Compare(x.GetId(), y.GetId()),
	)
}

// takeLocked makes next the only writer.
func (s *Store) takeLocked(next *fence) {
	if s.writer != nil {
		close(s.writer.done)
	}
	s.writer = next
}

// put sets a state as users see it, and notes the change unless it is none.
func (s *Store) put(b *Batch, key string, state *argosyv1.WorkloadState) {
	if known, ok := s.instances[key]; ok {
		if sameExecution(known.state.GetExecution(), state.GetExecution()) {
			return
		}
		known.state = state
		b.States = append(b.States, state)
		return
	}
	i := &instance{key: key, state: state}
	s.instances[key] = i
	workload := state.GetInstance().GetWorkload()
	s.workloads[workload] = append(s.workloads[workload], i)
	s.agentOf(state.GetInstance().GetAgent()).instances[key] = i
	b.States = append(b.States, state)
}

// drop forgets an instance and notes that it is gone.
func (s *Store) drop(b *Batch, i *instance) {
	name := i.state.GetInstance()
	delete(s.instances, i.key)
	rest := slices.DeleteFunc(s.workloads[name.GetWorkload()], func(other *instance) bool { return other == i })
	if len(rest) == 0 {
		delete(s.workloads, name.GetWorkload())
	} else {
		s.workloads[name.GetWorkload()] = rest
	}
	if a, ok := s.agents[name.GetAgent()]; ok {
		delete(a.instances, i.key)
	}
	b.States = append(b.States, removed(name))
}

// agentOf returns the record of an agent and makes it when there is none: then
// nobody has heard of it.
func (s *Store) agentOf(name string) *agent {
	a, ok := s.agents[name]
	if !ok {
		a = &agent{status: &argosyv1.AgentStatus{Name: name, Unheard: true}, instances: map[string]*instance{}}
		s.agents[name] = a
	}
	return a
}

// setAgent sets the status of an agent and notes the change.
func (s *Store) setAgent(b *Batch, status *argosyv1.AgentStatus) {
	a := s.agentOf(status.GetName())
	if a.status.GetConnected() != status.GetConnected() {
		if status.GetConnected() {
			s.connected++
		} else {
			s.connected--
		}
	}
	a.status = status
	b.Agents = append(b.Agents, status)
}

// setAgentIfNew is setAgent for a status that may be the one already known.
func (s *Store) setAgentIfNew(b *Batch, status *argosyv1.AgentStatus) {
	if a, ok := s.agents[status.GetName()]; !ok || !proto.Equal(a.status, status) {
		s.setAgent(b, status)
	}
}

// removeAgent forgets an agent and all its instances.
func (s *Store) removeAgent(b *Batch, name string) {
	a, ok := s.agents[name]
	if !ok {
		return
	}
	for _, i := range a.instances {
		s.drop(b, i)
	}
	if a.status.GetConnected() {
		s.connected--
	}
	delete(s.agents, name)
	b.RemovedAgents = append(b.RemovedAgents, name)
}

func removed(name *argosyv1.InstanceName) *argosyv1.WorkloadState {
	return &argosyv1.WorkloadState{
		Instance:  name,
		Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_REMOVED},
	}
}

func sameExecution(a, b *argosyv1.ExecutionState) bool {
	return a.GetState() == b.GetState() &&
		a.GetSubstate() == b.GetSubstate() &&
		a.GetAdditionalInfo() == b.GetAdditionalInfo() &&
		a.GetExitCode() == b.GetExitCode() &&
		a.GetRestarts() == b.GetRestarts() &&
		a.GetStartedUnixNanos() == b.GetStartedUnixNanos() &&
		a.GetRuntimeId() == b.GetRuntimeId() &&
		a.GetReason().GetCode() == b.GetReason().GetCode() &&
		maps.Equal(a.GetReason().GetArguments(), b.GetReason().GetArguments())
}
