package mask_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
)

const sample = `
desiredState:
  apiVersion: v1
  workloads:
    nginx: {agent: agent_A, runtime: podman, tags: {owner: x}, files: [{mountPoint: /a, data: 1st}, {mountPoint: /b, data: 2nd}, {mountPoint: /c}]}
    api: {agent: agent_B, runtime: podman}
  configs: {ports: ["80", "81"], empty: {}}
effectiveState:
  apiVersion: v1
  workloads: {nginx: {agent: agent_A}}
workloadStates:
  agent_A: {nginx: {abc: {state: Running, subState: Ok, additionalInfo: ""}}}
  agent_B: {api: {def: {state: Pending, subState: Starting, additionalInfo: x}}}
  state: {state: {id: {state: a, subState: b}}}
agents:
  agent_A: {status: {cpuUsage: 5, freeMemory: 1000}, tags: {type: big}}
  agent_B: {}
`

func mustRead(t testing.TB, text string) *tree.Node {
	t.Helper()
	n, err := tree.ReadYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// set reads masks separated by blanks.
func set(t testing.TB, masks string) *mask.Set {
	t.Helper()
	s, err := mask.ParseSet(strings.Fields(masks))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	for _, text := range []string{"a", "*", "desiredState.workloads.*.agent", "agents.a.tags.foo/bar baz", "a.0", strings.Repeat("a.", mask.MaxSegments-1) + "a"} {
		if m, err := mask.Parse(text); err != nil || m.String() != text {
			t.Errorf("%q was read as %v, %v", text, m, err)
		}
	}
	for text, want := range map[string]string{
		"":       "segment 1",
		".":      "segment 1",
		"a.":     "segment 2",
		".a":     "segment 1",
		"a..b":   "segment 2",
		"a.b*":   "'*' alone",
		"a.**":   "'*' alone",
		"a.\xff": "UTF-8",
		strings.Repeat("a.", mask.MaxSegments) + "a": "65 segments",
		strings.Repeat("a", mask.MaxLength+1):        "4097 bytes",
	} {
		if m, err := mask.Parse(text); !errors.Is(err, mask.ErrInvalid) || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("%q was read as %v, %v", text, m, err)
		}
	}
	if _, err := mask.ParseSet(make([]string, mask.MaxMasks+1)); !errors.Is(err, mask.ErrInvalid) {
		t.Error(err)
	}
}

func TestFilter(t *testing.T) {
	root := mustRead(t, sample)
	for name, test := range map[string]struct{ masks, want string }{
		"a field, with the version of its state": {"desiredState.workloads.nginx.agent",
			"{desiredState: {apiVersion: v1, workloads: {nginx: {agent: agent_A}}}}"},
		"any name": {"desiredState.workloads.*.agent",
			"{desiredState: {apiVersion: v1, workloads: {nginx: {agent: agent_A}, api: {agent: agent_B}}}}"},
		"any name at the end": {"agents.*", "{agents: {agent_A: {status: {cpuUsage: 5, freeMemory: 1000}, tags: {type: big}}, agent_B: {}}}"},
		"any state": {"*.workloads.*.agent",
			"{desiredState: {apiVersion: v1, workloads: {nginx: {agent: agent_A}, api: {agent: agent_B}}}, effectiveState: {apiVersion: v1, workloads: {nginx: {agent: agent_A}}}}"},
		"what is missing is passed by": {"desiredState.workloads.other agents.agent_A.tags agents.x.y.z agents.agent_A.status.cpuUsage.x desiredState.workloads.api.*.x",
			"{desiredState: {apiVersion: v1}, agents: {agent_A: {tags: {type: big}}}}"},
		"nothing at all":  {"nothing x.y", "{}"},
		"an empty map":    {"desiredState.configs.empty", "{desiredState: {apiVersion: v1, configs: {empty: {}}}}"},
		"in an empty map": {"desiredState.configs.empty.*", "{desiredState: {apiVersion: v1}}"},
		"state and sub-state": {"workloadStates.agent_A.*.*.state workloadStates.agent_B.api.def.subState",
			"{workloadStates: {agent_A: {nginx: {abc: {state: Running, subState: Ok}}}, agent_B: {api: {def: {state: Pending, subState: Starting}}}}}"},
		"state of any kind":            {"*.agent_A.*.*.state", "{desiredState: {apiVersion: v1}, effectiveState: {apiVersion: v1}, workloadStates: {agent_A: {nginx: {abc: {state: Running, subState: Ok}}}}}"},
		"an agent whose name is state": {"workloadStates.state.state", "{workloadStates: {state: {state: {id: {state: a, subState: b}}}}}"},
		"items": {"desiredState.workloads.nginx.files.2 desiredState.workloads.nginx.files.1.mountPoint desiredState.configs.ports.01",
			"{desiredState: {apiVersion: v1, workloads: {nginx: {files: [{mountPoint: /b}, {mountPoint: /c}]}}}}"},
		"any item":                 {"desiredState.workloads.nginx.files.*.data", "{desiredState: {apiVersion: v1, workloads: {nginx: {files: [{data: 1st}, {data: 2nd}]}}}}"},
		"a wide and a narrow mask": {"agents.*.tags agents.agent_A", "{agents: {agent_A: {status: {cpuUsage: 5, freeMemory: 1000}, tags: {type: big}}}}"},
		"version alone":            {"effectiveState.apiVersion", "{effectiveState: {apiVersion: v1}}"},
	} {
		t.Run(name, func(t *testing.T) {
			got := mask.Filter(root, set(t, test.masks))
			if !tree.Equal(got, mustRead(t, test.want)) {
				t.Errorf("got  %s\nwant %s", got.JSON(), mustRead(t, test.want).JSON())
			}
		})
	}
}

func TestASetHasEveryMaskOnce(t *testing.T) {
	var texts []string
	for _, m := range set(t, "b a b.c * a b *").Masks() {
		texts = append(texts, m.String())
	}
	if got := strings.Join(texts, " "); got != "b a b.c *" {
		t.Error(got)
	}
}

// Many names below wildcards must not be looked up in every map there is.
func TestManyMasksBelowWildcards(t *testing.T) {
	var many []string
	for i := range mask.MaxMasks {
		many = append(many, fmt.Sprintf("*.*.*.x%d", i))
	}
	wide, err := mask.ParseSet(append(many[1:], "*.*.*.agent"))
	if err != nil {
		t.Fatal(err)
	}
	got := mask.Filter(mustRead(t, sample), wide)
	if !tree.Equal(got, mask.Filter(mustRead(t, sample), set(t, "*.*.*.agent"))) {
		t.Errorf("got %s", got.JSON())
	}
}

func TestFilterSharesWhatIsWhole(t *testing.T) {
	root := mustRead(t, sample)
	for _, masks := range []string{"", "*", "* desiredState", "*.*"} {
		if mask.Filter(root, set(t, masks)) != root {
			t.Errorf("%q: the state was copied", masks)
		}
	}
	if got := mask.Filter(nil, set(t, "")); got.Kind() != tree.Map || got.Len() != 0 {
		t.Errorf("of no state %s is shown", got.JSON())
	}
	if got := mask.Filter(root, mask.NewSet()); got.Len() != 0 {
		t.Errorf("no mask shows %s", got.JSON())
	}
}

func TestUpdate(t *testing.T) {
	for name, test := range map[string]struct{ masks, other, want string }{
		"set": {"desiredState.workloads.new.agent", "{desiredState: {workloads: {new: {agent: x, runtime: y}}}}",
			"{desiredState: {workloads: {w: {agent: a, files: [{data: x}]}, new: {agent: x}}, configs: {}}}"},
		"replace": {"desiredState.workloads.w", "{desiredState: {workloads: {w: {runtime: y}}}}",
			"{desiredState: {workloads: {w: {runtime: y}}, configs: {}}}"},
		"remove":                    {"desiredState.workloads.w.agent", "{}", "{desiredState: {workloads: {w: {files: [{data: x}]}}, configs: {}}}"},
		"remove what is not there":  {"desiredState.workloads.other", "{}", "{desiredState: {workloads: {w: {agent: a, files: [{data: x}]}}, configs: {}}}"},
		"one after the other":       {"desiredState.workloads.w desiredState.workloads.w.agent", "{desiredState: {workloads: {w: {agent: b}}}}", "{desiredState: {workloads: {w: {agent: b}}, configs: {}}}"},
		"a wildcard is just a name": {"desiredState.workloads.*", "{desiredState: {workloads: {x: {agent: b}}}}", "{desiredState: {workloads: {w: {agent: a, files: [{data: x}]}}, configs: {}}}"},
		"observed fields":           {"workloadStates.a workloadStates.a.b.c.state effectiveState effectiveState.workloads.w", "{workloadStates: {a: {}}}", "{desiredState: {workloads: {w: {agent: a, files: [{data: x}]}}, configs: {}}}"},
		"a root that nobody knows":  {"other", "{other: x}", "{desiredState: {workloads: {w: {agent: a, files: [{data: x}]}}, configs: {}}}"},
		"the desired state":         {"desiredState", "{desiredState: {apiVersion: v1}}", "{desiredState: {apiVersion: v1}}"},
		"no masks":                  {"", "{desiredState: {apiVersion: v1}, workloadStates: {a: {}}, agents: {new: {tags: {a: b}}}}", "{desiredState: {apiVersion: v1}}"},
	} {
		t.Run(name, func(t *testing.T) {
			current := mustRead(t, "{desiredState: {workloads: {w: {agent: a, files: [{data: x}]}}, configs: {}}}")
			got, err := mask.Update(current, mustRead(t, test.other), set(t, test.masks))
			if err != nil {
				t.Fatal(err)
			}
			if !tree.Equal(got, mustRead(t, test.want)) {
				t.Errorf("got  %s\nwant %s", got.JSON(), mustRead(t, test.want).JSON())
			}
		})
	}
}

func TestUpdateOfAgentsChangesTagsOfThoseThatAreThere(t *testing.T) {
	const other = "{agents: {a: {status: {cpuUsage: 9}, tags: {k: new, l: x}}, b: {}, new: {tags: {x: y}}}}"
	for name, test := range map[string]struct{ masks, want string }{
		"all":        {"agents", "{agents: {a: {status: {cpuUsage: 5}, tags: {k: new, l: x}}, b: {}, c: {}}}"},
		"no masks":   {"", "{agents: {a: {status: {cpuUsage: 5}, tags: {k: new, l: x}}, b: {}, c: {}}}"},
		"an agent":   {"agents.a", "{agents: {a: {status: {cpuUsage: 5}, tags: {k: new, l: x}}, b: {tags: {t: u}}, c: {}}}"},
		"tags":       {"agents.a.tags", "{agents: {a: {status: {cpuUsage: 5}, tags: {k: new, l: x}}, b: {tags: {t: u}}, c: {}}}"},
		"a tag":      {"agents.a.tags.k", "{agents: {a: {status: {cpuUsage: 5}, tags: {k: new, m: n}}, b: {tags: {t: u}}, c: {}}}"},
		"a tag less": {"agents.a.tags.m", "{agents: {a: {status: {cpuUsage: 5}, tags: {k: v}}, b: {tags: {t: u}}, c: {}}}"},
		"tags of an agent that the update leaves out": {"agents.c.tags agents.c", "{agents: {a: {status: {cpuUsage: 5}, tags: {k: v, m: n}}, b: {tags: {t: u}}, c: {}}}"},
		"load":                       {"agents.a.status agents.a.status.cpuUsage", "{agents: {a: {status: {cpuUsage: 5}, tags: {k: v, m: n}}, b: {tags: {t: u}}, c: {}}}"},
		"an agent that is not there": {"agents.new agents.new.tags.x agents.other agents.*", "{agents: {a: {status: {cpuUsage: 5}, tags: {k: v, m: n}}, b: {tags: {t: u}}, c: {}}}"},
	} {
		t.Run(name, func(t *testing.T) {
			current := mustRead(t, "{agents: {a: {status: {cpuUsage: 5}, tags: {k: v, m: n}}, b: {tags: {t: u}}, c: {}}}")
			got, err := mask.Update(current, mustRead(t, other), set(t, test.masks))
			if err != nil {
				t.Fatal(err)
			}
			if !tree.Equal(got, mustRead(t, test.want)) {
				t.Errorf("got  %s\nwant %s", got.JSON(), mustRead(t, test.want).JSON())
			}
		})
	}
}

func TestUpdateThatCannotFindAField(t *testing.T) {
	const current = "{desiredState: {apiVersion: v1, workloads: {w: {agent: a, files: [{data: x}]}}}, agents: {a: {}}}"
	for name, test := range map[string]struct{ masks, other string }{
		"no parent":          {"desiredState.workloads.other.agent", "{}"},
		"no parents":         {"desiredState.configs.a.b", "{}"},
		"a parent is a text": {"desiredState.workloads.w.agent.x", "{}"},
		"set below a text":   {"desiredState.apiVersion.x", "{desiredState: {apiVersion: {x: y}}}"},
		"an item":            {"desiredState.workloads.w.files.0", "{desiredState: {workloads: {w: {files: [{data: y}]}}}}"},
		"an item removed":    {"desiredState.workloads.w.files.0", "{}"},
		"an unknown root":    {"other.field", "{other: {field: x}}"},
		"an unknown agent":   {"agents.b.tags", "{}"},
		"no tags":            {"agents.a.tags.b", "{}"},
		"a wildcard":         {"desiredState.workloads.*.agent", "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mask.Update(mustRead(t, current), mustRead(t, test.other), set(t, test.masks))
			if got != nil || !errors.Is(err, mask.ErrNoField) || err.Error() != "Could not find field "+test.masks {
				t.Errorf("got %s and %v", got.JSON(), err)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	const none = "{desiredState: {apiVersion: v1}}"
	const one = "{desiredState: {apiVersion: v1, workloads: {simple: {agent: a, tags: {x: y}}}}}"
	const two = "{desiredState: {apiVersion: v1, workloads: {simple: {agent: a, tags: {x: y}}, other: {agent: b}}}}"
	state := func(text string) string { return "{workloadStates: {a: {w: {id: " + text + "}}}}" }
	for name, test := range map[string]struct {
		before, after, masks    string
		added, updated, removed string
		state                   string
	}{
		"nothing":                           {before: one, after: one, state: "{}"},
		"a first workload":                  {before: none, after: one, added: "desiredState.workloads", state: one},
		"a first workload in an empty map":  {before: "{desiredState: {apiVersion: v1, workloads: {}}}", after: one, added: "desiredState.workloads", state: one},
		"a first workload, masked":          {before: none, after: one, masks: "desiredState.workloads.simple", added: "desiredState.workloads.simple", state: one},
		"a first workload, masked deeply":   {before: none, after: one, masks: "desiredState.workloads.*.agent", added: "desiredState.workloads.simple.agent", state: "{desiredState: {apiVersion: v1, workloads: {simple: {agent: a}}}}"},
		"everything":                        {before: "{}", after: one, added: "desiredState", state: one},
		"everything, from nothing":          {before: "", after: one, added: "desiredState", state: one},
		"a second workload":                 {before: one, after: two, added: "desiredState.workloads.other", state: "{desiredState: {apiVersion: v1, workloads: {other: {agent: b}}}}"},
		"a workload less":                   {before: two, after: one, removed: "desiredState.workloads.other", state: "{}"},
		"a workload less, masked deeply":    {before: two, after: one, masks: "desiredState.workloads.*.agent", removed: "desiredState.workloads.other.agent", state: "{}"},
		"the last workload":                 {before: one, after: none, removed: "desiredState.workloads", state: "{}"},
		"the last workload of an empty map": {before: one, after: "{desiredState: {apiVersion: v1, workloads: {}}}", removed: "desiredState.workloads", state: "{}"},
		"another workload":                  {before: one, after: two, masks: "desiredState.workloads.simple", state: "{}"},
		"an update":                         {before: "{agents: {a: {tags: {x: y, z: q}}}}", after: "{agents: {a: {tags: {x: n, z: q}}}}", updated: "agents.a.tags.x", state: "{agents: {a: {tags: {x: n}}}}"},
		"a list":                            {before: "{desiredState: {configs: {a: [x]}}}", after: "{desiredState: {configs: {a: [x, y]}}}", updated: "desiredState.configs.a", state: "{desiredState: {configs: {a: [x, y]}}}"},
		"a list that was empty":             {before: "{desiredState: {configs: {a: []}}}", after: "{desiredState: {configs: {a: [x]}}}", added: "desiredState.configs.a", state: "{desiredState: {configs: {a: [x]}}}"},
		"a list that is empty":              {before: "{desiredState: {configs: {a: [x]}}}", after: "{desiredState: {configs: {a: []}}}", removed: "desiredState.configs.a", state: "{}"},
		"first configs":                     {before: "{desiredState: {configs: {}}}", after: "{desiredState: {configs: {a: x}}}", added: "desiredState.configs", state: "{desiredState: {configs: {a: x}}}"},
		"another kind":                      {before: "{desiredState: {configs: {a: x}}}", after: "{desiredState: {configs: {a: {b: c}}}}", updated: "desiredState.configs.a", state: "{desiredState: {configs: {a: {b: c}}}}"},
		"another kind, masked":              {before: "{desiredState: {configs: {a: x}}}", after: "{desiredState: {configs: {a: {b: c}}}}", masks: "desiredState.configs.a.b", added: "desiredState.configs.a.b", state: "{desiredState: {configs: {a: {b: c}}}}"},
		"an item":                           {before: "{desiredState: {configs: {a: [x, y]}}}", after: "{desiredState: {configs: {a: [z, q, r]}}}", masks: "desiredState.configs.a.1 desiredState.configs.a.2", added: "desiredState.configs.a.2", updated: "desiredState.configs.a.1", state: "{desiredState: {configs: {a: [q, r]}}}"},
		"initial state":                     {before: "{workloadStates: {a: {other: {i: {state: x}}}}}", after: "{workloadStates: {a: {other: {i: {state: x}}, w: {id: {state: Pending, subState: Initial, additionalInfo: ''}}}}}", added: "workloadStates.a.w", state: state("{state: Pending, subState: Initial, additionalInfo: ''}")},
		"sub-state, shown with the state":   {before: state("{state: Pending, subState: Initial}"), after: state("{state: Pending, subState: Starting, additionalInfo: x}"), added: "workloadStates.a.w.id.additionalInfo", updated: "workloadStates.a.w.id.subState", state: state("{state: Pending, subState: Starting, additionalInfo: x}")},
		"state alone is asked for":          {before: state("{state: Pending, subState: Initial}"), after: state("{state: Pending, subState: Starting}"), masks: "workloadStates.*.*.*.state", state: "{}"},
		"load":                              {before: "{agents: {a: {status: {cpuUsage: 1, freeMemory: 5}}}}", after: "{agents: {a: {status: {cpuUsage: 2, freeMemory: 5}}}}", masks: "agents", updated: "agents.a.status.cpuUsage", state: "{agents: {a: {status: {cpuUsage: 2}}}}"},
		"a text that looks like a number":   {before: "{agents: {a: {status: {cpuUsage: 1}}}}", after: "{agents: {a: {status: {cpuUsage: '1'}}}}", updated: "agents.a.status.cpuUsage", state: "{agents: {a: {status: {cpuUsage: '1'}}}}"},
		"a mask within another":             {before: none, after: one, masks: "desiredState desiredState.workloads.simple.agent", added: "desiredState.workloads", state: one},
		"a key with a dot, one with a star": {before: "{agents: {a: {tags: {k: v}}}}", after: "{agents: {a: {tags: {k: v, x.y: z, '*': q}}}}", added: "agents.a.tags.* agents.a.tags.x.y", state: "{agents: {a: {tags: {x.y: z, '*': q}}}}"},
		"the version":                       {before: "{desiredState: {apiVersion: v0.1}}", after: none, masks: "desiredState.workloads", state: "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			got := mask.Diff(mustRead(t, test.before), mustRead(t, test.after), set(t, test.masks))
			if !tree.Equal(got.State, mustRead(t, test.state)) {
				t.Errorf("got state %s\nwant      %s", got.State.JSON(), mustRead(t, test.state).JSON())
			}
			for _, part := range []struct {
				kind, want string
				got        []string
			}{{"added", test.added, got.Added}, {"updated", test.updated, got.Updated}, {"removed", test.removed, got.Removed}} {
				if strings.Join(part.got, " ") != part.want {
					t.Errorf("%s %v, want %s", part.kind, part.got, part.want)
				}
			}
			if got.None() != (test.added+test.updated+test.removed == "") {
				t.Error("None is wrong")
			}
		})
	}
}

func TestNeeds(t *testing.T) {
	all := mask.Names{All: true}
	only := func(names ...string) mask.Names { return mask.Names{Only: names} }
	for masks, want := range map[string]mask.Needs{
		"":             {Workloads: all, Configs: all, Effective: all, StateAgents: all, StateWorkloads: all, Agents: all},
		"*":            {Workloads: all, Configs: all, Effective: all, StateAgents: all, StateWorkloads: all, Agents: all},
		"desiredState": {Workloads: all, Configs: all},
		"desiredState.workloads.b.agent desiredState.workloads.a": {Workloads: only("a", "b")},
		"desiredState.*.a":                    {Workloads: only("a"), Configs: only("a")},
		"desiredState.configs.*":              {Configs: all},
		"desiredState.apiVersion nothing":     {},
		"*.workloads.a":                       {Workloads: only("a"), Effective: only("a"), StateAgents: only("workloads"), StateWorkloads: only("a"), Agents: only("workloads")},
		"workloadStates.*.w agents.a.tags":    {StateAgents: all, StateWorkloads: only("w"), Agents: only("a")},
		"workloadStates.a.w workloadStates.b": {StateAgents: only("a", "b"), StateWorkloads: all},
		"workloadStates.a.w.i.state":          {StateAgents: only("a"), StateWorkloads: only("w")},
	} {
		if got := set(t, masks).Needs(); !reflect.DeepEqual(got, want) {
			t.Errorf("%q needs %+v, want %+v", masks, got, want)
		}
	}
	if n := only("a", "c"); !n.Has("a") || n.Has("b") || n.None() || !all.Has("b") || !(mask.Names{}).None() {
		t.Error("names are wrong")
	}
}
