package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func putConfig(t *testing.T, key, text string) *argosyv1.Mutation {
	t.Helper()
	value := &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: text}}
	return putRow(t, argosyv1.RowKind_ROW_KIND_CONFIG, key, "", &argosyv1.Config{Key: key, Value: value})
}

func putAgent(t *testing.T, agent *argosyv1.Agent) *argosyv1.Mutation {
	t.Helper()
	return putRow(t, argosyv1.RowKind_ROW_KIND_AGENT, agent.GetName(), "", agent)
}

// templated is a workload that its configs have rendered to an agent.
func templated(name, agent, config string) *argosyv1.Workload {
	return &argosyv1.Workload{
		Name: name, Agent: "{{where}}", Runtime: "process", RuntimeConfig: "{{what}}", Configs: map[string]string{"where": "w", "what": "c"},
		Rendered: &argosyv1.Rendered{Agent: agent, RuntimeConfig: config},
	}
}

func mustGetState(t *testing.T, r *replica, req *argosyv1.GetStateRequest) *argosyv1.GetStateResponse {
	t.Helper()
	stream, err := r.GetState(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	whole := &argosyv1.GetStateResponse{}
	for {
		m, err := stream.Recv()
		if err != nil {
			return whole
		}
		proto.Merge(whole, m)
	}
}

func keysOf(configs []*argosyv1.Config) string {
	var keys []string
	for _, c := range configs {
		keys = append(keys, c.GetKey())
	}
	return strings.Join(keys, " ")
}

func TestConfigsAreReadWithTheirRevisions(t *testing.T) {
	r := mustServe(t, 1<<20)
	first := r.apply(t, putConfig(t, "b", "2"), putConfig(t, "a", "1"))
	second := r.apply(t, putConfig(t, "b", "3"))
	for name, c := range map[string]struct {
		req  *argosyv1.GetStateRequest
		want string
	}{
		"all":       {&argosyv1.GetStateRequest{}, "a b"},
		"by key":    {&argosyv1.GetStateRequest{ConfigKeys: []string{"b", "b", "none"}}, "b"},
		"left out":  {&argosyv1.GetStateRequest{OmitConfigs: true}, ""},
		"alone":     {&argosyv1.GetStateRequest{OmitWorkloads: true, OmitStates: true, OmitAgents: true}, "a b"},
		"and stale": {&argosyv1.GetStateRequest{Consistency: argosyv1.Consistency_CONSISTENCY_STALE}, "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := keysOf(mustGetState(t, r, c.req).GetConfigs()); got != c.want {
				t.Errorf("configs are %q, want %q", got, c.want)
			}
		})
	}
	b := mustGetState(t, r, &argosyv1.GetStateRequest{ConfigKeys: []string{"b"}}).GetConfigs()[0]
	if b.GetCreatedRevision() != first || b.GetRevision() != second || b.GetValue().GetText() != "3" {
		t.Errorf("config is %v", b)
	}
}

func TestManyConfigsComeInMessagesThatFit(t *testing.T) {
	r := mustServe(t, 1<<20)
	var all []*argosyv1.Mutation
	for i := range 40 {
		all = append(all, putConfig(t, fmt.Sprintf("c%02d", i), strings.Repeat("x", 100<<10)))
	}
	r.apply(t, all...)
	stream, err := r.GetState(t.Context(), &argosyv1.GetStateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	messages, configs := 0, 0
	for {
		m, err := stream.Recv()
		if err != nil {
			break
		}
		messages++
		configs += len(m.GetConfigs())
		if size := proto.Size(m); size > 2<<20 {
			t.Errorf("a message has %d bytes", size)
		}
	}
	if configs != 40 || messages < 3 {
		t.Errorf("%d configs in %d messages", configs, messages)
	}
}

func TestATemplateIsReadWhereItIsRenderedTo(t *testing.T) {
	r := mustServe(t, 1<<20)
	r.put(t, templated("w", "a1", "run"))
	id := argosyv1.InstanceID("run")
	got, err := r.GetWorkload(t.Context(), &argosyv1.GetWorkloadRequest{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetWorkload().GetAgent() != "{{where}}" || len(got.GetStates()) != 1 || got.GetStates()[0].GetInstance().Key() != "w."+id+".a1" {
		t.Errorf("it is read as %v", got)
	}
	if on := mustGetState(t, r, &argosyv1.GetStateRequest{Agent: "a1"}); len(on.GetWorkloads()) != 1 || len(on.GetStates()) != 1 {
		t.Errorf("of its agent: %v", on)
	}

	lead, err := r.store.Lead(3)
	if err != nil {
		t.Fatal(err)
	}
	w := mustFollow(t, r, &argosyv1.WatchRequest{Names: []string{"w"}, OmitAgents: true})
	w.next(t)
	r.put(t, templated("w", "a2", "run"))
	w.next(t)
	if got := w.texts(); got != "w."+id+".a2=Pending(Initial)" {
		t.Errorf("rendered to another agent it is shown as %s", got)
	}
	report := func(state argosyv1.State) {
		if _, err := lead.Report("a2", false, []*argosyv1.WorkloadState{{
			Instance:  &argosyv1.InstanceName{Workload: "w", Agent: "a2", Id: id},
			Execution: &argosyv1.ExecutionState{State: state},
		}}); err != nil {
			t.Fatal(err)
		}
		w.next(t)
	}
	report(argosyv1.State_STATE_RUNNING)
	if got := w.texts(); got != "w."+id+".a2=Running" {
		t.Errorf("reported it is shown as %s", got)
	}
	report(argosyv1.State_STATE_REMOVED)
	if got := w.texts(); got != "w."+id+".a2=Pending(Initial)" {
		t.Errorf("dropped by its agent it is shown as %s", got)
	}
}

// follower keeps what a watch has told.
type follower struct {
	stream  grpc.ServerStreamingClient[argosyv1.WatchResponse]
	last    *argosyv1.WatchResponse
	configs map[string]string
	agents  map[string]*argosyv1.Agent
	status  map[string]bool
	states  map[string]string
}

func mustFollow(t *testing.T, r *replica, req *argosyv1.WatchRequest) *follower {
	t.Helper()
	stream, err := r.Watch(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return &follower{stream: stream, configs: map[string]string{}, agents: map[string]*argosyv1.Agent{}, status: map[string]bool{}, states: map[string]string{}}
}

func (f *follower) next(t *testing.T) {
	t.Helper()
	m, err := f.stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if m.GetObservedUnixNanos() == 0 {
		t.Error("a message does not say when its server came to know of it")
	}
	f.last = m
	for _, c := range m.GetConfigs() {
		f.configs[c.GetKey()] = c.GetValue().GetText()
	}
	for _, key := range m.GetDeletedConfigs() {
		delete(f.configs, key)
	}
	for _, a := range m.GetRegisteredAgents() {
		f.agents[a.GetName()] = a
	}
	for _, s := range m.GetAgents() {
		f.status[s.GetName()] = s.GetConnected()
	}
	for _, name := range m.GetRemovedAgents() {
		delete(f.agents, name)
		delete(f.status, name)
	}
	for _, s := range m.GetStates() {
		if f.states[s.GetInstance().Key()] = s.GetExecution().Text(); s.GetExecution().GetState() == argosyv1.State_STATE_REMOVED {
			delete(f.states, s.GetInstance().Key())
		}
	}
}

func (f *follower) texts() string {
	var texts []string
	for _, key := range slices.Sorted(maps.Keys(f.states)) {
		texts = append(texts, key+"="+f.states[key])
	}
	return strings.Join(texts, " ")
}

func TestAWatchTellsOfConfigs(t *testing.T) {
	r := mustServe(t, 1<<20)
	r.apply(t, putConfig(t, "a", "1"), putConfig(t, "b", "1"))
	w := mustFollow(t, r, &argosyv1.WatchRequest{})
	w.next(t)
	if !maps.Equal(w.configs, map[string]string{"a": "1", "b": "1"}) {
		t.Fatalf("it began with %v", w.configs)
	}
	middle := r.apply(t, putConfig(t, "a", "2"))
	last := r.apply(t, dropRow(argosyv1.RowKind_ROW_KIND_CONFIG, "b"), putConfig(t, "c", "1"))
	w.next(t)
	w.next(t)
	if !maps.Equal(w.configs, map[string]string{"a": "2", "c": "1"}) || w.last.GetHeader().GetRevision() != last {
		t.Errorf("it knows %v at revision %d", w.configs, w.last.GetHeader().GetRevision())
	}
	resumed := mustFollow(t, r, &argosyv1.WatchRequest{AfterRevision: middle, OmitObserved: true})
	resumed.next(t)
	if m := resumed.last; m.GetSnapshotBegin() || keysOf(m.GetConfigs()) != "c" || !slices.Equal(m.GetDeletedConfigs(), []string{"b"}) {
		t.Errorf("resumed it told %v", m)
	}
	for name, req := range map[string]*argosyv1.WatchRequest{
		"configs":       {OmitConfigs: true},
		"desired state": {OmitDesired: true},
	} {
		if w := mustFollow(t, r, req); true {
			w.next(t)
			if len(w.configs) != 0 {
				t.Errorf("without %s it told %v", name, w.configs)
			}
		}
	}
}

func TestAWatchTellsOfAgentsUntilNothingIsKnownOfThem(t *testing.T) {
	r := mustServe(t, 1<<20)
	lead, err := r.store.Lead(3)
	if err != nil {
		t.Fatal(err)
	}
	r.apply(t, putAgent(t, &argosyv1.Agent{Name: "a", Tags: map[string]string{"zone": "x"}}))
	if err := lead.SetAgent(&argosyv1.AgentStatus{Name: "a", Connected: true}); err != nil {
		t.Fatal(err)
	}
	w := mustFollow(t, r, &argosyv1.WatchRequest{OmitDesired: true})
	w.next(t)
	if w.agents["a"].GetTags()["zone"] != "x" || !w.status["a"] {
		t.Fatalf("it began with %v %v", w.agents, w.status)
	}
	r.apply(t, putAgent(t, &argosyv1.Agent{Name: "a", UserTags: &argosyv1.Tags{Tags: map[string]string{"zone": "y"}}}))
	w.next(t)
	if w.agents["a"].GetUserTags().GetTags()["zone"] != "y" {
		t.Errorf("tags are %v", w.agents["a"])
	}
	// A leader that has never heard of it: it is registered all the same.
	if err := lead.RemoveAgent("a"); err != nil {
		t.Fatal(err)
	}
	w.next(t)
	if connected, known := w.status["a"]; connected || !known || w.agents["a"] == nil {
		t.Errorf("without a status it is told as %v %v", w.agents, w.status)
	}
	r.apply(t, dropRow(argosyv1.RowKind_ROW_KIND_AGENT, "a"))
	w.next(t)
	if len(w.agents)+len(w.status) != 0 {
		t.Errorf("removed it is told as %v %v", w.agents, w.status)
	}
	// Its status may go after it, or come once more before it goes.
	if err := lead.SetAgent(&argosyv1.AgentStatus{Name: "a", Connected: true}); err != nil {
		t.Fatal(err)
	}
	w.next(t)
	if err := lead.RemoveAgent("a"); err != nil {
		t.Fatal(err)
	}
	w.next(t)
	if len(w.agents)+len(w.status) != 0 {
		t.Errorf("removed again it is told as %v %v", w.agents, w.status)
	}
}

func TestAWatchWithoutAgentsOrStatesTellsNone(t *testing.T) {
	r := mustServe(t, 1<<20)
	lead, err := r.store.Lead(3)
	if err != nil {
		t.Fatal(err)
	}
	for name, req := range map[string]*argosyv1.WatchRequest{
		"agents":         {OmitAgents: true},
		"observed state": {OmitObserved: true, OmitAgents: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustFollow(t, r, req)
			w.next(t)
			if err := lead.SetAgent(&argosyv1.AgentStatus{Name: "a", Connected: true}); err != nil {
				t.Fatal(err)
			}
			r.apply(t, putAgent(t, &argosyv1.Agent{Name: "a"}))
			if err := lead.RemoveAgent("a"); err != nil {
				t.Fatal(err)
			}
			at := r.apply(t, dropRow(argosyv1.RowKind_ROW_KIND_AGENT, "a"), putConfig(t, "last "+name, ""))
			w.next(t)
			if w.last.GetHeader().GetRevision() != at || len(w.agents)+len(w.status) != 0 {
				t.Errorf("it told %v", w.last)
			}
		})
	}
}

// Who waits for what he has written learns that it is there, though nothing of it
// is for him to see.
func TestAWatchOfStatesTellsOfRevisionsWithoutThem(t *testing.T) {
	r := mustServe(t, 1<<20)
	r.put(t, workload("w", "a"))
	w := mustFollow(t, r, &argosyv1.WatchRequest{OmitDesired: true})
	w.next(t)
	tagged := workload("w", "a")
	tagged.Tags = map[string]string{"x": "y"}
	at := r.put(t, tagged)
	w.next(t)
	if w.last.GetHeader().GetRevision() != at || len(w.last.GetWorkloads())+len(w.last.GetStates()) != 0 {
		t.Errorf("it told %v", w.last)
	}
}
