package manifest

import (
	"fmt"
	"strings"

	"github.com/argosy-cluster/argosy/manifest/access"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// kind is what the value of a field is.
type kind uint8

const (
	// kindText is a text.
	kindText kind = iota
	// kindLabel is a text for which a number or a truth value may be written.
	kindLabel
	// kindChoice is one of several words.
	kindChoice
	// kindObject has fields of its own.
	kindObject
	// kindMap has values of one kind by names.
	kindMap
	// kindList has values of one kind in order.
	kindList
	// kindItem is a text, a list of items or a mapping of items.
	kindItem
)

// spec describes a field of a manifest. The parser's check for unknown fields,
// the JSON schema, the explanations and the reference page are all made of it.
type spec struct {
	name string
	// alias is another name for it.
	alias    string
	kind     kind
	required bool
	// doc says what it means; the first sentence stands alone in lists.
	doc string
	// fallback is the default; empty for none.
	fallback string
	// limits are what is asked of a value, beside its kind.
	limits string
	// example is YAML: the field with its name.
	example string
	// since is the feature level that a cluster must be at.
	since   uint32
	choices []choice
	// fields are those of an object.
	fields []*spec
	// element is the value of a map or a list.
	element *spec
	// placeholder stands for a key of a map in paths.
	placeholder string
	// schema is what the JSON schema has beside the kind.
	schema object
	// keys is what the JSON schema asks of the keys of a map.
	keys object
}

type choice struct{ word, doc string }

// object is a part of a JSON schema.
type object map[string]any

// Limits as JSON schemas.
var (
	schemaName     = object{"type": "string", "pattern": fmt.Sprintf("^[a-zA-Z0-9_-]{1,%d}$", MaxNameLength)}
	schemaTemplate = fmt.Sprintf(`^([a-zA-Z0-9_-]{0,%d}|[\s\S]*\{\{[\s\S]*)$`, MaxNameLength)
	schemaPath     = strings.NewReplacer("C", `[^/\x00-\x1f\x7f]`, "D", `[^./\x00-\x1f\x7f]`).Replace(`^(/(DC*|\.DC*|\.\.C+))+$`)
	schemaFilled   = object{"pattern": `\S`}
)

var ruleLimits = fmt.Sprintf("at most %d in both lists, with %d masks and names in all", access.MaxRules, access.MaxEntries)

var nameLimits = fmt.Sprintf("1 to %d characters of a-z, A-Z, 0-9, _ and -", MaxNameLength)

// field returns the field of an object by its name or its alias.
func (s *spec) field(name string) *spec {
	for _, f := range s.fields {
		if f.name == name || (f.alias != "" && f.alias == name) {
			return f
		}
	}
	return nil
}

// inner returns what a path goes on in: the object, or that which a map or a
// list is made of.
func (s *spec) inner() *spec {
	for s.element != nil {
		s = s.element
	}
	return s
}

// table is the whole manifest.
var table = &spec{
	kind: kindObject,
	doc: `A manifest says what shall run. It is YAML: one document, or several that are taken together.
"argosy apply" creates or changes what it names and leaves everything else alone.`,
	fields: []*spec{
		{
			name: "apiVersion", kind: kindChoice, required: true,
			doc:     "Version of the manifest's format.",
			choices: []choice{{APIVersion, "the current one"}},
			limits:  fmt.Sprintf("%q is accepted with a warning: there, tags are a list of {key, value}", APIVersionDeprecated),
			example: "apiVersion: v1", since: argosyv1.FeatureBase,
		},
		{
			name: "workloads", kind: kindMap, placeholder: "<name>", element: workloadSpec,
			doc:      "Workloads by their names.",
			fallback: "none", limits: "names: " + nameLimits, keys: schemaName,
			example: `
workloads:
  web:
    agent: agent-1
    runtime: podman
    runtimeConfig: |
      image: docker.io/library/nginx:alpine`, since: argosyv1.FeatureBase,
		},
		{
			name: "configs", kind: kindMap, placeholder: "<key>", element: &spec{kind: kindItem},
			doc: `Values that the templates of workloads may use, by their keys. A value is a text, a list of values or a
mapping of values. There are no numbers and no truth values: put them in quotes.`,
			fallback: "none", keys: schemaName,
			limits: fmt.Sprintf("keys, also those within values: %s; at most %d KiB each, %d levels deep", nameLimits, MaxConfigSize>>10, MaxConfigDepth),
			example: `
configs:
  registry: registry.local:5000
  web:
    port: "8080"
    hosts: [a.local, b.local]`, since: argosyv1.FeatureConfigs,
		},
	},
}

var workloadSpec = &spec{
	kind: kindObject,
	fields: []*spec{
		{
			name: "agent", kind: kindText,
			doc:      "Agent that shall run it. Without one it is not scheduled: it is kept, and runs nowhere. May be a template.",
			fallback: `"", not scheduled`, limits: "up to" + nameLimits[len("1 to"):],
			example: "agent: agent-1", since: argosyv1.FeatureBase,
			schema: object{"pattern": schemaTemplate},
		},
		{
			name: "runtime", kind: kindText, required: true,
			doc:    `Runtime that shall run it, such as "podman", "podman-kube" or "process". The agent must offer it.`,
			limits: nameLimits, example: "runtime: podman", since: argosyv1.FeatureBase,
			schema: schemaName,
		},
		{
			name: "runtimeConfig", kind: kindText, required: true,
			doc: `What the runtime shall run: YAML in a text. Its fields are the runtime's. A change of it, other than of
white space around it, starts the workload anew. May be a template.`,
			limits: fmt.Sprintf("at most %d KiB, not only white space", MaxRuntimeConfig>>10),
			example: `
runtimeConfig: |
  image: docker.io/library/nginx:alpine
  commandOptions: ["-p", "8080:80"]`, since: argosyv1.FeatureBase,
			schema: schemaFilled,
		},
		{
			name: "restartPolicy", kind: kindChoice,
			doc:      "What the agent does when the workload has ended by itself.",
			fallback: "NEVER", example: "restartPolicy: ALWAYS", since: argosyv1.FeatureBase,
			choices: []choice{
				{"NEVER", "leave it"},
				{"ON_FAILURE", "start it again when it ended with another exit code than 0"},
				{"ALWAYS", "start it again"},
			},
		},
		{
			name: "tags", kind: kindMap, placeholder: "<key>", element: &spec{kind: kindLabel, schema: object{"maxLength": MaxTagLength}},
			doc:      "Labels of your own. They change nothing of how it runs.",
			fallback: "none", limits: fmt.Sprintf("at most %d; keys and values at most %d bytes each", MaxTags, MaxTagLength),
			example: `
tags:
  owner: web-team`, since: argosyv1.FeatureBase,
			schema: object{"maxProperties": MaxTags}, keys: object{"minLength": 1, "maxLength": MaxTagLength},
		},
		{
			name: "dependencies", kind: kindMap, placeholder: "<workload>",
			doc: `What must be so of other workloads, by their names, before this one is started for the first time. One that
does not exist is waited for.`,
			fallback: "none", limits: fmt.Sprintf("at most %d; no cycles", MaxDependencies),
			element: &spec{kind: kindChoice, choices: []choice{
				{"ADD_COND_RUNNING", "it runs; it is stopped only after those that depend on it in this way"},
				{"ADD_COND_SUCCEEDED", "it has ended with exit code 0"},
				{"ADD_COND_FAILED", "it has ended with another exit code"},
			}},
			example: `
dependencies:
  db: ADD_COND_RUNNING`, since: argosyv1.FeatureConfigs,
			schema: object{"maxProperties": MaxDependencies}, keys: schemaName,
		},
		{
			name: "configs", kind: kindMap, placeholder: "<alias>", element: &spec{kind: kindText, schema: schemaName},
			doc: `Configs that the templates of the workload use: keys of configs by the names (aliases) that the templates
know them by. When there are some, agent, runtimeConfig and the contents of files are templates; otherwise they stay as they are.`,
			fallback: "none", limits: fmt.Sprintf("at most %d, of %d KiB in all; aliases and keys: %s; each key must exist", MaxConfigAliases, MaxConfigsSize>>10, nameLimits),
			example: `
configs:
  web: web-production
runtimeConfig: |
  image: nginx
  commandOptions: ["-p", "{{web.port}}:80"]`, since: argosyv1.FeatureConfigs,
			schema: object{"maxProperties": MaxConfigAliases}, keys: schemaName,
		},
		{
			name: "files", kind: kindList, element: fileSpec,
			doc:      "Files that are made on the agent and mounted read-only into the workload. Each has data or binaryData. A change starts the workload anew. A plain process finds them in the folder that the environment variable ARGOSY_FILES names; podman-kube has ConfigMaps instead.",
			fallback: "none", limits: fmt.Sprintf("at most %d, with %d KiB of content in all", MaxFiles, MaxFilesSize>>10),
			example: `
files:
  - mountPoint: /etc/app.conf
    data: |
      level = info`, since: argosyv1.FeatureConfigs,
			schema: object{"maxItems": MaxFiles},
		},
		{
			name: "controlInterfaceAccess", kind: kindObject,
			doc: `What the workload may ask of the cluster through its control interface. What no rule allows is denied, and
what a rule denies is denied whatever allows it. Without a rule that allows something it has no control interface. A container
finds it in /run/ankaios/control_interface, a plain process in the folder that the environment variable ARGOSY_CONTROL_INTERFACE names.`,
			fallback: "none, and no control interface", since: argosyv1.FeatureConfigs,
			example: `
controlInterfaceAccess:
  allowRules:
    - type: StateRule
      operation: Read
      filterMasks: ["desiredState.workloads.*.agent"]`,
			fields: []*spec{
				{
					name: "allowRules", kind: kindList, element: ruleSpec, doc: "What is allowed.",
					fallback: "none", limits: ruleLimits, since: argosyv1.FeatureConfigs,
					example: `
allowRules:
  - type: LogRule
    workloadNames: ["*"]`, schema: object{"maxItems": access.MaxRules},
				},
				{
					name: "denyRules", kind: kindList, element: ruleSpec, doc: "What is denied all the same.",
					fallback: "none", limits: ruleLimits, since: argosyv1.FeatureConfigs,
					example: `
denyRules:
  - type: StateRule
    operation: ReadWrite
    filterMasks: ["desiredState.workloads.secret"]`, schema: object{"maxItems": access.MaxRules},
				},
			},
		},
	},
}

var fileSpec = &spec{
	kind:   kindObject,
	schema: object{"oneOf": []object{{"required": []string{"data"}}, {"required": []string{"binaryData"}}}},
	fields: []*spec{
		{
			name: "mountPoint", kind: kindText, required: true,
			doc:     "Where the workload finds the file.",
			limits:  fmt.Sprintf(`an absolute path of at most %d bytes that does not end in "/", without "." and ".." and empty parts; unique in the workload`, MaxPathLength),
			example: "mountPoint: /etc/app.conf", since: argosyv1.FeatureConfigs,
			schema: object{"maxLength": MaxPathLength, "pattern": schemaPath},
		},
		{
			name: "data", kind: kindText, doc: "Content as text. May be a template.",
			limits: "not beside binaryData", example: `data: "level = info"`, since: argosyv1.FeatureConfigs,
		},
		{
			name: "binaryData", kind: kindText, doc: "Content as bytes in base64. White space in it is ignored. May be a template.",
			limits: "standard alphabet, with padding; not beside data", example: "binaryData: aGVsbG8=", since: argosyv1.FeatureConfigs,
		},
	},
}

var ruleSpec = &spec{
	kind: kindObject,
	schema: object{"oneOf": []object{
		{
			"properties": object{"type": object{"const": ruleOfState}},
			"anyOf":      []object{{"required": []string{"filterMasks"}}, {"required": []string{"filterMask"}}},
			"not":        object{"required": []string{"workloadNames"}},
		},
		{
			"properties": object{"type": object{"const": ruleOfLogs}},
			"required":   []string{"workloadNames"},
			"not": object{"anyOf": []object{
				{"required": []string{"operation"}}, {"required": []string{"filterMasks"}}, {"required": []string{"filterMask"}},
			}},
		},
	}},
	fields: []*spec{
		{
			name: "type", kind: kindChoice, required: true, doc: "What the rule is about.",
			choices: []choice{
				{ruleOfState, "the state of the cluster: operation and filterMasks"},
				{ruleOfLogs, "what workloads print: workloadNames"},
			},
			example: "type: StateRule", since: argosyv1.FeatureConfigs,
		},
		{
			name: "operation", kind: kindChoice, doc: "What may be done with the state, for a StateRule.",
			fallback: "Nothing",
			choices: []choice{
				{"Nothing", "nothing: the rule has no effect"},
				{"Read", "read it, and be told of changes"},
				{"Write", "change it"},
				{"ReadWrite", "both"},
			},
			example: "operation: Read", since: argosyv1.FeatureConfigs,
		},
		{
			name: "filterMasks", alias: "filterMask", kind: kindList, element: &spec{kind: kindText, schema: object{
				"pattern": `^(\*|[a-zA-Z0-9_-]+)(\.(\*|[a-zA-Z0-9_-]+))*$`,
			}},
			doc:     `Which parts of the state, for a StateRule: names of fields and keys joined by "."; "*" stands for any one.`,
			limits:  "at least one",
			example: `filterMasks: ["desiredState.workloads.*.agent"]`, since: argosyv1.FeatureConfigs,
			schema: object{"minItems": 1, "maxItems": access.MaxEntries},
		},
		{
			name: "workloadNames", kind: kindList, element: &spec{kind: kindText, schema: object{
				"pattern": `^[a-zA-Z0-9_-]*\*?[a-zA-Z0-9_-]*$`, "minLength": 1, "maxLength": access.MaxPatternLength,
			}},
			doc:     `Which workloads, for a LogRule: names, in each of which one "*" may stand for any text.`,
			limits:  fmt.Sprintf(`at least one, of at most %d characters, or %d with the "*"`, access.MaxNameLength, access.MaxPatternLength),
			example: `workloadNames: [nginx, "app-*"]`, since: argosyv1.FeatureConfigs,
			schema: object{"minItems": 1, "maxItems": access.MaxEntries},
		},
	},
}
