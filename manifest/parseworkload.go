package manifest

import (
	"fmt"

	"go.yaml.in/yaml/v4"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// workloadReader reads the fields of one workload, and notes where each value
// was written by the path that Validate gives it.
type workloadReader struct {
	*reader
	workload *argosyv1.Workload
	at       map[string]place
}

func (r *workloadReader) read(name string, e entry) (err error) {
	w := r.workload
	switch name {
	case "agent":
		w.Agent, err = r.text(e)
	case "runtime":
		w.Runtime, err = r.text(e)
	case "runtimeConfig":
		w.RuntimeConfig, err = r.runtimeConfig(e)
	case "restartPolicy":
		// Nothing at all is the default.
		if !isNull(e.value) {
			w.RestartPolicy, err = choose(r.reader, e.value, "a restart policy", restartPolicies)
		}
	case "tags":
		w.Tags, err = r.tags(e)
	case "dependencies":
		w.Dependencies, err = r.dependencies(e)
	case "configs":
		w.Configs, err = r.aliases(e)
	case "files":
		w.Files, err = r.files(e)
	case "controlInterfaceAccess":
		w.ControlInterfaceAccess, err = r.access(e)
	}
	return err
}

func (r *workloadReader) runtimeConfig(e entry) (string, error) {
	node, err := r.doc.resolve(e.value)
	if err != nil {
		return "", err
	}
	if node.Kind == yaml.MappingNode {
		return "", r.doc.fail(e.value, "runtimeConfig must be a text, found a mapping: write 'runtimeConfig: |', and the mapping below it as it is")
	}
	return r.text(e)
}

func (r *workloadReader) tags(e entry) (map[string]string, error) {
	node, err := r.doc.resolve(e.value)
	if err != nil {
		return nil, err
	}
	name := shorten(r.workload.GetName())
	if node.Kind == yaml.SequenceNode {
		if !r.deprecated {
			return nil, e.at.fail("For API version 'v1', tags must be specified as a mapping (key-value pairs). Found tags as sequence for workload '%s'.", name)
		}
		return r.tagList(node.Content)
	}
	entries, err := r.doc.mapping(e.value, "tags")
	if err != nil {
		return nil, err
	}
	if r.deprecated && len(entries) > 0 {
		return nil, e.at.fail("For API version 'v0.1', tags must be specified as a sequence (list of key-value entries). Found tags as mapping for workload '%s'.", name)
	}
	return r.texts(entries, "tags", "a tag")
}

// tagList reads tags as the deprecated version has them.
func (r *workloadReader) tagList(items []*yaml.Node) (map[string]string, error) {
	tags := map[string]string{}
	for _, item := range items {
		entries, err := r.doc.mapping(item, "a tag")
		if err != nil {
			return nil, err
		}
		pair, err := r.texts(entries, "tags", "a tag")
		if err != nil {
			return nil, err
		}
		key, ok := pair["key"]
		if !ok {
			return nil, r.doc.fail(item, "a tag needs a key and a value")
		}
		if _, twice := tags[key]; twice {
			return nil, r.doc.fail(item, "the tag '%s' is there twice", shorten(key))
		}
		tags[key] = pair["value"]
	}
	return tags, nil
}

// texts reads texts by names; none is nil.
func (r *workloadReader) texts(entries []entry, path, what string) (map[string]string, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	texts := make(map[string]string, len(entries))
	for _, e := range entries {
		text, err := r.doc.scalar(e.value, what)
		if err != nil {
			return nil, err
		}
		r.at[path+"."+e.key] = e.at
		texts[e.key] = text
	}
	return texts, nil
}

func (r *workloadReader) dependencies(e entry) (map[string]argosyv1.DependencyCondition, error) {
	entries, err := r.doc.mapping(e.value, "dependencies")
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	dependencies := make(map[string]argosyv1.DependencyCondition, len(entries))
	for _, one := range entries {
		r.at["dependencies."+one.key] = one.at
		dependencies[one.key], err = choose(r.reader, one.value, "a condition of a dependency", conditions)
		if err != nil {
			return nil, err
		}
	}
	return dependencies, nil
}

func (r *workloadReader) aliases(e entry) (map[string]string, error) {
	entries, err := r.doc.mapping(e.value, "configs of a workload")
	if err != nil {
		return nil, err
	}
	return r.texts(entries, "configs", "the key of a config")
}

func (r *workloadReader) files(e entry) ([]*argosyv1.File, error) {
	items, err := r.doc.list(e.value, "files")
	if err != nil {
		return nil, err
	}
	var files []*argosyv1.File
	for i, item := range items {
		file, err := r.file(item, fmt.Sprintf("files[%d]", i))
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

func (r *workloadReader) file(item *yaml.Node, path string) (*argosyv1.File, error) {
	entries, err := r.doc.mapping(item, "a file")
	if err != nil {
		return nil, err
	}
	r.at[path] = r.doc.placeOf(item)
	file := &argosyv1.File{}
	for _, e := range entries {
		name := r.known(fileSpec, e, "in a file of workload '"+shorten(r.workload.GetName())+"'")
		if name == "" {
			continue
		}
		text, err := r.text(e)
		if err != nil {
			return nil, err
		}
		r.at[path+"."+name] = r.doc.placeOf(e.value)
		if name == "mountPoint" {
			file.MountPoint = text
			continue
		}
		if file.Content != nil {
			return nil, e.at.fail("a file has either data or binaryData: remove one")
		}
		if name == "data" {
			file.Content = &argosyv1.File_Data{Data: text}
		} else {
			file.Content = &argosyv1.File_BinaryData{BinaryData: text}
		}
	}
	return file, nil
}

// access reads rules; without any it is nil.
func (r *workloadReader) access(e entry) (*argosyv1.ControlInterfaceAccess, error) {
	entries, err := r.doc.mapping(e.value, "controlInterfaceAccess")
	if err != nil {
		return nil, err
	}
	access := &argosyv1.ControlInterfaceAccess{}
	for _, one := range entries {
		name := r.known(workloadSpec.field("controlInterfaceAccess"), one, "in controlInterfaceAccess")
		if name == "" {
			continue
		}
		rules, err := r.rules(one, "controlInterfaceAccess."+name)
		if err != nil {
			return nil, err
		}
		if name == "allowRules" {
			access.AllowRules = rules
		} else {
			access.DenyRules = rules
		}
	}
	if len(access.AllowRules)+len(access.DenyRules) == 0 {
		return nil, nil
	}
	return access, nil
}

func (r *workloadReader) rules(e entry, path string) ([]*argosyv1.AccessRule, error) {
	items, err := r.doc.list(e.value, e.key)
	if err != nil {
		return nil, err
	}
	var rules []*argosyv1.AccessRule
	for i, item := range items {
		rule, err := r.rule(item, fmt.Sprintf("%s[%d]", path, i))
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func (r *workloadReader) rule(item *yaml.Node, path string) (*argosyv1.AccessRule, error) {
	entries, err := r.doc.mapping(item, "an access rule")
	if err != nil {
		return nil, err
	}
	at := r.doc.placeOf(item)
	r.at[path] = at
	var kind string
	state, log := &argosyv1.StateRule{}, &argosyv1.LogRule{}
	has := map[string]entry{}
	for _, e := range entries {
		name := r.known(ruleSpec, e, "in an access rule")
		if _, twice := has[name]; twice {
			return nil, e.at.fail("'%s' and its other name are both there: remove one", e.key)
		}
		switch has[name] = e; name {
		case "type":
			kind, err = r.text(e)
		case "operation":
			state.Operation, err = choose(r.reader, e.value, "an operation", operations)
		case "filterMasks":
			state.FilterMasks, err = r.textList(e, path+".filterMasks")
		case "workloadNames":
			log.WorkloadNames, err = r.textList(e, path+".workloadNames")
		default:
			delete(has, name)
		}
		if err != nil {
			return nil, err
		}
	}
	misplaced := func(names ...string) error {
		for _, name := range names {
			if e, ok := has[name]; ok {
				return e.at.fail("'%s' has no meaning in a %s: remove it", e.key, kind)
			}
		}
		return nil
	}
	switch kind {
	case ruleOfState:
		if err := misplaced("workloadNames"); err != nil {
			return nil, err
		}
		if state.GetOperation() == argosyv1.AccessOperation_ACCESS_OPERATION_NOTHING {
			r.warn(at, "the rule allows and denies nothing: its operation is Nothing")
		}
		return &argosyv1.AccessRule{Kind: &argosyv1.AccessRule_State{State: state}}, nil
	case ruleOfLogs:
		if err := misplaced("operation", "filterMasks"); err != nil {
			return nil, err
		}
		return &argosyv1.AccessRule{Kind: &argosyv1.AccessRule_Log{Log: log}}, nil
	case "":
		return nil, at.fail("an access rule needs a type: %s or %s", ruleOfState, ruleOfLogs)
	}
	return nil, r.doc.fail(has["type"].value, "'%s' is not a type of access rule: use %s or %s", shorten(kind), ruleOfState, ruleOfLogs)
}

func (r *workloadReader) textList(e entry, path string) ([]string, error) {
	items, err := r.doc.list(e.value, e.key)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(items))
	for i, item := range items {
		if texts[i], err = r.doc.scalar(item, "an entry of "+e.key); err != nil {
			return nil, err
		}
		r.at[fmt.Sprintf("%s[%d]", path, i)] = r.doc.placeOf(item)
	}
	return texts, nil
}
