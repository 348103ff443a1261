package complete

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// workloadOf makes a workload of what stands in desiredState. Whether it is valid
// beyond its shape is for the leader to judge.
func workloadOf(name string, n *tree.Node) (*argosyv1.Workload, error) {
	r := &reader{}
	w := &argosyv1.Workload{Name: name}
	for field, value := range r.fields(n, "") {
		switch field {
		case agentField:
			w.Agent = r.text(value, field)
		case runtimeField:
			w.Runtime = r.text(value, field)
		case runtimeConfig:
			w.RuntimeConfig = r.text(value, field)
		case restartPolicy:
			w.RestartPolicy = word(r, value, field, manifest.RestartPolicyText, argosyv1.RestartPolicy_name)
		case tags:
			w.Tags = r.texts(value, field)
		case configs:
			w.Configs = r.texts(value, field)
		case dependencies:
			w.Dependencies = r.dependencies(value)
		case files:
			for index, item := range r.items(value, field) {
				w.Files = append(w.Files, r.file(item, at(field, index)))
			}
		case access:
			w.ControlInterfaceAccess = r.access(value)
		}
	}
	if n.Child(agentField) == nil {
		r.fail(agentField, "is missing: name the agent that shall run it, or write an empty text for none")
	}
	if r.failure != nil {
		r.failure.Workload = name
		return nil, r.failure
	}
	return w, nil
}

// reader makes the model of nodes, and remembers the first thing that is wrong.
type reader struct{ failure *manifest.FieldError }

func (r *reader) fail(field, format string, args ...any) {
	if r.failure == nil {
		r.failure = &manifest.FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}
	}
}

func at(field string, index int) string { return field + "[" + strconv.Itoa(index) + "]" }

func (r *reader) text(n *tree.Node, field string) string {
	if n.Kind() != tree.Text && n.Kind() != tree.Count {
		r.fail(field, "is %s, it must be a text", n.Kind())
	}
	return n.Text()
}

func (r *reader) fields(n *tree.Node, field string) fields {
	if n.Kind() != tree.Map {
		r.fail(field, "is %s, it must be a mapping", n.Kind())
		return nil
	}
	all := make(fields, n.Len())
	for name, value := range n.Children() {
		all[name] = value
	}
	return all
}

func (r *reader) items(n *tree.Node, field string) []*tree.Node {
	if n.Kind() != tree.List {
		r.fail(field, "is %s, it must be a list", n.Kind())
		return nil
	}
	var all []*tree.Node
	for item := range n.Items() {
		all = append(all, item)
	}
	return all
}

func (r *reader) texts(n *tree.Node, field string) map[string]string {
	values := r.fields(n, field)
	if len(values) == 0 {
		return nil
	}
	all := make(map[string]string, len(values))
	for name, value := range values {
		all[name] = r.text(value, field+"."+name)
	}
	return all
}

func (r *reader) textList(n *tree.Node, field string) []string {
	var all []string
	for index, item := range r.items(n, field) {
		all = append(all, r.text(item, at(field, index)))
	}
	return all
}

// word reads the word for a number; names has all numbers.
func word[T ~int32](r *reader, n *tree.Node, field string, text func(T) string, names map[int32]string) T {
	written := r.text(n, field)
	var known []string
	for _, number := range slices.Sorted(maps.Keys(names)) {
		if text(T(number)) == written {
			return T(number)
		}
		known = append(known, text(T(number)))
	}
	r.fail(field, "'%s' is not known: use one of %s", shorten(written), strings.Join(known, ", "))
	return 0
}

func (r *reader) dependencies(n *tree.Node) map[string]argosyv1.DependencyCondition {
	values := r.fields(n, dependencies)
	if len(values) == 0 {
		return nil
	}
	all := make(map[string]argosyv1.DependencyCondition, len(values))
	for name, value := range values {
		all[name] = word(r, value, dependencies+"."+name, manifest.ConditionText, argosyv1.DependencyCondition_name)
	}
	return all
}

func (r *reader) file(n *tree.Node, field string) *argosyv1.File {
	file := &argosyv1.File{}
	values := r.fields(n, field)
	if path, ok := values[mountPoint]; ok {
		file.MountPoint = r.text(path, field+"."+mountPoint)
	}
	text, isText := values[data]
	binary, isBinary := values[binaryData]
	switch {
	case isText && isBinary:
		r.fail(field, "has both data and binaryData: remove one")
	case isText:
		file.Content = &argosyv1.File_Data{Data: r.text(text, field+"."+data)}
	case isBinary:
		file.Content = &argosyv1.File_BinaryData{BinaryData: r.text(binary, field+"."+binaryData)}
	}
	return file
}

// access returns nil when there are no rules.
func (r *reader) access(n *tree.Node) *argosyv1.ControlInterfaceAccess {
	rules := &argosyv1.ControlInterfaceAccess{}
	values := r.fields(n, access)
	for name, list := range map[string]*[]*argosyv1.AccessRule{allowRules: &rules.AllowRules, denyRules: &rules.DenyRules} {
		value, ok := values[name]
		if !ok {
			continue
		}
		field := access + "." + name
		for index, item := range r.items(value, field) {
			*list = append(*list, r.rule(item, at(field, index)))
		}
	}
	if len(rules.AllowRules)+len(rules.DenyRules) == 0 {
		return nil
	}
	return rules
}

func (r *reader) rule(n *tree.Node, field string) *argosyv1.AccessRule {
	values := r.fields(n, field)
	switch kind := r.text(values[typeField], field+"."+typeField); kind {
	case typeOfStateRule:
		rule := &argosyv1.StateRule{}
		if value, ok := values[operation]; ok {
			rule.Operation = word(r, value, field+"."+operation, manifest.OperationText, argosyv1.AccessOperation_name)
		}
		// Ankaios knows the field by both names.
		for _, name := range []string{filterMasks, "filterMask"} {
			if value, ok := values[name]; ok {
				rule.FilterMasks = r.textList(value, field+"."+name)
				break
			}
		}
		return &argosyv1.AccessRule{Kind: &argosyv1.AccessRule_State{State: rule}}
	case typeOfLogRule:
		rule := &argosyv1.LogRule{}
		if value, ok := values[workloadNames]; ok {
			rule.WorkloadNames = r.textList(value, field+"."+workloadNames)
		}
		return &argosyv1.AccessRule{Kind: &argosyv1.AccessRule_Log{Log: rule}}
	default:
		r.fail(field+"."+typeField, "'%s' is not a type of rule: use %s or %s", shorten(kind), typeOfStateRule, typeOfLogRule)
		return nil
	}
}

// itemOf makes a config of what stands in desiredState. Trees are no deeper than
// they are read.
func itemOf(n *tree.Node) *argosyv1.ConfigItem {
	switch n.Kind() {
	case tree.List:
		list := &argosyv1.ConfigList{}
		for item := range n.Items() {
			list.Items = append(list.Items, itemOf(item))
		}
		return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_List{List: list}}
	case tree.Map:
		items := make(map[string]*argosyv1.ConfigItem, n.Len())
		for key, item := range n.Children() {
			items[key] = itemOf(item)
		}
		return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Map{Map: &argosyv1.ConfigMap{Items: items}}}
	default:
		return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: n.Text()}}
	}
}

// shorten keeps a wrong text from flooding an error message.
func shorten(s string) string {
	const longest = 80
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}
