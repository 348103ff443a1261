package manifest

import (
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// What users see of workloads and configs, in JSON and as the shape of the YAML.
// Fields at their default are left out where the reference leaves them out.
type (
	// Document is a manifest as it is written out.
	Document struct {
		APIVersion string                      `json:"apiVersion" yaml:"apiVersion"`
		Workloads  map[string]DocumentWorkload `json:"workloads" yaml:"workloads"`
		// Configs are texts, []any and map[string]any of such.
		Configs map[string]any `json:"configs,omitempty" yaml:"configs,omitempty"`
	}
	// DocumentWorkload is a workload as it is written out.
	DocumentWorkload struct {
		Agent                  string            `json:"agent" yaml:"agent"`
		Runtime                string            `json:"runtime" yaml:"runtime"`
		RestartPolicy          string            `json:"restartPolicy" yaml:"restartPolicy"`
		Tags                   map[string]string `json:"tags,omitempty" yaml:"tags,omitempty"`
		Dependencies           map[string]string `json:"dependencies,omitempty" yaml:"dependencies,omitempty"`
		Configs                map[string]string `json:"configs,omitempty" yaml:"configs,omitempty"`
		RuntimeConfig          string            `json:"runtimeConfig" yaml:"runtimeConfig"`
		Files                  []DocumentFile    `json:"files,omitempty" yaml:"files,omitempty"`
		ControlInterfaceAccess *DocumentAccess   `json:"controlInterfaceAccess,omitempty" yaml:"controlInterfaceAccess,omitempty"`
	}
	// DocumentFile is a file as it is written out; one of its contents is set.
	DocumentFile struct {
		MountPoint string  `json:"mountPoint" yaml:"mountPoint"`
		Data       *string `json:"data,omitempty" yaml:"data,omitempty"`
		BinaryData *string `json:"binaryData,omitempty" yaml:"binaryData,omitempty"`
	}
	// DocumentAccess is what a workload may do, as it is written out.
	DocumentAccess struct {
		AllowRules []DocumentRule `json:"allowRules,omitempty" yaml:"allowRules,omitempty"`
		DenyRules  []DocumentRule `json:"denyRules,omitempty" yaml:"denyRules,omitempty"`
	}
	// DocumentRule is an access rule as it is written out; its type says which
	// fields it has.
	DocumentRule struct {
		Type          string   `json:"type" yaml:"type"`
		Operation     string   `json:"operation,omitempty" yaml:"operation,omitempty"`
		FilterMasks   []string `json:"filterMasks,omitempty" yaml:"filterMasks,omitempty"`
		WorkloadNames []string `json:"workloadNames,omitempty" yaml:"workloadNames,omitempty"`
	}
)

// ToDocument makes the written form of workloads and configs. What workloads are
// rendered to is written when they are given as Workload.Effective.
func ToDocument(workloads []*argosyv1.Workload, configs []*argosyv1.Config) Document {
	d := Document{APIVersion: APIVersion, Workloads: make(map[string]DocumentWorkload, len(workloads))}
	for _, w := range workloads {
		d.Workloads[w.GetName()] = toDocumentWorkload(w)
	}
	if len(configs) > 0 {
		d.Configs = make(map[string]any, len(configs))
	}
	for _, c := range configs {
		d.Configs[c.GetKey()] = plainItem(c.GetValue())
	}
	return d
}

func toDocumentWorkload(w *argosyv1.Workload) DocumentWorkload {
	d := DocumentWorkload{
		Agent:         w.GetAgent(),
		Runtime:       w.GetRuntime(),
		RestartPolicy: RestartPolicyText(w.GetRestartPolicy()),
		Tags:          w.GetTags(),
		Configs:       w.GetConfigs(),
		RuntimeConfig: w.GetRuntimeConfig(),
	}
	if n := len(w.GetDependencies()); n > 0 {
		d.Dependencies = make(map[string]string, n)
	}
	for name, condition := range w.GetDependencies() {
		d.Dependencies[name] = ConditionText(condition)
	}
	for _, file := range w.GetFiles() {
		one := DocumentFile{MountPoint: file.GetMountPoint()}
		switch content := file.GetContent().(type) {
		case *argosyv1.File_Data:
			one.Data = &content.Data
		case *argosyv1.File_BinaryData:
			one.BinaryData = &content.BinaryData
		}
		d.Files = append(d.Files, one)
	}
	if access := w.GetControlInterfaceAccess(); len(access.GetAllowRules())+len(access.GetDenyRules()) > 0 {
		d.ControlInterfaceAccess = &DocumentAccess{toDocumentRules(access.GetAllowRules()), toDocumentRules(access.GetDenyRules())}
	}
	return d
}

func toDocumentRules(rules []*argosyv1.AccessRule) []DocumentRule {
	var documents []DocumentRule
	for _, rule := range rules {
		switch kind := rule.GetKind().(type) {
		case *argosyv1.AccessRule_State:
			documents = append(documents, DocumentRule{
				Type: ruleOfState, Operation: OperationText(kind.State.GetOperation()), FilterMasks: kind.State.GetFilterMasks(),
			})
		case *argosyv1.AccessRule_Log:
			documents = append(documents, DocumentRule{Type: ruleOfLogs, WorkloadNames: kind.Log.GetWorkloadNames()})
		}
	}
	return documents
}

// plainItem makes texts, lists and maps of a config.
func plainItem(item *argosyv1.ConfigItem) any {
	switch kind := item.GetKind().(type) {
	case *argosyv1.ConfigItem_List:
		list := make([]any, len(kind.List.GetItems()))
		for i, one := range kind.List.GetItems() {
			list[i] = plainItem(one)
		}
		return list
	case *argosyv1.ConfigItem_Map:
		fields := make(map[string]any, len(kind.Map.GetItems()))
		for key, one := range kind.Map.GetItems() {
			fields[key] = plainItem(one)
		}
		return fields
	}
	return item.GetText()
}
