package manifest_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/argosy-cluster/argosy/manifest"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(manifest.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("manifest.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("manifest.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// judge says what the schema and the parser each say of a manifest.
func judge(t *testing.T, schema *jsonschema.Schema, text string) (bySchema, byParser error) {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	_, byParser = manifest.Parse([]byte(text), manifest.Options{Strict: true})
	return schema.Validate(value), byParser
}

func TestTheExamplesAreValid(t *testing.T) {
	schema := compileSchema(t)
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %d examples", err, len(files))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			if bySchema, byParser := judge(t, schema, document); bySchema != nil || byParser != nil {
				t.Errorf("%s: by the schema %v, by the parser %v", file, bySchema, byParser)
			}
		}
	}
}

// TestSchemaAndParserAgree holds both against the same manifests.
func TestSchemaAndParserAgree(t *testing.T) {
	schema := compileSchema(t)
	workload := func(fields string) string {
		return "apiVersion: v1\nworkloads: {web: {runtime: podman, runtimeConfig: x, " + fields + "}}"
	}
	access := func(rule string) string {
		return workload("controlInterfaceAccess: {allowRules: [" + rule + "]}")
	}
	tests := []struct {
		name, text string
		valid      bool
	}{
		{"a workload", workload("agent: a"), true},
		{"nothing", "apiVersion: v1", true},
		{"nulls", "apiVersion: v1\nworkloads:\nconfigs:", true},
		{"no version", "workloads: {}", false},
		{"another version", "apiVersion: v2", false},
		{"an unknown field", "apiVersion: v1\nkind: x", false},
		{"an unknown field of a workload", workload("colour: red"), false},
		{"no runtime", "apiVersion: v1\nworkloads: {web: {runtimeConfig: x}}", false},
		{"only white space to run", "apiVersion: v1\nworkloads: {web: {runtime: r, runtimeConfig: ' '}}", false},
		{"a wrong name", "apiVersion: v1\nworkloads: {we.b: {runtime: r, runtimeConfig: x}}", false},
		{"a wrong agent", workload("agent: a b"), false},
		{"no agent", workload("agent: ''"), true},
		{"a template", workload("configs: {a: b}, agent: 'x{{a}}'"), true},
		{"a policy", workload("restartPolicy: ON_FAILURE"), true},
		{"another policy", workload("restartPolicy: on_failure"), false},
		{"tags", workload("tags: {a: b, c: 80, d: true}"), true},
		{"a list of tags", workload("tags: [{key: a, value: b}]"), false},
		{"nested tags", workload("tags: {a: {b: c}}"), false},
		{"an empty tag", workload("tags: {'': a}"), false},
		{"dependencies", workload("dependencies: {a: ADD_COND_FAILED}"), true},
		{"another condition", workload("dependencies: {a: FAILED}"), false},
		{"a wrong dependency", workload("dependencies: {a.b: ADD_COND_FAILED}"), false},
		{"aliases", workload("configs: {a: b}"), true},
		{"a wrong alias", workload("configs: {a b: b}"), false},
		{"a wrong reference", workload("configs: {a: b.c}"), false},
		{"files", workload("files: [{mountPoint: /a/.b/c..d, data: ''}, {mountPoint: /b, binaryData: eA==}]"), true},
		{"a file without content", workload("files: [{mountPoint: /a}]"), false},
		{"a file with two", workload("files: [{mountPoint: /a, data: a, binaryData: eA==}]"), false},
		{"a file without a place", workload("files: [{data: a}]"), false},
		{"a relative place", workload("files: [{mountPoint: a, data: a}]"), false},
		{"a directory", workload("files: [{mountPoint: /a/, data: a}]"), false},
		{"the root", workload("files: [{mountPoint: /, data: a}]"), false},
		{"a place that goes up", workload("files: [{mountPoint: /a/../b, data: a}]"), false},
		{"a place with a dot", workload("files: [{mountPoint: /a/., data: a}]"), false},
		{"a place with nothing", workload("files: [{mountPoint: /a//b, data: a}]"), false},
		{"a rule of the state", access("{type: StateRule, operation: Read, filterMasks: ['a.*', '*']}"), true},
		{"a rule with the other name", access("{type: StateRule, filterMask: ['a']}"), true},
		{"a rule of logs", access("{type: LogRule, workloadNames: ['a*b']}"), true},
		{"a rule without a type", access("{operation: Read, filterMasks: ['*']}"), false},
		{"a rule of another type", access("{type: Rule, filterMasks: ['*']}"), false},
		{"a rule without masks", access("{type: StateRule, operation: Read}"), false},
		{"a rule with no masks", access("{type: StateRule, operation: Read, filterMasks: []}"), false},
		{"another operation", access("{type: StateRule, operation: read, filterMasks: ['*']}"), false},
		{"a wrong mask", access("{type: StateRule, operation: Read, filterMasks: ['a.']}"), false},
		{"a rule of both", access("{type: StateRule, operation: Read, filterMasks: ['*'], workloadNames: ['*']}"), false},
		{"logs with an operation", access("{type: LogRule, operation: Read, workloadNames: ['*']}"), false},
		{"logs of nobody", access("{type: LogRule}"), false},
		{"two wildcards", access("{type: LogRule, workloadNames: ['*a*']}"), false},
		{"no rules", workload("controlInterfaceAccess: {allowRules: , denyRules: []}"), true},
		{"an unknown list of rules", workload("controlInterfaceAccess: {rules: []}"), false},
		{"configs", "apiVersion: v1\nconfigs: {a: b, c: [d, {e: f}, []], g: {}}", true},
		{"a number", "apiVersion: v1\nconfigs: {a: 1}", false},
		{"a truth value within", "apiVersion: v1\nconfigs: {a: [{b: true}]}", false},
		{"nothing within", "apiVersion: v1\nconfigs: {a: [null]}", false},
		{"a wrong key within", "apiVersion: v1\nconfigs: {a: [[{b.c: d}]]}", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bySchema, byParser := judge(t, schema, test.text)
			if (bySchema == nil) != test.valid {
				t.Errorf("the schema says %v", bySchema)
			}
			if (byParser == nil) != test.valid {
				t.Errorf("the parser says %v", byParser)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	tests := []struct{ path, want string }{
		{"", "Fields:\n  apiVersion  Version of the manifest's format. (word, required)\n  workloads   Workloads by their names. (mapping of objects)\n  configs     Values that"},
		{"workloads.files.mountPoint", "workloads.<name>.files[].mountPoint (text, required)\n\nWhere the workload finds the file.\n\nLimits:  an absolute path"},
		{"workloads.web-is-skipped-when.*", ""},
		{"workloads.<name>.files[].data", "workloads.<name>.files[].data (text)\n\nContent as text. May be a template.\n"},
		{"workloads.*.dependencies", "Words:\n  ADD_COND_RUNNING    it runs;"},
		{"configs", "Since:   feature level 4 of the cluster"},
		{"workloads.controlInterfaceAccess.denyRules.filterMasks", "Also:    filterMask"},
		{"workloads.controlInterfaceAccess.denyRules.filterMask", "workloads.<name>.controlInterfaceAccess.denyRules[].filterMasks (list of texts)"},
		{"workload", "unknown field 'workload' of a manifest: did you mean 'workloads'?"},
		{"files.mountPoint", "unknown field 'files' of a manifest: did you mean 'workloads.files'?"},
		{"workloads.image", "unknown field 'image' of workloads.<name>; known are agent, runtime,"},
		{"workloads.agent.name", "unknown field 'name': workloads.<name>.agent has no fields"},
	}
	for _, test := range tests {
		text, err := manifest.Explain(test.path)
		if err != nil {
			if !errors.Is(err, manifest.ErrUnknownField) {
				t.Error(err)
			}
			text = err.Error()
		}
		if !strings.Contains(text, test.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", test.path, text, test.want)
		}
	}
}
