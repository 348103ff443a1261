package manifest_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/manifest/complete"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// hostile are texts that mean something else in YAML when they are not quoted,
// or that a way of quoting does not keep.
var hostile = []string{
	"", " ", "\n", "\n\n", "x\n", "x\n\n", " x", "x ", "\tx", "x\ty", "x\r\ny", "\r", "- x", "? x", ": x", "x: y", "#x", "x #y", "&a", "*a", "!t", "|", ">", "%x", "@x", "`x`",
	"'", "\"", "''", "\\", "\\n", "{{a}}", "{{#each a}}\n- {{this}}\n{{/each}}\n", "{{> indent content=a}}", "{a: b}", "[a]", "a,b", "---", "--- x", "...", "null", "~", "true", "No", "on",
	"1", "1.5", "0x1f", "0o7", "1_000", "1e3", ".inf", ".NaN", "2026-01-02", "12:30:45", "<<", "=", "\u0085", "a\u0085b\nc", "\u2028", "\u2029x", "\ufeff", "\ufeffx", "\u00a0", "\u00a0x\ny", "\u200b",
	"\x00", "\x1b[31m", "\x7f", "\u009f", "\ufffe", "\uffff", "\U0010ffff", "\U0001f600", "ä", "日本語\nの", "a\n b\n  c", "  a\nb", "a\n\n\nb", "a\n\t\nb", "a \nb", "a\n#b\n", "a\n---\nb", "k: |\n  x\n  y",
}

var texts = rapid.OneOf(
	rapid.SampledFrom(hostile),
	rapid.StringMatching(`[ -~]{0,20}`),
	rapid.String(),
	rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(hostile), 1, 4).Draw(t, "parts"), rapid.SampledFrom([]string{"", "\n", " "}).Draw(t, "between"))
	}),
)

var names = rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9_-]{1,12}`), rapid.SampledFrom([]string{"null", "true", "1", "0x1", "1e3", "-", "---", "No", "~"[:0] + "y", strings.Repeat("a", 63)}))

func drawWorkload(t *rapid.T) *argosyv1.Workload {
	w := &argosyv1.Workload{
		Name:          names.Draw(t, "name"),
		Runtime:       names.Draw(t, "runtime"),
		RuntimeConfig: texts.Draw(t, "config") + rapid.SampledFrom([]string{"x", "x\n", "\nx"}).Draw(t, "end"),
		RestartPolicy: argosyv1.RestartPolicy(rapid.IntRange(0, 2).Draw(t, "policy")),
		Tags:          rapid.MapOfN(texts.Filter(func(s string) bool { return s != "" }), texts, 0, 3).Draw(t, "tags"),
		Configs:       rapid.MapOfN(names, names, 0, 2).Draw(t, "configs"),
		Files:         rapid.SliceOfNDistinct(rapid.Custom(drawFile), 0, 3, (*argosyv1.File).GetMountPoint).Draw(t, "files"),
		Dependencies: rapid.MapOfN(names, rapid.Custom(func(t *rapid.T) argosyv1.DependencyCondition {
			return argosyv1.DependencyCondition(rapid.IntRange(0, 2).Draw(t, "condition"))
		}), 0, 3).Draw(t, "dependencies"),
	}
	delete(w.Dependencies, w.Name)
	if rapid.Bool().Draw(t, "scheduled") {
		w.Agent = names.Draw(t, "agent")
	}
	if len(w.Configs) > 0 && rapid.Bool().Draw(t, "templates") {
		w.Agent = "{{a}}" + texts.Draw(t, "agent")
	}
	if rapid.Bool().Draw(t, "access") {
		rules := rapid.SliceOfN(rapid.Custom(drawRule), 1, 3)
		w.ControlInterfaceAccess = &argosyv1.ControlInterfaceAccess{AllowRules: rules.Draw(t, "allow"), DenyRules: rules.Draw(t, "deny")}
	}
	return w
}

func drawFile(t *rapid.T) *argosyv1.File {
	path := "/" + rapid.StringMatching(`[a-z #:'"{},\[\]&*-]{1,8}`).Draw(t, "path")
	if rapid.Bool().Draw(t, "binary") {
		data := base64.StdEncoding.EncodeToString(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		return binaryFile(path, strings.ReplaceAll(data, "A", "A\n"))
	}
	return dataFile(path, texts.Draw(t, "data"))
}

func drawRule(t *rapid.T) *argosyv1.AccessRule {
	masks := rapid.SliceOfN(rapid.SampledFrom([]string{"*", "desiredState", "a.*.b", "1", "null.true", "desiredState.workloads.web"}), 1, 3)
	if rapid.Bool().Draw(t, "log") {
		return logRule(rapid.SliceOfN(rapid.SampledFrom([]string{"*", "a*", "*-b", "true", "1"}), 1, 3).Draw(t, "names")...)
	}
	return stateRule(argosyv1.AccessOperation(rapid.IntRange(0, 3).Draw(t, "operation")), masks.Draw(t, "masks")...)
}

func drawItem(depth int) *rapid.Generator[*argosyv1.ConfigItem] {
	return rapid.Custom(func(t *rapid.T) *argosyv1.ConfigItem {
		kind := 0
		if depth > 0 {
			kind = rapid.IntRange(0, 2).Draw(t, "kind")
		}
		switch kind {
		case 1:
			list := &argosyv1.ConfigList{Items: rapid.SliceOfN(drawItem(depth-1), 0, 3).Draw(t, "items")}
			return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_List{List: list}}
		case 2:
			fields := &argosyv1.ConfigMap{Items: rapid.MapOfN(names, drawItem(depth-1), 0, 3).Draw(t, "fields")}
			return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Map{Map: fields}}
		}
		return item(texts.Draw(t, "text"))
	})
}

func TestFormatIsReadBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workloads := rapid.SliceOfNDistinct(rapid.Custom(drawWorkload), 0, 3, (*argosyv1.Workload).GetName).Draw(t, "workloads")
		configs := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) *argosyv1.Config {
			return &argosyv1.Config{Key: names.Draw(t, "key"), Value: drawItem(3).Draw(t, "value")}
		}), 0, 3, (*argosyv1.Config).GetKey).Draw(t, "configs")
		text := manifest.Format(workloads, configs)
		m, err := manifest.Parse(text, manifest.Options{Strict: true})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		compareAll(t, string(text), m, workloads, configs)

		// What users see of the state reads back as well; JSON is YAML.
		state := complete.Of(&argosyv1.GetStateResponse{Workloads: workloads, Configs: configs}).Tree().Child("desiredState")
		for _, seen := range [][]byte{state.YAML(), state.JSON()} {
			if m, err = manifest.Parse(seen, manifest.Options{Strict: true}); err != nil {
				t.Fatalf("%v\n%s", err, seen)
			}
			compareAll(t, string(seen), m, workloads, configs)
		}
	})
}

func compareAll(t *rapid.T, text string, m *manifest.Manifest, workloads []*argosyv1.Workload, configs []*argosyv1.Config) {
	t.Helper()
	if len(m.Workloads) != len(workloads) || len(m.Configs) != len(configs) || len(m.Warnings) > 0 && !strings.Contains(strings.Join(m.Warnings, ""), "Nothing") {
		t.Fatalf("got %d workloads and %d configs, warnings %q, from\n%s", len(m.Workloads), len(m.Configs), m.Warnings, text)
	}
	read := map[string]proto.Message{}
	for _, w := range m.Workloads {
		read["w"+w.GetName()] = w
	}
	for _, c := range m.Configs {
		read["c"+c.GetKey()] = c
	}
	for _, w := range workloads {
		if got := read["w"+w.GetName()]; !proto.Equal(got, w) {
			t.Fatalf("\n got %v\nwant %v\n%s", got, w, text)
		}
	}
	for _, c := range configs {
		if got := read["c"+c.GetKey()]; !proto.Equal(got, c) {
			t.Fatalf("\n got %v\nwant %v\n%s", got, c, text)
		}
	}
}

func TestFormatWritesWhatPeopleRead(t *testing.T) {
	w := &argosyv1.Workload{
		Name: "web", Agent: "{{site.agent}}", Runtime: "podman", RuntimeConfig: "image: nginx\nports:\n\n- x\n",
		Configs: map[string]string{"site": "berlin"}, Tags: map[string]string{"owner": "me"},
		Dependencies:           map[string]argosyv1.DependencyCondition{"db": argosyv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED},
		Files:                  []*argosyv1.File{dataFile("/etc/a", "one\ntwo\n"), binaryFile("/etc/b", "eA==")},
		ControlInterfaceAccess: &argosyv1.ControlInterfaceAccess{AllowRules: []*argosyv1.AccessRule{stateRule(argosyv1.AccessOperation_ACCESS_OPERATION_READ, "*"), logRule("*")}},
		Rendered:               &argosyv1.Rendered{Agent: "a1", RuntimeConfig: "image: nginx\n", Files: []*argosyv1.File{dataFile("/etc/a", "1")}},
	}
	berlin := &argosyv1.Config{Key: "berlin", Value: item(map[string]any{"agent": "a1", "hosts": []any{"a", "b\nc\n", []any{"d"}, map[string]any{"e": "f"}}})}
	want := `apiVersion: v1
workloads:
  web:
    agent: "{{site.agent}}"
    runtime: podman
    restartPolicy: NEVER
    tags:
      owner: me
    dependencies:
      db: ADD_COND_SUCCEEDED
    configs:
      site: berlin
    runtimeConfig: |
      image: nginx
      ports:

      - x
    files:
      - mountPoint: "/etc/a"
        data: |
          one
          two
      - mountPoint: "/etc/b"
        binaryData: "eA=="
    controlInterfaceAccess:
      allowRules:
        - type: StateRule
          operation: Read
          filterMasks: ["*"]
        - type: LogRule
          workloadNames: ["*"]
configs:
  berlin:
    agent: a1
    hosts:
      - a
      - |
        b
        c
      -
        - d
      -
        e: f
`
	if got := string(manifest.Format([]*argosyv1.Workload{w}, []*argosyv1.Config{berlin})); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	rendered := `apiVersion: v1
workloads:
  web:
    agent: a1
    runtime: podman
    restartPolicy: NEVER
    runtimeConfig: "image: nginx\n"
    files:
      - mountPoint: "/etc/a"
        data: "1"
`
	w.Tags, w.Dependencies, w.ControlInterfaceAccess = nil, nil, nil
	if got := string(manifest.Format([]*argosyv1.Workload{w.Effective()}, nil)); got != rendered {
		t.Errorf("got\n%s\nwant\n%s", got, rendered)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"apiVersion: v1\nworkloads:\n  a: &x {runtime: r, runtimeConfig: 'c'}\n  b: *x\n",
		"apiVersion: v0.1\nworkloads: {a: {tags: [{key: 1, value: }]}}\n",
		"&a [*a]",
		"apiVersion: v1\nconfigs: {a: &a [x, {b: [*a]}], c: \"\\u2028\"}\n",
		"apiVersion: v1\nworkloads:\n  a:\n    <<: [{runtime: r}, {runtimeConfig: c}]\n    dependencies: {b: ADD_COND_FAILED}\n    configs: {c: d}\n    agent: '{{c}}'\n",
		"apiVersion: v1\nworkloads: {a: {runtime: r, runtimeConfig: c, files: [{mountPoint: /a, data: |-\n}, {mountPoint: /b, binaryData: e A = =}]}}\n",
		"apiVersion: v1\nworkloads:\n  a:\n    runtime: r\n    runtimeConfig: |\n      x\n    files:\n    - mountPoint: /a\n      data: >+\n        x\n\n        y\n",
		"apiVersion: v1\nworkloads:\n  a:\n    runtime: r\n    runtimeConfig: c\n    controlInterfaceAccess:\n      allowRules:\n      - {type: StateRule, operation: Read, filterMask: ['*']}\n      denyRules:\n      - {type: LogRule, workloadNames: ['a*']}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := manifest.Parse(text, manifest.Options{})
		if (m == nil) == (err == nil) {
			t.Fatalf("manifest %v and error %v", m, err)
		}
		if err != nil {
			return
		}
		written := manifest.Format(m.Workloads, m.Configs)
		again, err := manifest.Parse(written, manifest.Options{Strict: true})
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		sameMessages(t, "workloads", again.Workloads, m.Workloads)
		sameMessages(t, "configs", again.Configs, m.Configs)
	})
}
