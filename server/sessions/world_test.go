package sessions

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server and what it works with, on a clock of its own: it runs in a
// bubble of synctest, where time passes only when all wait for it.
type world struct {
	incarnation string
	t           testing.TB
	machine     *fsm.Machine
	store       *observed.Store
	service     *Service
	index       uint64
	names       func() ([]string, bool)
	mu          sync.Mutex
	leader      string // address of another leader
	term        uint64
	self        bool
	changed     chan struct{}
	records     []string // agents that were registered
	refuse      error    // of registering
	stopLead    func()
	errors      strings.Builder // what was logged as an error
}

// inWorld runs a test in a bubble.
func inWorld(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, newWorld(t, DefaultConfig()))
		synctest.Wait()
	})
}

func newWorld(t testing.TB, cfg Config) *world {
	t.Helper()
	machine, err := fsm.New(fsm.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, machine: machine, changed: make(chan struct{}, 1), names: func() ([]string, bool) { return nil, false }}
	w.boot(cfg)
	return w
}

// boot makes the server anew, with an empty memory and the state it had.
func (w *world) boot(cfg Config) {
	w.t.Helper()
	var err error
	if w.store, err = observed.New(observed.DefaultConfig()); err != nil {
		w.t.Fatal(err)
	}
	w.service, err = New(Deps{
		ServerID:    "server-1",
		ClusterID:   func() string { return "cluster-1" },
		Incarnation: func() string { return w.incarnation },
		Store:       w.store,
		Machine:     w.machine,
		Directory:   w,
		Logger:      slog.New(slog.NewTextHandler(&w.errors, &slog.HandlerOptions{Level: slog.LevelError})),
		PeerNames:   func(context.Context) ([]string, bool) { return w.names() },
	}, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) Leader() (string, uint64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leader, w.term, w.self
}
func (w *world) Watch() (<-chan struct{}, func()) { return w.changed, func() {} }
func (w *world) Servers() []string                { return []string{"s1:1", "s2:1"} }

// follow makes another server the leader, as this one knows it.
func (w *world) follow(address string, term uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leader, w.term, w.self = address, term, false
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// lead makes this server the leader until stop is called or the test ends.
func (w *world) lead(term uint64) {
	w.t.Helper()
	w.mu.Lock()
	w.leader, w.term, w.self = "s1:1", term, true
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	returned := make(chan error, 1)
	_, published := w.service.current()
	go func() { returned <- w.service.Lead(ctx, Leadership{Term: term, Registrar: w}) }()
	select {
	case <-published:
	case err := <-returned:
		w.t.Fatal(err)
	}
	w.stopLead = sync.OnceFunc(func() {
		cancel()
		if err := <-returned; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(w.stopLead)
}

// failOver makes this server the leader of the next term, as if it had been a
// follower with a mirror of the leader before.
func (w *world) failOver() {
	w.t.Helper()
	w.stopLead()
	w.lead(w.term + 1)
}

// mirror returns what makes this server the leader of the next term, with a mirror
// that is as it would be now.
func (w *world) mirror() (failOver func()) {
	w.t.Helper()
	snapshot, _ := w.store.Subscribe()
	return func() {
		w.t.Helper()
		w.stopLead()
		w.boot(DefaultConfig())
		mirror, err := w.store.Copy(w.term)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := mirror.ApplyMirror(&argosyv1.MirrorResponse{Term: w.term, Sequence: 1, Full: true, States: snapshot.States, Agents: snapshot.Agents}); err != nil {
			w.t.Fatal(err)
		}
		w.lead(w.term + 1)
	}
}

// startAgain makes this server the leader after all servers were started again:
// nobody has a mirror.
func (w *world) startAgain() {
	w.t.Helper()
	w.stopLead()
	w.boot(DefaultConfig())
	w.lead(9)
}

func (w *world) RegisterAgent(_ context.Context, agent *argosyv1.Agent) error {
	if w.refuse != nil {
		return w.refuse
	}
	w.mu.Lock()
	w.records = append(w.records, agent.GetName())
	w.mu.Unlock()
	record := w.record(agent.GetName())
	record.Name, record.Tags, record.Returns = agent.GetName(), agent.GetTags(), agent.GetReturns()
	w.apply(put(argosyv1.RowKind_ROW_KIND_AGENT, agent.GetName(), "", record))
	return nil
}

// record returns the durable record of an agent, an empty one when there is none.
func (w *world) record(agent string) *argosyv1.Agent {
	row, ok := w.machine.View().Agent(agent)
	if !ok {
		return &argosyv1.Agent{}
	}
	record := &argosyv1.Agent{}
	if err := proto.Unmarshal(row.Value, record); err != nil {
		w.t.Fatal(err)
	}
	return record
}

func (w *world) NoteOwing(_ context.Context, owing map[string]*argosyv1.Owing) error {
	if w.refuse != nil {
		return w.refuse
	}
	var mutations []*argosyv1.Mutation
	for _, name := range slices.Sorted(maps.Keys(owing)) {
		if record := w.record(name); record.GetName() != "" {
			record.Owing = owing[name]
			mutations = append(mutations, put(argosyv1.RowKind_ROW_KIND_AGENT, name, "", record))
		}
	}
	w.apply(mutations...)
	return nil
}

func put(kind argosyv1.RowKind, key, group string, value proto.Message) *argosyv1.Mutation {
	raw, err := proto.Marshal(value)
	if err != nil {
		panic(err) // a message of the test itself
	}
	return &argosyv1.Mutation{Kind: &argosyv1.Mutation_Put{Put: &argosyv1.PutRow{Kind: kind, Key: key, Group: group, Value: raw}}}
}

// apply commits one entry.
func (w *world) apply(mutations ...*argosyv1.Mutation) {
	w.t.Helper()
	entry := &argosyv1.Entry{Mutations: mutations}
	if result := w.result(mutations); len(result.GetChanges()) > 0 {
		raw, err := proto.Marshal(result)
		if err != nil {
			w.t.Fatal(err)
		}
		entry.Outcomes = []*argosyv1.Outcome{{RequestId: fmt.Appendf(nil, "request%9d", w.index), Result: raw}}
	}
	raw, err := proto.Marshal(entry)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index++
	if err, failed := w.machine.Apply(&raft.Log{Index: w.index, Term: 1, Type: raft.LogCommand, Data: raw}).(error); failed {
		w.t.Fatal(err)
	}
}

// result is what the writer would answer to whoever asked for these changes.
func (w *world) result(mutations []*argosyv1.Mutation) *argosyv1.WriteResult {
	result := &argosyv1.WriteResult{}
	for _, m := range mutations {
		kind, name := m.GetPut().GetKind(), m.GetPut().GetKey()
		if m.GetDelete() != nil {
			kind, name = m.GetDelete().GetKind(), m.GetDelete().GetKey()
		}
		if kind != argosyv1.RowKind_ROW_KIND_WORKLOAD {
			continue
		}
		before, existed := w.machine.View().Workload(name)
		change := &argosyv1.WorkloadChange{Name: name, Kind: argosyv1.ChangeKind_CHANGE_KIND_CREATED, Agent: m.GetPut().GetGroup()}
		switch {
		case m.GetDelete() != nil && existed:
			change.Kind, change.Agent = argosyv1.ChangeKind_CHANGE_KIND_DELETED, before.Group
		case existed:
			if change.Kind = argosyv1.ChangeKind_CHANGE_KIND_UPDATED; before.Group != change.Agent {
				change.PreviousAgent = before.Group
			}
		}
		result.Changes = append(result.Changes, change)
	}
	return result
}

// forget lets the outcomes of all requests be forgotten, as they are in time.
func (w *world) forget() {
	w.t.Helper()
	w.apply(&argosyv1.Mutation{Kind: &argosyv1.Mutation_ExpireOutcomes{ExpireOutcomes: &argosyv1.ExpireOutcomes{UpToRevision: w.machine.View().Revision()}}})
	w.settle()
}

// fail gives the machine an entry that it cannot know.
func (w *world) fail() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index++
	err, _ := w.machine.Apply(&raft.Log{Index: w.index, Term: 1, Type: raft.LogCommand, Data: []byte("\xff")}).(error)
	return err
}

// workload makes the mutation that writes "name@agent" or "name@agent=config".
func workload(text string) *argosyv1.Mutation {
	name, rest, _ := strings.Cut(text, "@")
	agent, config, _ := strings.Cut(rest, "=")
	return put(argosyv1.RowKind_ROW_KIND_WORKLOAD, name, agent,
		&argosyv1.Workload{Name: name, Agent: agent, Runtime: "process", RuntimeConfig: config})
}

// want writes desired workloads, each "name@agent" or "name@agent=config".
func (w *world) want(workloads ...string) {
	w.t.Helper()
	var mutations []*argosyv1.Mutation
	for _, text := range workloads {
		mutations = append(mutations, w.judged(workload(text)))
	}
	w.apply(mutations...)
	w.settle()
}

// judged marks a workload as the writer does.
func (w *world) judged(m *argosyv1.Mutation) *argosyv1.Mutation {
	put := m.GetPut()
	_, exists := w.machine.View().Workload(put.GetKey())
	if !exists && w.service.MayBeElsewhere(put.GetKey(), put.GetGroup(), w.machine.View().LastWorkloadRevision()) {
		put.Value = argosyv1.MarkDisplacing(put.GetValue())
	}
	return m
}

func (w *world) drop(kind argosyv1.RowKind, keys ...string) {
	w.t.Helper()
	var mutations []*argosyv1.Mutation
	for _, key := range keys {
		mutations = append(mutations, &argosyv1.Mutation{Kind: &argosyv1.Mutation_Delete{Delete: &argosyv1.DeleteRow{Kind: kind, Key: key}}})
	}
	w.apply(mutations...)
	w.settle()
}

func (w *world) delete(workloads ...string) { w.drop(argosyv1.RowKind_ROW_KIND_WORKLOAD, workloads...) }

// settle waits until everything has been done that can be done now.
func (w *world) settle() { synctest.Wait() }

func (w *world) pass(d time.Duration) {
	time.Sleep(d) // the bubble's clock
	synctest.Wait()
}

// shows checks what users see, each "workload.agent State(Substate)".
func (w *world) shows(what string, want ...string) {
	w.t.Helper()
	view := w.machine.View()
	states := w.store.States(func(yield func(*argosyv1.Workload) bool) {
		for row := range view.Workloads() {
			if one, err := row.Workload(); err != nil || !yield(one) {
				return
			}
		}
	})
	var got []string
	for _, s := range states {
		got = append(got, s.GetInstance().GetWorkload()+"@"+s.GetInstance().GetAgent()+" "+s.GetExecution().Text())
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: users see\n      %s\nwant: %s", what, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

func (w *world) connected(agent string) bool {
	status, ok := w.store.Agent(agent)
	return ok && status.GetConnected()
}

// agent is one agent process, as the server sees it: it holds what it was told
// and reports only when the test has it report.
type agent struct {
	t          testing.TB
	w          *world
	name       string
	instanceID string
	bootID     string
	homeID     string
	address    string
	clusterID  string
	tags       map[string]string

	mu       sync.Mutex
	term     uint64
	revision uint64
	held     map[string]*argosyv1.Workload
	staged   []*argosyv1.Assignments
	// neighbours are the states of other workloads, and dependents those who depend
	// on its own, as it was told.
	neighbours map[string]string
	dependents map[string]string
	// wanted are the instances that the neighbours ask for, as it was told.
	wanted   map[string]string
	awaited  []string
	learning bool

	stream *stream
}

func (w *world) agent(name string) *agent {
	return &agent{
		t: w.t, w: w, name: name, instanceID: "process-" + name, bootID: "machine-" + name, homeID: "home-" + name, address: name + ":1",
		held: map[string]*argosyv1.Workload{}, neighbours: map[string]string{}, dependents: map[string]string{}, wanted: map[string]string{},
	}
}

// again is another process of the same name.
func (a *agent) again(instanceID, bootID, homeID string) *agent {
	other := a.w.agent(a.name)
	other.instanceID, other.bootID, other.homeID, other.address = instanceID, bootID, homeID, instanceID+":1"
	return other
}

// stream is a session's stream without a network below it.
type stream struct {
	grpc.ServerStream
	agent  *agent
	ctx    context.Context
	cancel context.CancelFunc
	up     chan *argosyv1.AgentMessage
	block  chan struct{} // while not nil, messages are not taken until it is closed

	mu       sync.Mutex
	received []*argosyv1.ServerMessage
	err      error
	ended    bool
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) Recv() (*argosyv1.AgentMessage, error) {
	select {
	case m, ok := <-s.up:
		if !ok {
			return nil, io.EOF
		}
		return m, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

func (s *stream) Send(m *argosyv1.ServerMessage) error {
	s.mu.Lock()
	block := s.block
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-s.ctx.Done():
		}
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	s.mu.Lock()
	s.received = append(s.received, m)
	s.mu.Unlock()
	s.agent.take(m)
	return nil
}

// open begins a session without waiting for the answer.
func (a *agent) open(change ...func(*argosyv1.AgentHello)) {
	a.t.Helper()
	a.mu.Lock()
	hello := &argosyv1.AgentHello{
		Name: a.name, Protocol: argosyv1.SupportedProtocol(), Version: "test", ClusterId: a.clusterID, Tags: a.tags,
		BootId: a.bootID, HomeId: a.homeID, InstanceId: a.instanceID, AssignmentRevision: a.revision, Term: a.term,
		AssignmentHash: argosyv1.AssignmentHash(slices.Collect(maps.Values(a.held))),
		Abilities:      argosyv1.Abilities, Awaited: a.awaited,
	}
	a.staged = nil
	a.mu.Unlock()
	for _, c := range change {
		c(hello)
	}
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: address(a.address)})
	s := &stream{agent: a, up: make(chan *argosyv1.AgentMessage, 16)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	a.stream = s
	s.up <- &argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Hello{Hello: hello}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := a.w.service.Session(s)
		s.mu.Lock()
		s.err, s.ended = err, true
		s.mu.Unlock()
		s.cancel()
	}()
	a.t.Cleanup(func() { s.cancel(); <-done })
}

type address string

func (a address) Network() string { return "test" }
func (a address) String() string  { return string(a) }

var _ net.Addr = address("")

// connect begins a session that is accepted.
func (a *agent) connect() {
	a.t.Helper()
	a.open()
	a.w.settle()
	if a.welcome() == nil {
		a.t.Fatalf("agent %s was not welcomed: %v", a.name, a.stream.err)
	}
}

// refused begins a session that is not accepted and returns why.
func (a *agent) refused(change ...func(*argosyv1.AgentHello)) error {
	a.t.Helper()
	a.open(change...)
	a.w.settle()
	if a.welcome() != nil {
		a.t.Errorf("agent %s was welcomed", a.name)
		return nil
	}
	return a.ended()
}

// ended returns how the call ended; it has to have.
func (a *agent) ended() error {
	a.t.Helper()
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	if !a.stream.ended {
		a.t.Errorf("the session of agent %s has not ended", a.name)
	}
	return a.stream.err
}

func (a *agent) alive() bool {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	return !a.stream.ended
}

// lose breaks the stream.
func (a *agent) lose() { a.stream.cancel(); a.w.settle() }

func (a *agent) messages() []*argosyv1.ServerMessage {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	return slices.Clone(a.stream.received)
}

func (a *agent) welcome() *argosyv1.Welcome {
	if all := a.messages(); len(all) > 0 {
		return all[0].GetWelcome()
	}
	return nil
}

func (a *agent) redirect() *argosyv1.Redirect {
	if all := a.messages(); len(all) > 0 {
		return all[0].GetRedirect()
	}
	return nil
}

// take does what an agent does with what it is told.
func (a *agent) take(m *argosyv1.ServerMessage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := m.GetWelcome(); w != nil {
		a.clusterID, a.term = w.GetClusterId(), w.GetTerm()
	}
	if news := m.GetNeighbours(); news != nil {
		a.learn(news)
	}
	part := m.GetAssignments()
	if part == nil {
		return
	}
	a.staged = append(a.staged, part)
	if part.GetPartial() {
		return
	}
	if part.GetTerm() < a.term || part.GetTerm() == a.term && part.GetRevision() < a.revision {
		a.t.Errorf("agent %s at revision %d was sent assignments of revision %d, term %d", a.name, a.revision, part.GetRevision(), part.GetTerm())
	}
	before := maps.Clone(a.held)
	if part.GetFull() {
		clear(a.held)
	}
	for _, p := range a.staged {
		for _, one := range p.GetUpserts() {
			a.held[one.GetName()] = one
			for name := range one.GetDependencies() {
				if _, known := a.neighbours[name]; !known {
					a.t.Errorf("agent %s was sent %s before it was told of %s", a.name, one.GetName(), name)
				}
			}
		}
		for _, name := range p.GetRemovals() {
			if _, ok := a.held[name]; !ok {
				a.t.Errorf("agent %s was told to remove %s, which it does not hold", a.name, name)
			}
			delete(a.held, name)
		}
	}
	// An agent forgets who depends on what it is not to run any more.
	maps.DeleteFunc(a.dependents, func(name, _ string) bool { return before[name] != nil && a.held[name] == nil })
	a.staged, a.revision = nil, part.GetRevision()
}

// learn does what an agent does with what it is told of neighbours.
func (a *agent) learn(m *argosyv1.Neighbours) {
	if m.GetFull() && !a.learning {
		clear(a.neighbours)
		clear(a.wanted)
		clear(a.dependents)
	}
	a.learning = m.GetPartial()
	for _, name := range m.GetForgotten() {
		delete(a.neighbours, name)
		delete(a.wanted, name)
	}
	for _, w := range m.GetWorkloads() {
		var states []string
		for _, s := range w.GetStates() {
			states = append(states, s.GetInstance().GetAgent()+" "+s.GetExecution().Text())
		}
		a.neighbours[w.GetName()] = strings.Join(states, ", ")
		a.wanted[w.GetName()] = w.GetWanted()
	}
	for _, d := range m.GetDependents() {
		if a.dependents[d.GetName()] = strings.Join(d.GetDependents(), ", "); len(d.GetDependents()) == 0 {
			delete(a.dependents, d.GetName())
		}
	}
}

// knows checks what the agent was told of the states of others, and of which
// instances they ask for; dependsOn, who depends on its own.
func (a *agent) knows(what string, want map[string]string) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !maps.Equal(a.neighbours, want) {
		a.t.Errorf("%s: agent %s knows %.500s, want %.500s", what, a.name, fmt.Sprint(a.neighbours), fmt.Sprint(want))
	}
	for name, wanted := range a.wanted {
		asked := ""
		if row, exists := a.w.machine.View().Workload(name); exists && row.Group != "" {
			if one, err := row.Workload(); err != nil {
				a.t.Fatal(err)
			} else {
				asked = argosyv1.InstanceOf(one).Key()
			}
		}
		if wanted != asked {
			a.t.Errorf("%s: agent %s was told that %s asks for %q, it asks for %q", what, a.name, name, wanted, asked)
		}
	}
}

func (a *agent) dependsOn(what string, want map[string]string) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.dependents, func(name, _ string) bool { return a.held[name] == nil })
	if !maps.Equal(a.dependents, want) {
		a.t.Errorf("%s: agent %s was told of dependents %v, want %v", what, a.name, a.dependents, want)
	}
}

// lacks checks what the agent was not told to run.
func (a *agent) lacks(what string, names ...string) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range names {
		if a.held[name] != nil {
			a.t.Errorf("%s: agent %s holds %s", what, a.name, name)
		}
	}
}

// holds checks what the agent was told to run.
func (a *agent) holds(what string, want ...string) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if got := slices.Sorted(maps.Keys(a.held)); !slices.Equal(got, want) {
		a.t.Errorf("%s: agent %s holds %v, want %v", what, a.name, got, want)
	}
}

// firstAssignments returns the first assignments of this session.
func (a *agent) firstAssignments() *argosyv1.Assignments {
	for _, m := range a.messages() {
		if m.GetAssignments() != nil {
			return m.GetAssignments()
		}
	}
	return nil
}

// assignments counts the messages with assignments of this session.
func (a *agent) assignments() (count int) {
	for _, m := range a.messages() {
		if m.GetAssignments() != nil {
			count++
		}
	}
	return count
}

func (a *agent) send(m *argosyv1.AgentMessage) {
	a.t.Helper()
	select {
	case a.stream.up <- m:
	case <-a.stream.ctx.Done():
	}
	a.w.settle()
}

var (
	runningOK = &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK}
	finished  = &argosyv1.ExecutionState{State: argosyv1.State_STATE_SUCCEEDED, Substate: argosyv1.Substate_SUBSTATE_SUCCEEDED_OK}
	stopping  = &argosyv1.ExecutionState{State: argosyv1.State_STATE_STOPPING, Substate: argosyv1.Substate_SUBSTATE_STOPPING_REQUESTED_AT_RUNTIME}
	removed   = &argosyv1.ExecutionState{State: argosyv1.State_STATE_REMOVED}
)

func (a *agent) state(name, config string, e *argosyv1.ExecutionState) *argosyv1.WorkloadState {
	return &argosyv1.WorkloadState{Instance: &argosyv1.InstanceName{Workload: name, Agent: a.name, Id: argosyv1.InstanceID(config)}, Execution: e}
}

// report reports states of workloads, each "name" or "name=config".
func (a *agent) report(full bool, e *argosyv1.ExecutionState, workloads ...string) {
	a.t.Helper()
	r := &argosyv1.StateReport{Full: full}
	for _, text := range workloads {
		name, config, _ := strings.Cut(text, "=")
		r.States = append(r.States, a.state(name, config, e))
	}
	a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_States{States: r}})
}

// runs reports in full that these run.
func (a *agent) runs(workloads ...string) { a.t.Helper(); a.report(true, runningOK, workloads...) }

func (a *agent) beat() {
	a.t.Helper()
	a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Heartbeat{Heartbeat: &argosyv1.Heartbeat{}}})
}

func (a *agent) goodbye() {
	a.t.Helper()
	a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Goodbye{Goodbye: &argosyv1.Goodbye{}}})
}

func code(t testing.TB, err error, want argosyv1.ErrorCode, mention ...string) {
	t.Helper()
	if got := argosyv1.CodeOf(err); got != want {
		t.Errorf("error %v has code %s, want %s", err, got, want)
		return
	}
	for _, text := range mention {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not mention %q", err, text)
		}
	}
}

func names(prefix, agent string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%05d@%s=x", prefix, i, agent)
	}
	return all
}
