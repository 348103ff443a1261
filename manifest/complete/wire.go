package complete

import (
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/manifest/tree"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// ToWire returns a state, or the part of one that masks have selected, as a message
// of Ankaios. Fields that the message does not have are left out.
func ToWire(state *tree.Node) *ankaios.CompleteState {
	m := &ankaios.CompleteState{
		DesiredState:   wireState(state.Child(desiredState)),
		EffectiveState: wireState(state.Child(effectiveState)),
	}
	if states := state.Child(workloadStates); states != nil {
		m.WorkloadStates = &ankaios.WorkloadStatesMap{AgentStateMap: wireMap(states, wireStatesOfAgent)}
	}
	if known := state.Child(agents); known != nil {
		m.Agents = &ankaios.AgentMap{Agents: wireMap(known, wireAgent)}
	}
	return m
}

// ToWire returns the event as a message of Ankaios: the first one has no altered
// fields, and one that has only removals no part of the state.
func (e *Event) ToWire() *ankaios.CompleteStateResponse {
	m := &ankaios.CompleteStateResponse{}
	if !e.Current {
		m.AlteredFields = &ankaios.AlteredFields{AddedFields: e.Added, UpdatedFields: e.Updated, RemovedFields: e.Removed}
	}
	if e.Current || e.State.Len() > 0 {
		m.CompleteState = ToWire(e.State)
	}
	return m
}

// ToSuccess returns the instances that a write starts and stops.
func ToSuccess(result *argosyv1.WriteResult) *ankaios.UpdateStateSuccess {
	m := &ankaios.UpdateStateSuccess{}
	for _, changes := range [][]*argosyv1.WorkloadChange{result.GetChanges(), result.GetRendered()} {
		for _, c := range changes {
			now := &argosyv1.InstanceName{Workload: c.GetName(), Agent: c.GetAgent(), Id: c.GetInstanceId()}
			switch c.GetKind() {
			case argosyv1.ChangeKind_CHANGE_KIND_CREATED:
				m.AddedWorkloads = append(m.AddedWorkloads, now.Key())
			case argosyv1.ChangeKind_CHANGE_KIND_DELETED:
				m.DeletedWorkloads = append(m.DeletedWorkloads, now.Key())
			case argosyv1.ChangeKind_CHANGE_KIND_UPDATED:
				addUpdated(m, c, now)
			}
		}
	}
	return m
}

// addUpdated adds a workload that was changed, by what that does to what runs.
func addUpdated(m *ankaios.UpdateStateSuccess, c *argosyv1.WorkloadChange, now *argosyv1.InstanceName) {
	before := &argosyv1.InstanceName{Workload: c.GetName(), Agent: now.GetAgent(), Id: now.GetId()}
	if c.GetPreviousAgent() != "" {
		before.Agent = c.GetPreviousAgent()
	}
	if c.GetPreviousInstanceId() != "" {
		before.Id = c.GetPreviousInstanceId()
	}
	switch c.GetEffect() {
	case argosyv1.Effect_EFFECT_START:
		m.AddedWorkloads = append(m.AddedWorkloads, now.Key())
	case argosyv1.Effect_EFFECT_STOP:
		m.DeletedWorkloads = append(m.DeletedWorkloads, before.Key())
	case argosyv1.Effect_EFFECT_RESTART:
		m.AddedWorkloads = append(m.AddedWorkloads, now.Key())
		m.DeletedWorkloads = append(m.DeletedWorkloads, before.Key())
	}
}

func wireMap[M any](n *tree.Node, wire func(*tree.Node) M) map[string]M {
	m := make(map[string]M, n.Len())
	for name, value := range n.Children() {
		m[name] = wire(value)
	}
	return m
}

func wireList[M any](n *tree.Node, wire func(*tree.Node) M) []M {
	var list []M
	for item := range n.Items() {
		list = append(list, wire(item))
	}
	return list
}

func wireText(n *tree.Node) *string {
	if n == nil {
		return nil
	}
	return proto.String(n.Text())
}

func wireState(n *tree.Node) *ankaios.State {
	if n == nil {
		return nil
	}
	m := &ankaios.State{ApiVersion: n.Child(apiVersion).Text()}
	if all := n.Child(workloads); all != nil {
		m.Workloads = &ankaios.WorkloadMap{Workloads: wireMap(all, wireWorkload)}
	}
	if all := n.Child(configs); all != nil {
		m.Configs = &ankaios.ConfigMap{Configs: wireMap(all, wireItem)}
	}
	return m
}

func wireWorkload(n *tree.Node) *ankaios.Workload {
	m := &ankaios.Workload{
		Agent: wireText(n.Child(agentField)), Runtime: wireText(n.Child(runtimeField)), RuntimeConfig: wireText(n.Child(runtimeConfig)),
		Tags: wireTags(n.Child(tags)),
	}
	if policy := n.Child(restartPolicy); policy != nil {
		m.RestartPolicy = ankaios.RestartPolicy(ankaios.RestartPolicy_value[policy.Text()]).Enum()
	}
	if all := n.Child(dependencies); all != nil {
		m.Dependencies = &ankaios.Dependencies{Dependencies: wireMap(all, func(n *tree.Node) ankaios.AddCondition {
			return ankaios.AddCondition(ankaios.AddCondition_value[n.Text()])
		})}
	}
	if all := n.Child(configs); all != nil {
		m.Configs = &ankaios.ConfigMappings{Configs: wireMap(all, (*tree.Node).Text)}
	}
	if all := n.Child(files); all != nil {
		m.Files = &ankaios.Files{Files: wireList(all, wireFile)}
	}
	if rules := n.Child(access); rules != nil {
		m.ControlInterfaceAccess = &ankaios.ControlInterfaceAccess{
			AllowRules: wireList(rules.Child(allowRules), wireRule), DenyRules: wireList(rules.Child(denyRules), wireRule),
		}
	}
	return m
}

func wireTags(n *tree.Node) *ankaios.Tags {
	if n == nil {
		return nil
	}
	return &ankaios.Tags{Tags: wireMap(n, (*tree.Node).Text)}
}

func wireFile(n *tree.Node) *ankaios.File {
	m := &ankaios.File{MountPoint: n.Child(mountPoint).Text()}
	if text := n.Child(data); text != nil {
		m.FileContent = &ankaios.File_Data{Data: text.Text()}
	} else if binary := n.Child(binaryData); binary != nil {
		m.FileContent = &ankaios.File_BinaryData{BinaryData: binary.Text()}
	}
	return m
}

// wireRule goes by the fields and not by the type, which a mask may have left out.
func wireRule(n *tree.Node) *ankaios.AccessRightsRule {
	if names := n.Child(workloadNames); names != nil || n.Child(typeField).Text() == typeOfLogRule {
		return &ankaios.AccessRightsRule{AccessRightsRuleEnum: &ankaios.AccessRightsRule_LogRule{
			LogRule: &ankaios.LogRule{WorkloadNames: wireList(names, (*tree.Node).Text)},
		}}
	}
	return &ankaios.AccessRightsRule{AccessRightsRuleEnum: &ankaios.AccessRightsRule_StateRule{StateRule: &ankaios.StateRule{
		Operation: keyOf(operations, n.Child(operation).Text()), FilterMasks: wireList(n.Child(filterMasks), (*tree.Node).Text),
	}}}
}

func wireItem(n *tree.Node) *ankaios.ConfigItem {
	switch n.Kind() {
	case tree.List:
		return &ankaios.ConfigItem{ConfigItemEnum: &ankaios.ConfigItem_Array{Array: &ankaios.ConfigArray{Values: wireList(n, wireItem)}}}
	case tree.Map:
		return &ankaios.ConfigItem{ConfigItemEnum: &ankaios.ConfigItem_Object{Object: &ankaios.ConfigObject{Fields: wireMap(n, wireItem)}}}
	default:
		return &ankaios.ConfigItem{ConfigItemEnum: &ankaios.ConfigItem_String_{String_: n.Text()}}
	}
}

func wireStatesOfAgent(n *tree.Node) *ankaios.ExecutionsStatesOfWorkload {
	return &ankaios.ExecutionsStatesOfWorkload{WlNameStateMap: wireMap(n, func(n *tree.Node) *ankaios.ExecutionsStatesForId {
		return &ankaios.ExecutionsStatesForId{IdStateMap: wireMap(n, wireExecution)}
	})}
}

func wireExecution(n *tree.Node) *ankaios.ExecutionState {
	m := &ankaios.ExecutionState{AdditionalInfo: wireText(n.Child(additionalInfo))}
	if known, ok := executions[execution{n.Child(stateField).Text(), n.Child(subState).Text()}]; ok {
		m.ExecutionStateEnum = known.GetExecutionStateEnum()
	}
	return m
}

func wireAgent(n *tree.Node) *ankaios.AgentAttributes {
	m := &ankaios.AgentAttributes{Tags: wireTags(n.Child(tags))}
	reported := n.Child(status)
	if reported == nil {
		return m
	}
	m.Status = &ankaios.AgentStatus{}
	if cpu, ok := reported.Child(cpuUsage).Count(); ok {
		m.Status.CpuUsage = &ankaios.CpuUsage{CpuUsage: uint32(cpu)}
	}
	if free, ok := reported.Child(freeMemory).Count(); ok {
		m.Status.FreeMemory = &ankaios.FreeMemory{FreeMemory: free}
	}
	return m
}
