package manifest_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestChanges(t *testing.T) {
	base := &argosyv1.Workload{
		Name: "web", Agent: "a1", Runtime: "podman", RuntimeConfig: "image: x\n", Tags: map[string]string{"owner": "me"},
		Files: []*argosyv1.File{dataFile("/a", "1"), dataFile("/b", "2")},
	}
	template := &argosyv1.Workload{
		Name: "web", Agent: "{{c.agent}}", Runtime: "podman", RuntimeConfig: "image: {{c.image}}", Configs: map[string]string{"c": "k"},
		Files:    []*argosyv1.File{dataFile("/a", "{{c.a}}")},
		Rendered: &argosyv1.Rendered{Agent: "a1", RuntimeConfig: "image: x", Files: []*argosyv1.File{dataFile("/a", "1")}},
	}
	read := argosyv1.AccessOperation_ACCESS_OPERATION_READ
	tests := []struct {
		name   string
		before *argosyv1.Workload
		change func(*argosyv1.Workload)
		want   []manifest.FieldChange
	}{
		{"nothing", base, func(w *argosyv1.Workload) { w.Revision = 7 }, nil},
		{"the agent", base, func(w *argosyv1.Workload) { w.Agent = "" }, []manifest.FieldChange{{Field: "agent", Old: "a1", Restarts: true}}},
		{"the runtime", base, func(w *argosyv1.Workload) { w.Runtime = "process" }, []manifest.FieldChange{{Field: "runtime", Old: "podman", New: "process", Restarts: true}}},
		{"what runs", base, func(w *argosyv1.Workload) { w.RuntimeConfig = "image: y\n" }, []manifest.FieldChange{{Field: "runtimeConfig", Old: "image: x\n", New: "image: y\n", Restarts: true}}},
		{"white space around what runs", base, func(w *argosyv1.Workload) { w.RuntimeConfig = "image: x" }, []manifest.FieldChange{{Field: "runtimeConfig", Old: "image: x\n", New: "image: x"}}},
		{"the policy", base, func(w *argosyv1.Workload) { w.RestartPolicy = 2 }, []manifest.FieldChange{{Field: "restartPolicy", Old: "NEVER", New: "ALWAYS"}}},
		{
			"tags", base, func(w *argosyv1.Workload) { w.Tags = map[string]string{"new": "", "owner": "you"} },
			[]manifest.FieldChange{{Field: "tags.new", New: `""`}, {Field: "tags.owner", Old: "me", New: "you"}},
		},
		{
			"dependencies", base, func(w *argosyv1.Workload) {
				w.Dependencies = map[string]argosyv1.DependencyCondition{"db": argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING}
			},
			[]manifest.FieldChange{{Field: "dependencies.db", New: "ADD_COND_RUNNING"}},
		},
		{
			"files", base, func(w *argosyv1.Workload) { w.Files = []*argosyv1.File{binaryFile("/a", "1"), dataFile("/c", "3")} },
			[]manifest.FieldChange{
				{Field: "files[/a]", Old: "data: 1", New: "binaryData: 1", Restarts: true},
				{Field: "files[/b]", Old: "data: 2", Restarts: true},
				{Field: "files[/c]", New: "data: 3", Restarts: true},
			},
		},
		{
			"the order of files", base, func(w *argosyv1.Workload) { slices.Reverse(w.Files) },
			[]manifest.FieldChange{{Field: "files", Old: "/a, /b", New: "/b, /a", Restarts: true}},
		},
		{
			"the first allow rule", base, func(w *argosyv1.Workload) {
				w.ControlInterfaceAccess = &argosyv1.ControlInterfaceAccess{AllowRules: []*argosyv1.AccessRule{stateRule(read, "a", "b")}, DenyRules: []*argosyv1.AccessRule{logRule("c")}}
			},
			[]manifest.FieldChange{
				{Field: "controlInterfaceAccess.allowRules", New: "StateRule Read: a, b", Restarts: true},
				{Field: "controlInterfaceAccess.denyRules", New: "LogRule logs: c"},
			},
		},
		{
			"a second allow rule", &argosyv1.Workload{ControlInterfaceAccess: &argosyv1.ControlInterfaceAccess{AllowRules: []*argosyv1.AccessRule{logRule("a")}}},
			func(w *argosyv1.Workload) {
				w.ControlInterfaceAccess.AllowRules = append(w.ControlInterfaceAccess.AllowRules, stateRule(read, "b"))
			},
			[]manifest.FieldChange{{Field: "controlInterfaceAccess.allowRules", Old: "LogRule logs: a", New: "LogRule logs: a\nStateRule Read: b"}},
		},
		{
			"a config that a template uses", template, func(w *argosyv1.Workload) {
				w.Rendered.RuntimeConfig, w.Rendered.Files[0] = "image: y", dataFile("/a", "2")
			},
			[]manifest.FieldChange{
				{Field: "runtimeConfig", Old: "image: x", New: "image: y", Rendered: true, Restarts: true},
				{Field: "files[/a]", Old: "data: 1", New: "data: 2", Rendered: true, Restarts: true},
			},
		},
		{
			"a template that is rendered to the same", template, func(w *argosyv1.Workload) { w.Configs["d"], w.Agent = "l", "{{d.agent}}" },
			[]manifest.FieldChange{{Field: "agent", Old: "{{c.agent}}", New: "{{d.agent}}"}, {Field: "configs.d", New: "l"}},
		},
		{
			"a template that is not rendered yet", template, func(w *argosyv1.Workload) { w.Rendered, w.Configs["c"] = nil, "l" },
			[]manifest.FieldChange{{Field: "configs.c", Old: "k", New: "l", Restarts: true}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			after := proto.CloneOf(test.before)
			test.change(after)
			if got := manifest.Changes(test.before, after); !slices.Equal(got, test.want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, test.want)
			}
		})
	}
}

func TestChangesOfWhatIsNewOrGone(t *testing.T) {
	w := &argosyv1.Workload{Name: "web", Agent: "a", Runtime: "r", RuntimeConfig: "c"}
	want := []manifest.FieldChange{{Field: "agent", New: "a"}, {Field: "runtime", New: "r"}, {Field: "runtimeConfig", New: "c"}}
	if got := manifest.Changes(nil, w); !slices.Equal(got, want) {
		t.Errorf("created: %+v", got)
	}
	for i := range want {
		want[i].Old, want[i].New = want[i].New, ""
	}
	if got := manifest.Changes(w, nil); !slices.Equal(got, want) {
		t.Errorf("deleted: %+v", got)
	}
}

func TestChangesAreFoundWhereverTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := drawWorkload(t), drawWorkload(t)
		after.Name = before.Name
		changes := manifest.Changes(before, after)
		if proto.Equal(before, after) != (len(changes) == 0) {
			t.Fatalf("%+v between\n%v\n%v", changes, before, after)
		}
		if changes := manifest.Changes(before, proto.CloneOf(before)); len(changes) > 0 {
			t.Fatalf("%+v between equals", changes)
		}
	})
}

func TestDiff(t *testing.T) {
	want := "--- is\n+++ shall be\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"
	if got := string(manifest.Diff("is", []byte("a\nb\nc\n"), "shall be", []byte("a\nB\nc\n"))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := manifest.Diff("is", []byte("a\n"), "shall be", []byte("a\n")); got != nil {
		t.Errorf("got %q for equal texts", got)
	}
}
