package manifest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// FieldChange is what differs in one field of a workload.
type FieldChange struct {
	// Field is its path as in the manifest: agent, tags.owner,
	// files[/etc/app.conf].
	Field string
	// Old and New are its texts; empty where it is not set.
	Old, New string
	// Rendered tells that the template has not changed, but what it is rendered
	// to has; the texts are that.
	Rendered bool
	// Restarts tells that the agent must start the workload anew for it. When a
	// side has templates and is not rendered, every change of a template or of
	// its configs is taken to do so.
	Restarts bool
}

// Changes returns what differs between two states of a workload, in the order of
// the fields in a manifest. Either may be nil, for one that does not exist; then
// nothing restarts.
func Changes(before, after *argosyv1.Workload) []FieldChange {
	c := &comparison{both: before != nil && after != nil}
	if before == nil {
		before = &argosyv1.Workload{}
	}
	if after == nil {
		after = &argosyv1.Workload{}
	}
	was, is := before.Effective(), after.Effective()
	// What a side that is not rendered will be, only the servers know.
	c.known = len(was.GetConfigs()) == 0 && len(is.GetConfigs()) == 0

	c.template("agent", before.GetAgent(), after.GetAgent(), was.GetAgent(), is.GetAgent())
	c.add("runtime", before.GetRuntime(), after.GetRuntime(), true)
	if c.both {
		c.add("restartPolicy", RestartPolicyText(before.GetRestartPolicy()), RestartPolicyText(after.GetRestartPolicy()), false)
	}
	c.texts("tags", before.GetTags(), after.GetTags(), false)
	c.texts("dependencies", conditionTexts(before), conditionTexts(after), false)
	c.texts("configs", before.GetConfigs(), after.GetConfigs(), !c.known)
	c.runtimeConfig(before, after, was, is)
	c.files(before, after, was, is)
	c.access(before.GetControlInterfaceAccess(), after.GetControlInterfaceAccess())
	return c.changes
}

type comparison struct {
	changes []FieldChange
	// both sides exist.
	both bool
	// known tells that what both sides are rendered to is known.
	known bool
}

func (c *comparison) add(field, before, after string, restarts bool) {
	if before != after {
		c.changes = append(c.changes, FieldChange{Field: field, Old: before, New: after, Restarts: restarts && c.both})
	}
}

// template compares a field that may be a template, and what it is rendered to.
func (c *comparison) template(field, before, after, was, is string) {
	switch {
	case before != after:
		c.add(field, before, after, !c.known || was != is)
	case was != is && c.known:
		c.changes = append(c.changes, FieldChange{Field: field, Old: was, New: is, Rendered: true, Restarts: c.both})
	}
}

func (c *comparison) texts(field string, before, after map[string]string, restarts bool) {
	for _, key := range slices.Sorted(maps.Keys(merge(before, after))) {
		c.add(field+"."+key, textOf(before, key), textOf(after, key), restarts)
	}
}

func (c *comparison) runtimeConfig(before, after, was, is *argosyv1.Workload) {
	from := len(c.changes)
	c.template("runtimeConfig", before.GetRuntimeConfig(), after.GetRuntimeConfig(), was.GetRuntimeConfig(), is.GetRuntimeConfig())
	for i := range c.changes[from:] {
		// White space around it is no part of what runs.
		if c.known && strings.TrimSpace(was.GetRuntimeConfig()) == strings.TrimSpace(is.GetRuntimeConfig()) {
			c.changes[from+i].Restarts = false
		}
	}
}

func (c *comparison) files(before, after, was, is *argosyv1.Workload) {
	old, now := fileTexts(before.GetFiles()), fileTexts(after.GetFiles())
	wasTexts, isTexts := fileTexts(was.GetFiles()), fileTexts(is.GetFiles())
	from := len(c.changes)
	for _, path := range slices.Sorted(maps.Keys(merge(old, now))) {
		c.template("files["+path+"]", old[path], now[path], wasTexts[path], isTexts[path])
	}
	if len(c.changes) == from && !slices.EqualFunc(before.GetFiles(), after.GetFiles(), sameFile) {
		c.add("files", mountPoints(before.GetFiles()), mountPoints(after.GetFiles()), true)
	}
}

func sameFile(a, b *argosyv1.File) bool { return a.GetMountPoint() == b.GetMountPoint() }

func (c *comparison) access(before, after *argosyv1.ControlInterfaceAccess) {
	old, now := ruleTexts(before), ruleTexts(after)
	// A workload whose rules allow nothing has no control interface.
	appears := (len(before.GetAllowRules()) > 0) != (len(after.GetAllowRules()) > 0)
	for _, list := range []string{"allowRules", "denyRules"} {
		c.add("controlInterfaceAccess."+list, old[list], now[list], appears && list == "allowRules")
	}
}

// textOf tells an empty text from none.
func textOf(texts map[string]string, key string) string {
	text, ok := texts[key]
	if ok && text == "" {
		return `""`
	}
	return text
}

func merge(a, b map[string]string) map[string]string {
	all := make(map[string]string, len(a)+len(b))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

func conditionTexts(w *argosyv1.Workload) map[string]string {
	texts := map[string]string{}
	for name, condition := range w.GetDependencies() {
		texts[name] = ConditionText(condition)
	}
	return texts
}

// fileTexts are the contents of files by their places, each with its kind: the
// same letters are other bytes in base64.
func fileTexts(files []*argosyv1.File) map[string]string {
	texts := map[string]string{}
	for _, file := range files {
		switch content := file.GetContent().(type) {
		case *argosyv1.File_Data:
			texts[file.GetMountPoint()] = "data: " + content.Data
		case *argosyv1.File_BinaryData:
			texts[file.GetMountPoint()] = "binaryData: " + content.BinaryData
		}
	}
	return texts
}

func mountPoints(files []*argosyv1.File) string {
	paths := make([]string, len(files))
	for i, file := range files {
		paths[i] = file.GetMountPoint()
	}
	return strings.Join(paths, ", ")
}

// ruleTexts are the rules of both lists, a line each.
func ruleTexts(access *argosyv1.ControlInterfaceAccess) map[string]string {
	texts := map[string]string{}
	for list, rules := range map[string][]*argosyv1.AccessRule{"allowRules": access.GetAllowRules(), "denyRules": access.GetDenyRules()} {
		var lines []string
		for _, rule := range rules {
			switch kind := rule.GetKind().(type) {
			case *argosyv1.AccessRule_State:
				lines = append(lines, fmt.Sprintf("%s %s: %s", ruleOfState, OperationText(kind.State.GetOperation()), strings.Join(kind.State.GetFilterMasks(), ", ")))
			case *argosyv1.AccessRule_Log:
				lines = append(lines, fmt.Sprintf("%s logs: %s", ruleOfLogs, strings.Join(kind.Log.GetWorkloadNames(), ", ")))
			}
		}
		texts[list] = strings.Join(lines, "\n")
	}
	return texts
}

// Diff returns what differs between two texts, line by line with some lines
// around, as patch(1) reads it; nil when they are equal. The names stand at its
// head.
func Diff(oldName string, before []byte, newName string, after []byte) []byte {
	text := diff.Diff(oldName, before, newName, after)
	// Its first line is a command that nobody has run.
	_, text, _ = bytes.Cut(text, []byte("\n"))
	return text
}
