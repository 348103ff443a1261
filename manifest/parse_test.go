package manifest_test

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/manifest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func dataFile(path, data string) *argosyv1.File {
	return &argosyv1.File{MountPoint: path, Content: &argosyv1.File_Data{Data: data}}
}

func binaryFile(path, data string) *argosyv1.File {
	return &argosyv1.File{MountPoint: path, Content: &argosyv1.File_BinaryData{BinaryData: data}}
}

func stateRule(operation argosyv1.AccessOperation, masks ...string) *argosyv1.AccessRule {
	return &argosyv1.AccessRule{Kind: &argosyv1.AccessRule_State{State: &argosyv1.StateRule{Operation: operation, FilterMasks: masks}}}
}

func logRule(names ...string) *argosyv1.AccessRule {
	return &argosyv1.AccessRule{Kind: &argosyv1.AccessRule_Log{Log: &argosyv1.LogRule{WorkloadNames: names}}}
}

// item makes a config of texts, []any and map[string]any.
func item(value any) *argosyv1.ConfigItem {
	switch v := value.(type) {
	case []any:
		list := &argosyv1.ConfigList{}
		for _, one := range v {
			list.Items = append(list.Items, item(one))
		}
		return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_List{List: list}}
	case map[string]any:
		fields := &argosyv1.ConfigMap{Items: map[string]*argosyv1.ConfigItem{}}
		for key, one := range v {
			fields.Items[key] = item(one)
		}
		return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Map{Map: fields}}
	}
	return &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: value.(string)}}
}

func sameMessages[M proto.Message](t *testing.T, what string, got, want []M) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d %s, want %d: %v", len(got), what, len(want), got)
	}
	for i := range want {
		if !proto.Equal(got[i], want[i]) {
			t.Errorf("%s %d:\n got %v\nwant %v", what, i, got[i], want[i])
		}
	}
}

func TestParseReadsWhatUsersWrite(t *testing.T) {
	tests := []struct {
		name    string
		text    string
		want    []*argosyv1.Workload
		configs []*argosyv1.Config
		warn    string
	}{
		{
			name: "all fields",
			text: `
apiVersion: v1
workloads:
  web:
    agent: agent_A
    runtime: podman
    restartPolicy: ALWAYS
    tags: {owner: me, port: 80}
    runtimeConfig: |
      image: nginx
`,
			want: []*argosyv1.Workload{{
				Name: "web", Agent: "agent_A", Runtime: "podman", RuntimeConfig: "image: nginx\n",
				RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS,
				Tags:          map[string]string{"owner": "me", "port": "80"},
			}},
		},
		{
			name: "anchors and merge keys",
			text: `
apiVersion: v1
workloads:
  a: &base
    agent: one
    runtime: process
    runtimeConfig: "command: /bin/true"
  b:
    <<: *base
    agent: two
`,
			want: []*argosyv1.Workload{
				{Name: "a", Agent: "one", Runtime: "process", RuntimeConfig: "command: /bin/true"},
				{Name: "b", Agent: "two", Runtime: "process", RuntimeConfig: "command: /bin/true"},
			},
		},
		{
			name: "the deprecated version with a list of tags",
			text: `
apiVersion: v0.1
workloads:
  a:
    runtime: podman
    runtimeConfig: "image: x"
    tags:
      - key: k
        value: v
`,
			want: []*argosyv1.Workload{{Name: "a", Runtime: "podman", RuntimeConfig: "image: x", Tags: map[string]string{"k": "v"}}},
			warn: "deprecated",
		},
		{
			name: "an unknown field is a warning",
			text: "apiVersion: v1\nworkloads:\n  a: {runtime: podman, runtimeConfig: x, colour: red}\n",
			want: []*argosyv1.Workload{{Name: "a", Runtime: "podman", RuntimeConfig: "x"}},
			warn: "line 3: unknown field 'colour'",
		},
		{name: "no workloads", text: "apiVersion: v1\nworkloads:\n"},
		{
			name: "what is empty or null counts as left out",
			text: "apiVersion: v1\nconfigs: {}\nworkloads:\n  a: {runtime: podman, runtimeConfig: x, restartPolicy: , dependencies: {}, files: [], configs: , tags: , controlInterfaceAccess: {allowRules: []}}\n",
			want: []*argosyv1.Workload{{Name: "a", Runtime: "podman", RuntimeConfig: "x"}},
		},
		{
			name: "everything there is",
			text: `
apiVersion: v1
workloads:
  web:
    agent: '{{site.agent}}'
    runtime: podman
    restartPolicy: ON_FAILURE
    dependencies:
      db: ADD_COND_RUNNING
      migrate: ADD_COND_SUCCEEDED
      old: ADD_COND_FAILED
    configs: {site: production}
    runtimeConfig: "image: {{site.image}}"
    files:
      - mountPoint: /etc/app.conf
        data: |
          level = info
      - mountPoint: /etc/key
        binaryData: |
          aGVs
          bG8=
      - mountPoint: /etc/empty
        data:
    controlInterfaceAccess:
      allowRules:
        - type: StateRule
          operation: ReadWrite
          filterMasks: ["desiredState.workloads.*.agent", "*"]
        - {type: LogRule, workloadNames: [web, "app-*", "*"]}
      denyRules:
        - {type: StateRule, operation: Write, filterMask: [desiredState.configs]}
configs:
  production: {agent: a1, image: "nginx", ports: ["80", [], {}]}
  empty: ""
`,
			want: []*argosyv1.Workload{{
				Name: "web", Agent: "{{site.agent}}", Runtime: "podman", RuntimeConfig: "image: {{site.image}}",
				RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ON_FAILURE,
				Dependencies: map[string]argosyv1.DependencyCondition{
					"db":      argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING,
					"migrate": argosyv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED,
					"old":     argosyv1.DependencyCondition_DEPENDENCY_CONDITION_FAILED,
				},
				Configs: map[string]string{"site": "production"},
				Files: []*argosyv1.File{
					dataFile("/etc/app.conf", "level = info\n"), binaryFile("/etc/key", "aGVs\nbG8=\n"), dataFile("/etc/empty", ""),
				},
				ControlInterfaceAccess: &argosyv1.ControlInterfaceAccess{
					AllowRules: []*argosyv1.AccessRule{
						stateRule(argosyv1.AccessOperation_ACCESS_OPERATION_READ_WRITE, "desiredState.workloads.*.agent", "*"),
						logRule("web", "app-*", "*"),
					},
					DenyRules: []*argosyv1.AccessRule{stateRule(argosyv1.AccessOperation_ACCESS_OPERATION_WRITE, "desiredState.configs")},
				},
			}},
			configs: []*argosyv1.Config{
				{Key: "empty", Value: item("")},
				{Key: "production", Value: item(map[string]any{"agent": "a1", "image": "nginx", "ports": []any{"80", []any{}, map[string]any{}}})},
			},
		},
		{
			name: "what looks like other things is a text in a config",
			text: "apiVersion: v1\nconfigs: {day: 2026-01-02, word: yes, quoted: '1', tagged: !!str 5}\n",
			configs: []*argosyv1.Config{
				{Key: "day", Value: item("2026-01-02")}, {Key: "quoted", Value: item("1")}, {Key: "tagged", Value: item("5")}, {Key: "word", Value: item("yes")},
			},
		},
		{
			name: "of several merge keys the first counts, and what is written counts most",
			text: `
apiVersion: v1
workloads:
  a: &a {agent: one, runtime: r, runtimeConfig: x}
  b: &b {agent: two, runtime: s, runtimeConfig: x, restartPolicy: ALWAYS}
  c:
    <<: [*a, *b]
    runtime: t
`,
			want: []*argosyv1.Workload{
				{Name: "a", Agent: "one", Runtime: "r", RuntimeConfig: "x"},
				{Name: "b", Agent: "two", Runtime: "s", RuntimeConfig: "x", RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS},
				{Name: "c", Agent: "one", Runtime: "t", RuntimeConfig: "x", RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS},
			},
		},
		{
			name: "an alias is of the anchor before it",
			text: "apiVersion: v1\nworkloads:\n  a: {agent: &x one, runtime: r, runtimeConfig: c}\n  b: {agent: *x, runtime: &x r, runtimeConfig: c}\n",
			want: []*argosyv1.Workload{
				{Name: "a", Agent: "one", Runtime: "r", RuntimeConfig: "c"}, {Name: "b", Agent: "one", Runtime: "r", RuntimeConfig: "c"},
			},
		},
		{
			name: "an unknown field that is like one, and a file of Windows",
			text: "apiVersion: v1\r\nworkloads:\r\n  a:\r\n    runtime: podman\r\n    runtimeConfig: |\r\n      x\r\n    restart_policy: ALWAYS\r\n",
			want: []*argosyv1.Workload{{Name: "a", Runtime: "podman", RuntimeConfig: "x\n"}},
			warn: "line 7: unknown field 'restart_policy' in workload 'a' is ignored: did you mean 'restartPolicy'?",
		},
		{
			name: "a rule without an operation",
			text: "apiVersion: v1\nworkloads:\n  a: {runtime: r, runtimeConfig: x, controlInterfaceAccess: {denyRules: [{type: StateRule, filterMasks: ['*']}]}}\n",
			want: []*argosyv1.Workload{{Name: "a", Runtime: "r", RuntimeConfig: "x", ControlInterfaceAccess: &argosyv1.ControlInterfaceAccess{
				DenyRules: []*argosyv1.AccessRule{stateRule(argosyv1.AccessOperation_ACCESS_OPERATION_NOTHING, "*")},
			}}},
			warn: "its operation is Nothing",
		},
		{
			name: "several documents",
			text: "apiVersion: v1\nworkloads:\n  a: {runtime: r, runtimeConfig: x}\n---\napiVersion: v1\nworkloads:\n  b: {runtime: r, runtimeConfig: x}\n",
			want: []*argosyv1.Workload{{Name: "a", Runtime: "r", RuntimeConfig: "x"}, {Name: "b", Runtime: "r", RuntimeConfig: "x"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := manifest.Parse([]byte(test.text), manifest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			sameMessages(t, "workloads", m.Workloads, test.want)
			sameMessages(t, "configs", m.Configs, test.configs)
			if got := strings.Join(m.Warnings, "\n"); (test.warn == "") != (got == "") || !strings.Contains(got, test.warn) {
				t.Errorf("warnings %q, want %q", got, test.warn)
			}
		})
	}
}

func TestParseSaysWhereItIsWrong(t *testing.T) {
	workload := func(lines string) string {
		return "apiVersion: v1\nworkloads:\n  web:\n    runtime: podman\n    runtimeConfig: x\n" + lines
	}
	tests := []struct {
		name   string
		text   string
		strict bool
		line   int
		want   string
	}{
		{name: "no version", text: "workloads: {}\n", line: 1, want: "Received ''"},
		{name: "other version", text: "apiVersion: v7\n", line: 1, want: "Received 'v7', expected 'v1'"},
		{name: "broken YAML", text: "apiVersion: v1\nworkloads: [\n", line: 2, want: ""},
		{name: "a key twice", text: "apiVersion: v1\nworkloads:\n  a: {runtime: r}\n  a: {runtime: r}\n", line: 4, want: "already defined"},
		{name: "a list for a mapping", text: "apiVersion: v1\nworkloads: [a]\n", line: 2, want: "must be a mapping"},
		{name: "a mapping for a text", text: workload("    agent: {a: b}\n"), line: 6, want: "agent must be a text, found a mapping"},
		{name: "bad workload name", text: "apiVersion: v1\nworkloads:\n  we.b: {runtime: r, runtimeConfig: x}\n", line: 3, want: "Unsupported workload name 'we.b'. Expected to have characters in [a-zA-Z0-9_-]."},
		{name: "long workload name", text: "apiVersion: v1\nworkloads:\n  " + strings.Repeat("a", 64) + ": {runtime: r, runtimeConfig: x}\n", line: 3, want: "Length 64 exceeds the maximum limit of 63"},
		{name: "bad agent name", text: workload("    agent: a b\n"), line: 6, want: "Unsupported agent name 'a b'"},
		{name: "no runtime", text: "apiVersion: v1\nworkloads:\n  web: {runtimeConfig: x}\n", line: 3, want: "field 'runtime': is missing"},
		{name: "no runtime config", text: "apiVersion: v1\nworkloads:\n  web: {runtime: x}\n", line: 3, want: "field 'runtimeConfig': is missing"},
		{name: "restart policy", text: workload("    restartPolicy: SOMETIMES\n"), line: 6, want: "'SOMETIMES' is not a restart policy"},
		{name: "list of tags", text: workload("    tags: [{key: a, value: b}]\n"), line: 6, want: "For API version 'v1', tags must be specified as a mapping"},
		{name: "a mapping for what runs", text: "apiVersion: v1\nworkloads:\n  web:\n    runtime: podman\n    runtimeConfig:\n      image: x\n", line: 6, want: "found a mapping: write 'runtimeConfig: |'"},
		{name: "other ends of lines", text: "apiVersion: v1\rx: \"\u2028\u2029\u0085\"\r\nconfigs: {a: 1}\n", line: 6, want: "found a number"},
		{name: "an end before its time", text: "apiVersion: v1\nconfigs: {a: \"x\n\n\n", line: 2, want: "while scanning a quoted scalar"},
		{name: "a control character after other ends of lines", text: "apiVersion: v1\r\u0085a: \x01", line: 3, want: "U+0001"},
		{name: "half a merge", text: workload("    <<: x\n"), line: 6, want: "must be a mapping (key: value), found a text"},
		{name: "merge keys without end", text: "apiVersion: v1\nworkloads:\n  a: &a {<<: *a}\n", line: 3, want: "nested more than"},
		{name: "an alias within itself", text: "apiVersion: v1\nconfigs:\n  a: &a [*a]\n", line: 3, want: "nested at most 32 levels"},
		{name: "brackets without end", text: "apiVersion: v1\nconfigs:\n  a: " + strings.Repeat("[", 100), line: 3, want: "nested more than 64 deep"},
		{name: "dashes without end", text: "apiVersion: v1\nconfigs:\n  a:\n    " + strings.Repeat("- ", 100) + "x", line: 4, want: "nested more than 64 deep"},
		{name: "no text", text: "apiVersion: v1\nworkloads: \xff\n", line: 2, want: "not UTF-8"},
		{name: "a control character", text: "apiVersion: v1\nworkloads: a\x01\n", line: 2, want: "U+0001"},
		{name: "a tab for an indent", text: "apiVersion: v1\nworkloads:\n\ta: {}\n", line: 3, want: "a tab begins the line: indent with spaces"},
		{name: "a list for a key", text: "apiVersion: v1\n? [a]\n: b\n", line: 2, want: "a key must be a text, found a list"},

		{name: "a dependency that is no name", text: workload("    dependencies:\n      db: ADD_COND_RUNNING\n      d.b: ADD_COND_RUNNING\n"), line: 8, want: "Unsupported workload name 'd.b'"},
		{name: "a dependency on itself", text: workload("    dependencies: {web: ADD_COND_RUNNING}\n"), line: 6, want: "workload dependency 'web' is part of a cycle."},
		{name: "another condition", text: workload("    dependencies:\n      db: RUNNING\n"), line: 7, want: "'RUNNING' is not a condition of a dependency: use ADD_COND_RUNNING, ADD_COND_SUCCEEDED or ADD_COND_FAILED"},
		{name: "a list of dependencies", text: workload("    dependencies: [db]\n"), line: 6, want: "dependencies must be a mapping (key: value), found a list"},
		{name: "a config alias", text: workload("    configs:\n      a b: c\n"), line: 7, want: "Unsupported config alias 'a b'. Only a-z"},
		{name: "a config reference", text: workload("    configs:\n      a: b c\n"), line: 7, want: "Unsupported config reference key 'b c'. Only a-z"},
		{name: "a template without configs", text: workload("    agent: '{{a}}'\n"), line: 6, want: "Unsupported agent name '{{a}}'"},

		{name: "a file without a place", text: workload("    files:\n      - data: x\n"), line: 7, want: "field 'files[0].mountPoint': is missing"},
		{name: "a file without content", text: workload("    files:\n      - mountPoint: /a\n      - mountPoint: /b\n        data: x\n"), line: 7, want: "field 'files[0]': has no content"},
		{name: "a file with both contents", text: workload("    files:\n      - mountPoint: /a\n        data: x\n        binaryData: eA==\n"), line: 9, want: "either data or binaryData"},
		{name: "a relative path", text: workload("    files:\n      - mountPoint: etc/a\n        data: x\n"), line: 7, want: "'etc/a' is not absolute"},
		{name: "a directory", text: workload("    files:\n      - mountPoint: /etc/\n        data: x\n"), line: 7, want: "'/etc/' ends in '/'"},
		{name: "a path that goes up", text: workload("    files:\n      - mountPoint: /etc/../a\n        data: x\n"), line: 7, want: "has the part '..'"},
		{name: "a path twice", text: workload("    files:\n      - mountPoint: /a\n        data: x\n      - mountPoint: /a\n        data: y\n"), line: 9, want: "'/a' is the mount point of files[0] already"},
		{name: "a file in a file", text: workload("    files:\n      - mountPoint: /a/b/c\n        data: x\n      - mountPoint: /a-b\n        data: x\n      - mountPoint: /a\n        data: y\n"), line: 7, want: "'/a/b/c' is below '/a', which is a file"},
		{name: "no base64", text: workload("    files:\n      - mountPoint: /a\n        binaryData: 'a'\n"), line: 8, want: "is not base64"},
		{name: "unknown field of a file, strict", text: workload("    files:\n      - mountpoint: /a\n        data: x\n"), strict: true, line: 7, want: "unknown field 'mountpoint' in a file of workload 'web': did you mean 'mountPoint'?"},

		{name: "a rule without a type", text: workload("    controlInterfaceAccess:\n      allowRules:\n        - operation: Read\n"), line: 8, want: "needs a type: StateRule or LogRule"},
		{name: "another type", text: workload("    controlInterfaceAccess:\n      allowRules:\n        - operation: Read\n          type: Rule\n"), line: 9, want: "'Rule' is not a type of access rule"},
		{name: "another operation", text: workload("    controlInterfaceAccess:\n      denyRules:\n        - type: StateRule\n          operation: read\n"), line: 9, want: "'read' is not an operation: use Nothing, Read, Write or ReadWrite"},
		{name: "no masks", text: workload("    controlInterfaceAccess:\n      allowRules:\n        - type: StateRule\n          operation: Read\n"), line: 8, want: "Empty filter masks are not allowed in Control Interface access rules"},
		{name: "an empty mask", text: workload("    controlInterfaceAccess:\n      allowRules:\n        - type: StateRule\n          operation: Read\n          filterMasks:\n            - a\n            - ''\n"), line: 12, want: "Empty filter masks are not allowed"},
		{name: "a wrong mask", text: workload("    controlInterfaceAccess:\n      allowRules:\n        - type: StateRule\n          operation: Read\n          filterMasks:\n            - a\n            - a..b\n"), line: 12, want: `Unsupported filter mask 'a..b'. Only "." separated sequences allowed where each part is either a wildcard "*" or chars in [a-zA-Z0-9_-]`},
		{name: "masks twice", text: workload("    controlInterfaceAccess:\n      allowRules:\n        - type: StateRule\n          filterMask: [a]\n          filterMasks: [a]\n"), line: 10, want: "its other name"},
		{name: "names in a rule of the state", text: workload("    controlInterfaceAccess:\n      allowRules:\n        - type: StateRule\n          filterMask: [a]\n          workloadNames: [a]\n"), line: 10, want: "'workloadNames' has no meaning in a StateRule"},
		{name: "masks in a rule of logs", text: workload("    controlInterfaceAccess:\n      allowRules:\n        - type: LogRule\n          operation: Read\n          workloadNames: [a]\n"), line: 9, want: "'operation' has no meaning in a LogRule"},
		{name: "two wildcards", text: workload("    controlInterfaceAccess:\n      allowRules:\n        - type: LogRule\n          workloadNames:\n            - '*a*'\n"), line: 10, want: "Log rule validation filed: Expected at most one '*' symbol."},
		{name: "a wrong name of a workload", text: workload("    controlInterfaceAccess:\n      allowRules:\n        - type: LogRule\n          workloadNames:\n            - 'a.*'\n"), line: 10, want: "Log rule validation filed: Unsupported workload name filter with wildcard 'a.*'. Expected to have"},

		{name: "a number for a config", text: "apiVersion: v1\nconfigs:\n  port: 80\n", line: 3, want: `found a number: put it in quotes: "80"`},
		{name: "a truth value in a list", text: "apiVersion: v1\nconfigs:\n  a:\n    - x\n    - true\n", line: 5, want: `found a truth value: put it in quotes: "true"`},
		{name: "nothing in a config", text: "apiVersion: v1\nconfigs:\n  a:\n    b:\n", line: 4, want: `found nothing: write "" for an empty text`},
		{name: "a key of a config", text: "apiVersion: v1\nconfigs:\n  a.b: x\n", line: 3, want: "Unsupported config item key 'a.b'. Only a-z"},
		{name: "a key within lists of lists", text: "apiVersion: v1\nconfigs:\n  a:\n    - - x\n      - b.c: x\n", line: 5, want: "Unsupported config item key 'b.c'. Only a-z"},
		{name: "a config that is deep", text: "apiVersion: v1\nconfigs:\n  a: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), line: 3, want: "nested at most 32 levels deep"},
		{name: "a config that is large", text: "apiVersion: v1\nconfigs:\n  a:\n    - " + strings.Repeat("x", manifest.MaxConfigSize), line: 4, want: "at most 1048576 bytes large"},
		{name: "near the name of a field at the top", text: "apiVersion: v1\nworkload: {}\n", strict: true, line: 2, want: "unknown field 'workload' at the top level: did you mean 'workloads'?"},
		{name: "nothing like a field at the top", text: "apiVersion: v1\nkind: Pod\n", strict: true, line: 2, want: "unknown field 'kind' at the top level; known are apiVersion, workloads, configs"},
		{name: "unknown field, strict", text: workload("    colour: red\n"), strict: true, line: 6, want: "unknown field 'colour' in workload 'web'"},
		{name: "unknown alias", text: workload("    agent: *nobody\n"), line: 6, want: "unknown anchor 'nobody'"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := manifest.Parse([]byte(test.text), manifest.Options{Strict: test.strict})
			if !errors.Is(err, manifest.ErrInvalid) {
				t.Fatalf("error %v, want ErrInvalid", err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not contain %q", err, test.want)
			}
			var place *manifest.SyntaxError
			if !errors.As(err, &place) {
				t.Fatalf("error %q has no place", err)
			}
			if place.Line != test.line || !strings.Contains(place.Excerpt, "^") {
				t.Errorf("line %d with excerpt\n%s\nwant line %d and a caret", place.Line, place.Excerpt, test.line)
			}
		})
	}
}

func TestParseRefusesWhatIsTooLarge(t *testing.T) {
	_, err := manifest.Parse(make([]byte, manifest.MaxSize+1), manifest.Options{})
	if !errors.Is(err, manifest.ErrInvalid) || !strings.Contains(err.Error(), "split it") {
		t.Fatal(err)
	}
}

func TestParseTakesTenThousandWorkloads(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nworkloads:\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "  w%d: {agent: a, runtime: process, runtimeConfig: 'command: /bin/true'}\n", i)
	}
	m, err := manifest.Parse([]byte(b.String()), manifest.Options{})
	if err != nil || len(m.Workloads) != 10_000 {
		t.Fatalf("%v", err)
	}
}

func TestParseTakesManyConfigsOfOneAnchor(t *testing.T) {
	_, err := manifest.Parse([]byte("apiVersion: v1\nconfigs:\n  a: &a {b: [x, y], c: z}\n  d: *a\n  e: {f: *a, <<: *a}\n"), manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestParseEndsWhereAliasesMakeMuchOfLittle(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("apiVersion: v1\nconfigs:\n  a0: &a0 [x, x, x, x, x, x, x, x]\n")
	for i := range 20 {
		fmt.Fprintf(&laughs, "  a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 7), i)
	}
	var copies strings.Builder
	copies.WriteString("apiVersion: v1\nconfigs:\n  a: &a [" + strings.Repeat("x, ", 10_000) + "x]\n")
	for i := range 1000 {
		fmt.Fprintf(&copies, "  b%d: *a\n", i)
	}
	var merges strings.Builder
	merges.WriteString("apiVersion: v1\nworkloads:\n  a: &a {")
	for i := range 10_000 {
		fmt.Fprintf(&merges, "x%d: y, ", i)
	}
	merges.WriteString("runtime: r, runtimeConfig: c}\n")
	for i := range 1000 {
		fmt.Fprintf(&merges, "  b%d: {<<: *a}\n", i)
	}
	for name, text := range map[string]string{"laughs": laughs.String(), "copies": copies.String(), "merges": merges.String()} {
		t.Run(name, func(t *testing.T) {
			_, err := manifest.Parse([]byte(text), manifest.Options{})
			var place *manifest.SyntaxError
			if !errors.As(err, &place) {
				t.Fatalf("error %v, want one with a place", err)
			}
			if name != "laughs" && !strings.Contains(err.Error(), "aliases make more than 1048576 values") {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestParseBoundsWhatItReports(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nworkloads:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  w%d: {runtime: r, runtimeConfig: x, colour: red, agent: 'a b'}\n", i)
	}
	_, err := manifest.Parse([]byte(b.String()), manifest.Options{})
	if n := strings.Count(err.Error(), "Unsupported agent name"); n != 10 {
		t.Errorf("%d errors, want 10", n)
	}
	m, err := manifest.Parse([]byte(strings.ReplaceAll(b.String(), "a b", "ab")), manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(m.Warnings); n != 51 || m.Warnings[50] != "and 950 more" {
		t.Errorf("%d warnings, the last is %q", n, m.Warnings[n-1])
	}
	long := "apiVersion: v1\nworkloads: {" + strings.Repeat("x", 1<<20) + ": [], b: c}\n"
	if _, err = manifest.Parse([]byte(long), manifest.Options{}); len(err.Error()) > 2000 {
		t.Errorf("the error is %d bytes long", len(err.Error()))
	}
}

func TestParseRefusesWhatHasTooManyParts(t *testing.T) {
	_, err := manifest.Parse([]byte("apiVersion: v1\nconfigs: ["+strings.Repeat(",", 2<<20)+"]"), manifest.Options{})
	if !errors.Is(err, manifest.ErrInvalid) || !strings.Contains(err.Error(), "2097155 commas") {
		t.Fatal(err)
	}
}

func TestSeveralFilesAreTakenTogether(t *testing.T) {
	read := func(texts ...string) (*manifest.Manifest, error) {
		var sources []manifest.Source
		for i, text := range texts {
			sources = append(sources, manifest.Source{Name: string('a'+rune(i)) + ".yaml", Text: []byte("apiVersion: v1\n" + text)})
		}
		return manifest.ParseAll(sources, manifest.Options{})
	}
	m, err := read("workloads:\n  x: {runtime: r, runtimeConfig: c, coler: red}\n", "configs: {k: v}\nworkloads:\n  w: {runtime: r, runtimeConfig: c}\n")
	if err != nil || len(m.Workloads) != 2 || m.Workloads[0].GetName() != "w" || len(m.Configs) != 1 {
		t.Fatalf("%v, %v", m, err)
	}
	if len(m.Warnings) != 1 || m.Warnings[0] != "a.yaml: line 3: unknown field 'coler' in workload 'x' is ignored" {
		t.Errorf("warnings %q", m.Warnings)
	}
	_, err = read("workloads:\n  x: {runtime: r, runtimeConfig: c}\nconfigs: {k: v}\n", "configs:\n  k: w\nworkloads:\n  x: {runtime: r, runtimeConfig: c}\n")
	for _, want := range []string{
		"b.yaml: line 3, column 3: Multiple configs with the same name 'k' found: the first is in a.yaml, line 4\n",
		"b.yaml: line 5, column 3: Multiple workloads with the same name 'x' found: the first is in a.yaml, line 3\n",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not contain %q", err, want)
		}
	}
	_, err = read("workloads:\n  x: {runtime: r, runtimeConfig: c}\n---\napiVersion: v1\nworkloads:\n  x: {runtime: r, runtimeConfig: c}\n")
	if err == nil || !strings.Contains(err.Error(), "a.yaml: line 7, column 3: Multiple workloads with the same name 'x' found: the first is in a.yaml, line 3") {
		t.Error(err)
	}
	large := "x: " + strings.Repeat("y", manifest.MaxSize/2) + "\n"
	if _, err = read(large, large); err == nil || !strings.Contains(err.Error(), "together") {
		t.Error(err)
	}
}

func TestAnAgentCanBeAskedFor(t *testing.T) {
	for text, want := range map[string]string{
		"runtime: r, runtimeConfig: c":            "line 3, column 3: No agent name specified -> use '--agent' option to specify!",
		"runtime: r, runtimeConfig: c, agent: a":  "",
		"runtime: r, runtimeConfig: c, agent: ''": "",
		"runtime: r, runtimeConfig: c, agent: ":   "",
	} {
		_, err := manifest.Parse([]byte("apiVersion: v1\nworkloads:\n  x: {"+text+"}\n"), manifest.Options{RequireAgent: true})
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func TestErrorsShowThePlace(t *testing.T) {
	_, err := manifest.ParseAll([]manifest.Source{{Name: "web.yaml", Text: []byte("apiVersion: v1\nworkloads:\n\n  # häßlich\n  wéb: {runtime: r, runtimeConfig: \"\\t\"}\n\n  x: {agent: a b}\n")}}, manifest.Options{})
	want := `web.yaml: line 5, column 3: Unsupported workload name 'wéb'. Expected to have characters in [a-zA-Z0-9_-].
   2 | workloads:
   3 |
   4 |   # häßlich
>  5 |   wéb: {runtime: r, runtimeConfig: "\t"}
         ^
   6 |
   7 |   x: {agent: a b}
web.yaml: line 7, column 14: workload 'x', field 'agent': Unsupported agent name 'a b'. Only a-z, A-Z, 0-9 chars, underscore (_), and hyphen (-) allowed. Maximum length is 63 characters.
   4 |   # häßlich
   5 |   wéb: {runtime: r, runtimeConfig: "\t"}
   6 |
>  7 |   x: {agent: a b}
                    ^`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	_, err = manifest.Parse([]byte("apiVersion: v1\nconfigs: {"+strings.Repeat("a", 500)+": "+strings.Repeat("b", 500)+"}\n"), manifest.Options{})
	if err == nil || !strings.Contains(err.Error(), "^") || len(err.Error()) > 700 {
		t.Error(err)
	}
}

// TestParseCostsInProportion keeps a parser away that copies what it has with
// each further key.
func TestParseCostsInProportion(t *testing.T) {
	cost := func(workloads int) uint64 {
		var b strings.Builder
		b.WriteString("apiVersion: v1\nworkloads:\n")
		for i := range workloads {
			fmt.Fprintf(&b, "  w%d:\n    runtime: r\n    runtimeConfig: c\n", i)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := manifest.Parse([]byte(b.String()), manifest.Options{}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if small, large := cost(1000), cost(8000); large > 12*small {
		t.Errorf("1000 workloads cost %d bytes, 8000 cost %d", small, large)
	}
}

// An error goes to the client beside the status of a call, where there is little
// room, and leaders remember whom they refused.
func TestAnErrorNamesNoTextInFull(t *testing.T) {
	long := strings.Repeat("ö", 1<<19)
	for name, w := range map[string]*argosyv1.Workload{
		"name":       {Name: long},
		"tag":        {Tags: map[string]string{long: "x"}},
		"dependency": {Dependencies: map[string]argosyv1.DependencyCondition{long: 0}},
		"alias":      {Configs: map[string]string{long: "x"}},
		"config":     {Configs: map[string]string{"x": long}},
		"runtime":    {Runtime: long},
		"block":      {Configs: map[string]string{"x": "x"}, RuntimeConfig: "{{#if x}}{{/" + strings.Repeat("n", 1<<19) + "}}"},
		"no block":   {Configs: map[string]string{"x": "x"}, RuntimeConfig: "{{/" + strings.Repeat("n", 1<<19) + "}}"},
	} {
		w.Name, w.Runtime, w.RuntimeConfig = cmp.Or(w.Name, "w"), cmp.Or(w.Runtime, "r"), cmp.Or(w.RuntimeConfig, "c")
		err := manifest.Validate(w)
		if err == nil {
			_, err = manifest.Render(w, func(string) (*argosyv1.ConfigItem, bool) { return &argosyv1.ConfigItem{}, true })
		}
		if err == nil || len(err.Error()) > 700 || !utf8.ValidString(err.Error()) {
			t.Errorf("%s: the error has %d bytes", name, len(fmt.Sprint(err)))
		}
	}
	tooLong := &argosyv1.Workload{Name: "w", Runtime: "r", RuntimeConfig: "c", Tags: map[string]string{"owner": long}}
	if err := manifest.Validate(tooLong); err == nil || !strings.Contains(err.Error(), "the value is 1048576 bytes long, at most 4096") {
		t.Error(err)
	}
}
