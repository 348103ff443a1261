package complete_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func masksOf(t interface{ Fatal(...any) }, texts ...string) *mask.Set {
	set, err := mask.ParseSet(texts)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func mustRead(t testing.TB, yaml string) *tree.Node {
	t.Helper()
	n, err := tree.ReadYAML([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// cluster is what servers would know, changed by messages of a watch.
type cluster struct {
	revision  uint64
	workloads map[string]*argosyv1.Workload
	configs   map[string]*argosyv1.Config
	states    map[string]*argosyv1.WorkloadState
	agents    map[string]*argosyv1.Agent
	statuses  map[string]*argosyv1.AgentStatus
}

func newCluster() *cluster {
	return &cluster{
		revision: 1, workloads: map[string]*argosyv1.Workload{}, configs: map[string]*argosyv1.Config{},
		states: map[string]*argosyv1.WorkloadState{}, agents: map[string]*argosyv1.Agent{}, statuses: map[string]*argosyv1.AgentStatus{},
	}
}

func sorted[V any](m map[string]V) []V {
	var all []V
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[key])
	}
	return all
}

// state is what one who reads it all is answered.
func (c *cluster) state() *argosyv1.GetStateResponse {
	return &argosyv1.GetStateResponse{
		Header: &argosyv1.ResponseHeader{Revision: c.revision}, Workloads: sorted(c.workloads), Configs: sorted(c.configs),
		States: sorted(c.states), Agents: sorted(c.agents), AgentStatuses: sorted(c.statuses),
	}
}

// snapshot is how a watch begins, in two messages.
func (c *cluster) snapshot() []*argosyv1.WatchResponse {
	header := &argosyv1.ResponseHeader{Revision: c.revision}
	return []*argosyv1.WatchResponse{
		{Header: header, SnapshotBegin: true, Workloads: sorted(c.workloads), Configs: sorted(c.configs)},
		{Header: header, SnapshotEnd: true, States: sorted(c.states), RegisteredAgents: sorted(c.agents), Agents: sorted(c.statuses)},
	}
}

// take carries out what a message tells.
func (c *cluster) take(m *argosyv1.WatchResponse) {
	for _, w := range m.GetWorkloads() {
		c.workloads[w.GetName()] = w
	}
	for _, name := range m.GetDeletedWorkloads() {
		delete(c.workloads, name)
	}
	for _, config := range m.GetConfigs() {
		c.configs[config.GetKey()] = config
	}
	for _, key := range m.GetDeletedConfigs() {
		delete(c.configs, key)
	}
	for _, s := range m.GetStates() {
		if c.states[s.GetInstance().Key()] = s; s.GetExecution().GetState() == argosyv1.State_STATE_REMOVED {
			delete(c.states, s.GetInstance().Key())
		}
	}
	for _, a := range m.GetRegisteredAgents() {
		c.agents[a.GetName()] = a
	}
	for _, s := range m.GetAgents() {
		c.statuses[s.GetName()] = s
	}
	for _, name := range m.GetRemovedAgents() {
		delete(c.agents, name)
		delete(c.statuses, name)
	}
}

// What changes are drawn from: few names, so that they meet again.
var (
	someName = rapid.SampledFrom([]string{"a", "b", "c"})
	someText = rapid.SampledFrom([]string{"", "x", "y", "line\nline"})
	someTags = rapid.MapOfN(someName, someText, 0, 2)
)

func someItem(depth int) *rapid.Generator[*argosyv1.ConfigItem] {
	return rapid.Custom(func(t *rapid.T) *argosyv1.ConfigItem {
		switch kind := rapid.IntRange(0, 2).Draw(t, "kind"); {
		case kind == 1 && depth > 0:
			return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_List{List: &argosyv1.ConfigList{Items: rapid.SliceOfN(someItem(depth-1), 0, 2).Draw(t, "items")}}}
		case kind == 2 && depth > 0:
			return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Map{Map: &argosyv1.ConfigMap{Items: rapid.MapOfN(someName, someItem(depth-1), 0, 2).Draw(t, "fields")}}}
		default:
			return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: someText.Draw(t, "text")}}
		}
	})
}

var someRule = rapid.Custom(func(t *rapid.T) *argosyv1.AccessRule {
	if rapid.Bool().Draw(t, "logs") {
		return &argosyv1.AccessRule{Kind: &argosyv1.AccessRule_Log{Log: &argosyv1.LogRule{WorkloadNames: rapid.SliceOfN(someName, 1, 2).Draw(t, "names")}}}
	}
	return &argosyv1.AccessRule{Kind: &argosyv1.AccessRule_State{State: &argosyv1.StateRule{
		Operation:   argosyv1.AccessOperation(rapid.IntRange(0, 3).Draw(t, "operation")),
		FilterMasks: rapid.SliceOfN(someName, 1, 2).Draw(t, "masks"),
	}}}
})

var someFile = rapid.Custom(func(t *rapid.T) *argosyv1.File {
	file := &argosyv1.File{MountPoint: "/" + someName.Draw(t, "path"), Content: &argosyv1.File_Data{Data: someText.Draw(t, "data")}}
	if rapid.Bool().Draw(t, "binary") {
		file.Content = &argosyv1.File_BinaryData{BinaryData: "eA=="}
	}
	return file
})

var someWorkload = rapid.Custom(func(t *rapid.T) *argosyv1.Workload {
	w := &argosyv1.Workload{
		Name: someName.Draw(t, "workload"), Agent: someText.Draw(t, "agent"), Runtime: "podman", RuntimeConfig: someText.Draw(t, "config"),
		RestartPolicy: argosyv1.RestartPolicy(rapid.IntRange(0, 2).Draw(t, "policy")),
		Tags:          someTags.Draw(t, "tags"),
		Files:         rapid.SliceOfN(someFile, 0, 2).Draw(t, "files"),
	}
	for name, number := range rapid.MapOfN(someName, rapid.IntRange(0, 2), 0, 2).Draw(t, "dependencies") {
		if w.Dependencies == nil {
			w.Dependencies = map[string]argosyv1.DependencyCondition{}
		}
		w.Dependencies[name] = argosyv1.DependencyCondition(number)
	}
	if rules := rapid.SliceOfN(someRule, 0, 2).Draw(t, "allow"); len(rules) > 0 {
		w.ControlInterfaceAccess = &argosyv1.ControlInterfaceAccess{AllowRules: rules, DenyRules: rapid.SliceOfN(someRule, 0, 1).Draw(t, "deny")}
	}
	if rapid.Bool().Draw(t, "template") {
		w.Configs = map[string]string{"alias": someName.Draw(t, "key")}
		w.Rendered = &argosyv1.Rendered{Agent: someText.Draw(t, "rendered agent"), RuntimeConfig: someText.Draw(t, "rendered"), Files: w.GetFiles()}
	}
	return w
})

var someState = rapid.Custom(func(t *rapid.T) *argosyv1.WorkloadState {
	return &argosyv1.WorkloadState{
		Instance: &argosyv1.InstanceName{Workload: someName.Draw(t, "workload"), Agent: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "agent"), Id: someName.Draw(t, "id")},
		Execution: rapid.SampledFrom([]*argosyv1.ExecutionState{
			{State: argosyv1.State_STATE_REMOVED},
			{State: argosyv1.State_STATE_NOT_SCHEDULED},
			{State: argosyv1.State_STATE_AGENT_DISCONNECTED},
			{State: argosyv1.State_STATE_PENDING, Substate: argosyv1.Substate_SUBSTATE_PENDING_STARTING, AdditionalInfo: "Triggered at runtime."},
			{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK},
			{State: argosyv1.State_STATE_FAILED, Substate: argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED, AdditionalInfo: "Exit code: '1'"},
		}).Draw(t, "state"),
	}
})

// change draws a message that tells of one write or one report.
func (c *cluster) change(t *rapid.T) *argosyv1.WatchResponse {
	m := &argosyv1.WatchResponse{}
	name := someName.Draw(t, "name")
	switch rapid.IntRange(0, 8).Draw(t, "what") {
	case 0, 1:
		m.Workloads = []*argosyv1.Workload{proto.CloneOf(someWorkload.Draw(t, "put"))}
	case 2:
		m.DeletedWorkloads = []string{name}
	case 3:
		m.Configs = []*argosyv1.Config{{Key: name, Value: someItem(3).Draw(t, "config")}}
	case 4:
		m.DeletedConfigs = []string{name}
	case 5:
		m.States = []*argosyv1.WorkloadState{someState.Draw(t, "one"), someState.Draw(t, "another")}
	case 6:
		agent := &argosyv1.Agent{Name: name, Tags: someTags.Draw(t, "tags")}
		if rapid.Bool().Draw(t, "given") {
			agent.UserTags = &argosyv1.Tags{Tags: someTags.Draw(t, "user tags")}
		}
		m.RegisteredAgents = []*argosyv1.Agent{agent}
	case 7:
		m.Agents = []*argosyv1.AgentStatus{{
			Name: name, Connected: rapid.Bool().Draw(t, "connected"),
			CpuPercent: rapid.Uint32Range(0, 2).Draw(t, "cpu"), FreeMemoryBytes: rapid.Uint64Range(0, 2).Draw(t, "memory"),
		}}
	case 8:
		m.RemovedAgents = []string{name}
	}
	c.revision++
	for _, w := range m.GetWorkloads() {
		w.Revision = c.revision
	}
	for _, config := range m.GetConfigs() {
		config.Revision = c.revision
	}
	m.Header = &argosyv1.ResponseHeader{Revision: c.revision}
	m.ObservedUnixNanos = int64(c.revision)
	c.take(m)
	return m
}

func (c *cluster) String() string { return fmt.Sprint(c.state()) }

// pruned leaves out maps and lists that are empty: an event does not tell them
// from what is not there.
func pruned(n *tree.Node) *tree.Node {
	if n.Kind() != tree.Map {
		if n.Kind() == tree.List && n.Len() == 0 {
			return nil
		}
		return n
	}
	kept := map[string]*tree.Node{}
	for name, value := range n.Children() {
		kept[name] = pruned(value)
	}
	if node := tree.NewMap(kept); node.Len() > 0 {
		return node
	}
	return nil
}
