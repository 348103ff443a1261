package complete

import (
	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// View makes the tree of what it is told, object by object.
type View struct {
	workloads, effective, configs, states, agents *tree.Node
	// known are the agents of which anything is known.
	known map[string]agent
	// revisions are those of the objects of desired state.
	revisions map[object]uint64
	root      *tree.Node
}

type agent struct {
	registered *argosyv1.Agent
	status     *argosyv1.AgentStatus
}

// object names an object of desired state.
type object struct {
	kind argosyv1.ObjectKind
	name string
}

// Kinds of objects.
const (
	kindWorkload = argosyv1.ObjectKind_OBJECT_KIND_WORKLOAD
	kindConfig   = argosyv1.ObjectKind_OBJECT_KIND_CONFIG
	kindAgent    = argosyv1.ObjectKind_OBJECT_KIND_AGENT
)

// New returns the view of an empty cluster.
func New() *View {
	empty, version := tree.NewMap(nil), tree.NewText(manifest.APIVersion)
	return &View{
		workloads: empty, effective: empty, configs: empty, states: empty, agents: empty,
		known: map[string]agent{}, revisions: map[object]uint64{},
		root: tree.NewMap(fields{
			desiredState:   tree.NewMap(fields{apiVersion: version}),
			effectiveState: tree.NewMap(fields{apiVersion: version}),
		}),
	}
}

// Of returns the view of a state that was read. It is what New would come to be,
// made at once.
func Of(state *argosyv1.GetStateResponse) *View {
	v := New()
	desired, effective := make(fields, len(state.GetWorkloads())), make(fields, len(state.GetWorkloads()))
	for _, w := range state.GetWorkloads() {
		desired[w.GetName()], effective[w.GetName()] = workloadNodes(w)
		v.revisions[object{kindWorkload, w.GetName()}] = w.GetRevision()
	}
	v.workloads, v.effective = tree.NewMap(desired), tree.NewMap(effective)
	for _, c := range state.GetConfigs() {
		v.PutConfig(c)
	}
	for _, s := range state.GetStates() {
		v.PutState(s)
	}
	for _, a := range state.GetAgents() {
		v.PutAgent(a)
	}
	for _, s := range state.GetAgentStatuses() {
		v.PutStatus(s)
	}
	return v
}

// Tree returns the state: what was taken in so far.
func (v *View) Tree() *tree.Node {
	root := v.root
	root = root.With(desiredState, root.Child(desiredState).With(workloads, v.workloads).With(configs, v.configs))
	root = root.With(effectiveState, root.Child(effectiveState).With(workloads, v.effective))
	v.root = root.With(workloadStates, v.states).With(agents, v.agents)
	return v.root
}

// Take takes in a message of a watch. It does not look at where snapshots begin
// and end: Mirror does.
func (v *View) Take(m *argosyv1.WatchResponse) {
	for _, w := range m.GetWorkloads() {
		v.PutWorkload(w)
	}
	for _, name := range m.GetDeletedWorkloads() {
		v.DeleteWorkload(name)
	}
	for _, c := range m.GetConfigs() {
		v.PutConfig(c)
	}
	for _, key := range m.GetDeletedConfigs() {
		v.DeleteConfig(key)
	}
	for _, s := range m.GetStates() {
		v.PutState(s)
	}
	for _, a := range m.GetRegisteredAgents() {
		v.PutAgent(a)
	}
	for _, s := range m.GetAgents() {
		v.PutStatus(s)
	}
	for _, name := range m.GetRemovedAgents() {
		v.RemoveAgent(name)
	}
}

func workloadNodes(w *argosyv1.Workload) (desired, effective *tree.Node) {
	desired = WorkloadNode(w)
	if rendered := w.Effective(); rendered != w {
		return desired, WorkloadNode(rendered)
	}
	return desired, desired
}

// PutWorkload takes in a workload that was created or changed.
func (v *View) PutWorkload(w *argosyv1.Workload) {
	desired, effective := workloadNodes(w)
	v.workloads, v.effective = v.workloads.With(w.GetName(), desired), v.effective.With(w.GetName(), effective)
	v.revisions[object{kindWorkload, w.GetName()}] = w.GetRevision()
}

// DeleteWorkload forgets a workload. Its states stay until they are told as
// removed.
func (v *View) DeleteWorkload(name string) {
	v.workloads, v.effective = v.workloads.With(name, nil), v.effective.With(name, nil)
	delete(v.revisions, object{kindWorkload, name})
}

// PutConfig takes in a config that was created or changed.
func (v *View) PutConfig(c *argosyv1.Config) {
	v.configs = v.configs.With(c.GetKey(), ConfigNode(c.GetValue()))
	v.revisions[object{kindConfig, c.GetKey()}] = c.GetRevision()
}

// DeleteConfig forgets a config.
func (v *View) DeleteConfig(key string) {
	v.configs = v.configs.With(key, nil)
	delete(v.revisions, object{kindConfig, key})
}

// PutState takes in the state of an instance; one that is removed is forgotten.
func (v *View) PutState(s *argosyv1.WorkloadState) {
	name := s.GetInstance()
	var node *tree.Node
	if s.GetExecution().GetState() != argosyv1.State_STATE_REMOVED {
		node = executionNode(s.GetExecution())
	}
	ofAgent := v.states.Child(name.GetAgent())
	ofWorkload := ofAgent.Child(name.GetWorkload())
	ofAgent = filled(ofAgent.With(name.GetWorkload(), filled(ofWorkload.With(name.GetId(), node))))
	v.states = v.states.With(name.GetAgent(), ofAgent)
}

// PutAgent takes in an agent as it is registered.
func (v *View) PutAgent(registered *argosyv1.Agent) {
	v.putAgent(registered.GetName(), agent{registered, v.known[registered.GetName()].status})
	v.revisions[object{kindAgent, registered.GetName()}] = registered.GetRevision()
}

// PutStatus takes in what is known of an agent now.
func (v *View) PutStatus(known *argosyv1.AgentStatus) {
	v.putAgent(known.GetName(), agent{v.known[known.GetName()].registered, known})
}

func (v *View) putAgent(name string, a agent) {
	v.known[name] = a
	v.agents = v.agents.With(name, agentNode(a.registered, a.status))
}

// RemoveAgent forgets an agent.
func (v *View) RemoveAgent(name string) {
	delete(v.known, name)
	delete(v.revisions, object{kindAgent, name})
	v.agents = v.agents.With(name, nil)
}
