package complete

import (
	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Names of fields of the state.
const (
	desiredState   = "desiredState"
	effectiveState = "effectiveState"
	workloadStates = "workloadStates"
	agents         = "agents"

	apiVersion = "apiVersion"
	workloads  = "workloads"
	configs    = "configs"

	agentField      = "agent"
	runtimeField    = "runtime"
	runtimeConfig   = "runtimeConfig"
	restartPolicy   = "restartPolicy"
	tags            = "tags"
	dependencies    = "dependencies"
	files           = "files"
	access          = "controlInterfaceAccess"
	mountPoint      = "mountPoint"
	data            = "data"
	binaryData      = "binaryData"
	allowRules      = "allowRules"
	denyRules       = "denyRules"
	typeField       = "type"
	operation       = "operation"
	filterMasks     = "filterMasks"
	workloadNames   = "workloadNames"
	stateField      = "state"
	subState        = "subState"
	additionalInfo  = "additionalInfo"
	status          = "status"
	cpuUsage        = "cpuUsage"
	freeMemory      = "freeMemory"
	typeOfStateRule = "StateRule"
	typeOfLogRule   = "LogRule"
)

// fields are those of a map that is being made; those that are nil are left out.
type fields = map[string]*tree.Node

// WorkloadNode returns a workload as it stands in desiredState.
func WorkloadNode(w *argosyv1.Workload) *tree.Node {
	conditions := make(fields, len(w.GetDependencies()))
	for name, condition := range w.GetDependencies() {
		conditions[name] = tree.NewText(manifest.ConditionText(condition))
	}
	rules := w.GetControlInterfaceAccess()
	return tree.NewMap(fields{
		agentField:    tree.NewText(w.GetAgent()),
		runtimeField:  tree.NewText(w.GetRuntime()),
		restartPolicy: tree.NewText(manifest.RestartPolicyText(w.GetRestartPolicy())),
		runtimeConfig: tree.NewText(w.GetRuntimeConfig()),
		tags:          textMap(w.GetTags()),
		dependencies:  filled(tree.NewMap(conditions)),
		configs:       textMap(w.GetConfigs()),
		files:         each(w.GetFiles(), fileNode),
		access: filled(tree.NewMap(fields{
			allowRules: each(rules.GetAllowRules(), ruleNode),
			denyRules:  each(rules.GetDenyRules(), ruleNode),
		})),
	})
}

func fileNode(file *argosyv1.File) *tree.Node {
	node := fields{mountPoint: tree.NewText(file.GetMountPoint())}
	switch content := file.GetContent().(type) {
	case *argosyv1.File_Data:
		node[data] = tree.NewText(content.Data)
	case *argosyv1.File_BinaryData:
		node[binaryData] = tree.NewText(content.BinaryData)
	}
	return tree.NewMap(node)
}

func ruleNode(rule *argosyv1.AccessRule) *tree.Node {
	switch kind := rule.GetKind().(type) {
	case *argosyv1.AccessRule_State:
		return tree.NewMap(fields{
			typeField:   tree.NewText(typeOfStateRule),
			operation:   tree.NewText(manifest.OperationText(kind.State.GetOperation())),
			filterMasks: textList(kind.State.GetFilterMasks()),
		})
	case *argosyv1.AccessRule_Log:
		return tree.NewMap(fields{typeField: tree.NewText(typeOfLogRule), workloadNames: textList(kind.Log.GetWorkloadNames())})
	default:
		return tree.NewMap(nil)
	}
}

// ConfigNode returns a config as it stands in desiredState.
func ConfigNode(item *argosyv1.ConfigItem) *tree.Node {
	switch kind := item.GetKind().(type) {
	case *argosyv1.ConfigItem_List:
		items := make([]*tree.Node, len(kind.List.GetItems()))
		for i, one := range kind.List.GetItems() {
			items[i] = ConfigNode(one)
		}
		return tree.NewList(items)
	case *argosyv1.ConfigItem_Map:
		items := make(fields, len(kind.Map.GetItems()))
		for key, one := range kind.Map.GetItems() {
			items[key] = ConfigNode(one)
		}
		return tree.NewMap(items)
	default:
		return tree.NewText(item.GetText())
	}
}

func executionNode(e *argosyv1.ExecutionState) *tree.Node {
	return tree.NewMap(fields{
		stateField:     tree.NewText(e.GetState().Name()),
		subState:       tree.NewText(e.SubstateName()),
		additionalInfo: tree.NewText(e.GetAdditionalInfo()),
	})
}

// agentNode returns an agent; nil when users do not see it.
func agentNode(registered *argosyv1.Agent, known *argosyv1.AgentStatus) *tree.Node {
	if !known.GetConnected() {
		return nil
	}
	node := fields{tags: textMap(registered.TagsInForce())}
	// Of an agent that has not reported yet both are 0; no machine that runs has no
	// free memory at all.
	if known.GetFreeMemoryBytes() != 0 {
		node[status] = tree.NewMap(fields{
			cpuUsage:   tree.NewCount(uint64(known.GetCpuPercent())),
			freeMemory: tree.NewCount(known.GetFreeMemoryBytes()),
		})
	}
	return tree.NewMap(node)
}

// filled returns a node that has something in it, else nil.
func filled(n *tree.Node) *tree.Node {
	if n.Len() == 0 {
		return nil
	}
	return n
}

// textMap returns texts by name, nil for none.
func textMap(texts map[string]string) *tree.Node {
	if len(texts) == 0 {
		return nil
	}
	nodes := make(fields, len(texts))
	for name, text := range texts {
		nodes[name] = tree.NewText(text)
	}
	return tree.NewMap(nodes)
}

func textList(texts []string) *tree.Node {
	return tree.NewList(nodesOf(texts, tree.NewText))
}

// each returns a list of nodes, nil for none.
func each[T any](items []T, node func(T) *tree.Node) *tree.Node {
	if len(items) == 0 {
		return nil
	}
	return tree.NewList(nodesOf(items, node))
}

func nodesOf[T any](items []T, node func(T) *tree.Node) []*tree.Node {
	nodes := make([]*tree.Node, len(items))
	for i, item := range items {
		nodes[i] = node(item)
	}
	return nodes
}
