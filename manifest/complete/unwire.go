package complete

import (
	"fmt"

	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/manifest/tree"
	"github.com/argosy-cluster/argosy/proto/ankaios"
)

// FromWire returns the tree of a state that came as a message of Ankaios. What is
// empty of a workload is left out, as everywhere. It fails with
// manifest.ErrInvalid for what is nested too deeply, and for numbers that stand
// for nothing.
func FromWire(m *ankaios.CompleteState) (*tree.Node, error) {
	u := &unwirer{}
	node := tree.NewMap(fields{
		desiredState:   u.state(m.GetDesiredState()),
		effectiveState: u.state(m.GetEffectiveState()),
		workloadStates: u.states(m.GetWorkloadStates()),
		agents:         u.agents(m.GetAgents()),
	})
	return node, u.failure
}

// unwirer makes nodes of messages, and remembers the first thing that is wrong.
type unwirer struct{ failure error }

func (u *unwirer) fail(format string, args ...any) {
	if u.failure == nil {
		u.failure = fmt.Errorf("%w: "+format, append([]any{manifest.ErrInvalid}, args...)...)
	}
}

// nodeMap makes a map of what the messages in one are made to.
func nodeMap[M any](messages map[string]M, node func(M) *tree.Node) *tree.Node {
	all := make(fields, len(messages))
	for name, m := range messages {
		all[name] = node(m)
	}
	return tree.NewMap(all)
}

func optional(text *string) *tree.Node {
	if text == nil {
		return nil
	}
	return tree.NewText(*text)
}

func (u *unwirer) state(m *ankaios.State) *tree.Node {
	if m == nil {
		return nil
	}
	node := fields{}
	if version := m.GetApiVersion(); version != "" {
		node[apiVersion] = tree.NewText(version)
	}
	if all := m.GetWorkloads(); all != nil {
		node[workloads] = nodeMap(all.GetWorkloads(), u.workload)
	}
	if all := m.GetConfigs(); all != nil {
		node[configs] = nodeMap(all.GetConfigs(), func(item *ankaios.ConfigItem) *tree.Node { return u.item(item, 3) })
	}
	return tree.NewMap(node)
}

func (u *unwirer) workload(m *ankaios.Workload) *tree.Node {
	node := fields{
		agentField: optional(m.Agent), runtimeField: optional(m.Runtime), runtimeConfig: optional(m.RuntimeConfig),
		tags: textMap(m.GetTags().GetTags()), configs: textMap(m.GetConfigs().GetConfigs()),
		files: each(m.GetFiles().GetFiles(), u.file),
		dependencies: filled(nodeMap(m.GetDependencies().GetDependencies(), func(c ankaios.AddCondition) *tree.Node {
			return u.word(ankaios.AddCondition_name[int32(c)], "condition of a dependency", int32(c))
		})),
		access: filled(tree.NewMap(fields{
			allowRules: each(m.GetControlInterfaceAccess().GetAllowRules(), u.rule),
			denyRules:  each(m.GetControlInterfaceAccess().GetDenyRules(), u.rule),
		})),
	}
	if m.RestartPolicy != nil {
		node[restartPolicy] = u.word(ankaios.RestartPolicy_name[int32(m.GetRestartPolicy())], "restart policy", int32(m.GetRestartPolicy()))
	}
	return tree.NewMap(node)
}

func (u *unwirer) word(text, what string, number int32) *tree.Node {
	if text == "" {
		u.fail("%d is not a %s", number, what)
	}
	return tree.NewText(text)
}

func (u *unwirer) file(m *ankaios.File) *tree.Node {
	node := fields{mountPoint: tree.NewText(m.GetMountPoint())}
	switch content := m.GetFileContent().(type) {
	case *ankaios.File_Data:
		node[data] = tree.NewText(content.Data)
	case *ankaios.File_BinaryData:
		node[binaryData] = tree.NewText(content.BinaryData)
	}
	return tree.NewMap(node)
}

func (u *unwirer) rule(m *ankaios.AccessRightsRule) *tree.Node {
	if rule := m.GetLogRule(); rule != nil {
		return tree.NewMap(fields{typeField: tree.NewText(typeOfLogRule), workloadNames: textList(rule.GetWorkloadNames())})
	}
	rule := m.GetStateRule()
	return tree.NewMap(fields{
		typeField:   tree.NewText(typeOfStateRule),
		operation:   u.word(operations[rule.GetOperation()], "operation of a rule", int32(rule.GetOperation())),
		filterMasks: textList(rule.GetFilterMasks()),
	})
}

// item makes a config; depth is how many maps it is in.
func (u *unwirer) item(m *ankaios.ConfigItem, depth int) *tree.Node {
	if depth > tree.MaxDepth {
		u.fail("a config is nested more deeply than %d levels", tree.MaxDepth)
		return nil
	}
	switch kind := m.GetConfigItemEnum().(type) {
	case *ankaios.ConfigItem_Array:
		items := make([]*tree.Node, 0, len(kind.Array.GetValues()))
		for _, one := range kind.Array.GetValues() {
			if node := u.item(one, depth+1); node != nil {
				items = append(items, node)
			}
		}
		return tree.NewList(items)
	case *ankaios.ConfigItem_Object:
		return nodeMap(kind.Object.GetFields(), func(one *ankaios.ConfigItem) *tree.Node { return u.item(one, depth+1) })
	default:
		return tree.NewText(m.GetString_())
	}
}

func (u *unwirer) states(m *ankaios.WorkloadStatesMap) *tree.Node {
	if m == nil {
		return nil
	}
	return nodeMap(m.GetAgentStateMap(), func(ofAgent *ankaios.ExecutionsStatesOfWorkload) *tree.Node {
		return nodeMap(ofAgent.GetWlNameStateMap(), func(ofWorkload *ankaios.ExecutionsStatesForId) *tree.Node {
			return nodeMap(ofWorkload.GetIdStateMap(), u.execution)
		})
	})
}

func (u *unwirer) execution(m *ankaios.ExecutionState) *tree.Node {
	node := fields{additionalInfo: optional(m.AdditionalInfo)}
	for words, known := range executions {
		if sameExecution(known, m) {
			node[stateField], node[subState] = tree.NewText(words.state), tree.NewText(words.subState)
		}
	}
	return tree.NewMap(node)
}

func (u *unwirer) agents(m *ankaios.AgentMap) *tree.Node {
	if m == nil {
		return nil
	}
	return nodeMap(m.GetAgents(), func(agent *ankaios.AgentAttributes) *tree.Node {
		node := fields{tags: textMap(agent.GetTags().GetTags())}
		if reported := agent.GetStatus(); reported != nil {
			known := fields{}
			if cpu := reported.GetCpuUsage(); cpu != nil {
				known[cpuUsage] = tree.NewCount(uint64(cpu.GetCpuUsage()))
			}
			if free := reported.GetFreeMemory(); free != nil {
				known[freeMemory] = tree.NewCount(free.GetFreeMemory())
			}
			node[status] = tree.NewMap(known)
		}
		return tree.NewMap(node)
	})
}
