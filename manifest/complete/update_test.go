package complete_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// some is a cluster with two workloads, a config and two agents.
func some() *complete.View {
	text := &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: "old"}}
	return complete.Of(&argosyv1.GetStateResponse{
		Workloads: []*argosyv1.Workload{
			{Name: "w", Agent: "a1", Runtime: "podman", RuntimeConfig: "x", Tags: map[string]string{"k": "v"}, Revision: 7},
			{Name: "v", Agent: "a1", Runtime: "podman", RuntimeConfig: "x", Revision: 8},
		},
		Configs:       []*argosyv1.Config{{Key: "c", Value: text, Revision: 9}},
		Agents:        []*argosyv1.Agent{{Name: "a1", Tags: map[string]string{"zone": "x"}, Revision: 3}},
		AgentStatuses: []*argosyv1.AgentStatus{{Name: "a1", Connected: true}},
	})
}

// describe says what a write does.
func describe(r *argosyv1.ApplyRequest) string {
	var parts []string
	for _, w := range r.GetWorkloads() {
		parts = append(parts, fmt.Sprintf("put %s on %s", w.GetName(), w.GetAgent()))
	}
	for _, c := range r.GetConfigs() {
		parts = append(parts, fmt.Sprintf("put config %s=%s", c.GetKey(), c.GetValue().GetText()))
	}
	for _, a := range r.GetAgentTags() {
		parts = append(parts, fmt.Sprintf("tag %s %v", a.GetAgent(), a.GetTags().GetTags()))
	}
	for _, name := range r.GetDeleteWorkloads() {
		parts = append(parts, "delete "+name)
	}
	for _, key := range r.GetDeleteConfigs() {
		parts = append(parts, "delete config "+key)
	}
	for _, e := range r.GetExpected() {
		parts = append(parts, fmt.Sprintf("if %s %s is at %d", strings.ToLower(strings.TrimPrefix(e.GetKind().String(), "OBJECT_KIND_")), e.GetName(), e.GetRevision()))
	}
	return strings.Join(parts, ", ")
}

func TestAnUpdateBecomesAWrite(t *testing.T) {
	const workload = "{agent: a2, runtime: podman, runtimeConfig: x}"
	for name, c := range map[string]struct {
		masks string
		state string
		want  string
	}{
		"one workload is put":           {"desiredState.workloads.w", "{desiredState: {apiVersion: v1, workloads: {w: " + workload + ", v: {agent: a9}}}}", "put w on a2, if workload w is at 7"},
		"a new one must not exist":      {"desiredState.workloads.n", "{desiredState: {apiVersion: v1, workloads: {n: " + workload + "}}}", "put n on a2, if workload n is at 0"},
		"what is not there is deleted":  {"desiredState.workloads.w", "{desiredState: {apiVersion: v1}}", "delete w, if workload w is at 7"},
		"also without any state":        {"desiredState.workloads.w", "{}", "delete w, if workload w is at 7"},
		"deleting nothing is nothing":   {"desiredState.workloads.none", "{}", ""},
		"a field of one":                {"desiredState.workloads.w.agent", "{desiredState: {apiVersion: v1, workloads: {w: {agent: a2}}}}", "put w on a2, if workload w is at 7"},
		"the same is nothing":           {"desiredState.workloads.w.agent", "{desiredState: {apiVersion: v1, workloads: {w: {agent: a1}}}}", ""},
		"a config":                      {"desiredState.configs.c", "{desiredState: {apiVersion: v1, configs: {c: new}}}", "put config c=new, if config c is at 9"},
		"all configs":                   {"desiredState.configs", "{desiredState: {apiVersion: v1, configs: {d: new}}}", "put config d=new, delete config c, if config c is at 9, if config d is at 0"},
		"tags of an agent":              {"agents.a1.tags", "{agents: {a1: {tags: {zone: y}}}}", "tag a1 map[zone:y], if agent a1 is at 3"},
		"no tags":                       {"agents.a1.tags", "{agents: {a1: {}}}", "tag a1 map[], if agent a1 is at 3"},
		"what is observed is passed by": {"workloadStates agents.a1.status effectiveState.workloads.w", "{}", ""},
		"everything": {"", "{desiredState: {apiVersion: v1, workloads: {n: " + workload + "}}}",
			"put n on a2, delete v, delete w, delete config c, if workload n is at 0, if workload v is at 8, if workload w is at 7, if config c is at 9"},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := some().Update(mustRead(t, c.state), masksOf(t, strings.Fields(c.masks)...))
			if err != nil || describe(request) != c.want {
				t.Errorf("it is %q, %v, want %q", describe(request), err, c.want)
			}
			if c.want == "" && request != nil {
				t.Errorf("nothing is %v", request)
			}
		})
	}
}

func TestAnUpdateThatCannotBeSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		masks string
		state string
		want  string
		is    error
	}{
		"a field of nothing":      {"desiredState.workloads.none.agent", "{}", "Could not find field desiredState.workloads.none.agent", mask.ErrNoField},
		"another version":         {"desiredState.workloads.w", "{desiredState: {apiVersion: v2, workloads: {}}}", "Unsupported API version. Received 'v2', expected 'v1'", manifest.ErrInvalid},
		"no version":              {"desiredState.workloads.w", "{desiredState: {workloads: {}}}", "Unsupported API version. Received '', expected 'v1'", manifest.ErrInvalid},
		"nothing in place of all": {"", "{}", "Unsupported API version. Received '', expected 'v1'", manifest.ErrInvalid},
		"a text for workloads":    {"desiredState.workloads", "{desiredState: {apiVersion: v1, workloads: x}}", "desiredState.workloads is a text, it must be a mapping", manifest.ErrInvalid},
		"a workload that is a text": {"desiredState.workloads.w", "{desiredState: {apiVersion: v1, workloads: {w: x}}}",
			"is a text, it must be a mapping", manifest.ErrInvalid},
		"a word that nobody knows": {"desiredState.workloads.w.restartPolicy", "{desiredState: {apiVersion: v1, workloads: {w: {restartPolicy: SOMETIMES}}}}",
			"workload 'w', field 'restartPolicy': 'SOMETIMES' is not known: use one of NEVER, ON_FAILURE, ALWAYS", manifest.ErrInvalid},
		"a word of many letters": {"desiredState.workloads.w.restartPolicy", "{desiredState: {apiVersion: v1, workloads: {w: {restartPolicy: x" + strings.Repeat("ö", 60) + "}}}}",
			"'x" + strings.Repeat("ö", 39) + "...' is not known", manifest.ErrInvalid},
		"tags that are a list": {"desiredState.workloads.w.tags", "{desiredState: {apiVersion: v1, workloads: {w: {tags: [{key: a, value: b}]}}}}",
			"workload 'w', field 'tags': is a list, it must be a mapping", manifest.ErrInvalid},
		"no agent":              {"desiredState.workloads.w.agent", "{}", "workload 'w', field 'agent': is missing", manifest.ErrInvalid},
		"tags of an agent":      {"agents.a1.tags", "{agents: {a1: {tags: x}}}", "agent 'a1', field 'tags': is a text, it must be a mapping", manifest.ErrInvalid},
		"an agent that is gone": {"agents.a2.tags", "{agents: {a2: {tags: {zone: y}}}}", "Could not find field agents.a2.tags: no agent 'a2' is connected", mask.ErrNoField},
		"a rule of no type":     {"desiredState.workloads.w.controlInterfaceAccess", "{desiredState: {apiVersion: v1, workloads: {w: {controlInterfaceAccess: {allowRules: [{type: X}]}}}}}", "field 'controlInterfaceAccess.allowRules[0].type': 'X' is not a type of rule", manifest.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := some().Update(mustRead(t, c.state), masksOf(t, strings.Fields(c.masks)...))
			if request != nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it is %v, %v, want %q", request, err, c.want)
			}
		})
	}
}

// carryOut does what a write asks for, as the leader does.
func (c *cluster) carryOut(t *rapid.T, r *argosyv1.ApplyRequest) {
	for _, e := range r.GetExpected() {
		revisions := map[argosyv1.ObjectKind]uint64{
			argosyv1.ObjectKind_OBJECT_KIND_WORKLOAD: c.workloads[e.GetName()].GetRevision(),
			argosyv1.ObjectKind_OBJECT_KIND_CONFIG:   c.configs[e.GetName()].GetRevision(),
			argosyv1.ObjectKind_OBJECT_KIND_AGENT:    c.agents[e.GetName()].GetRevision(),
		}
		if revisions[e.GetKind()] != e.GetRevision() {
			t.Fatalf("%v is expected, the revisions are %v", e, revisions)
		}
	}
	c.take(&argosyv1.WatchResponse{Workloads: r.GetWorkloads(), Configs: r.GetConfigs(), DeletedWorkloads: r.GetDeleteWorkloads(), DeletedConfigs: r.GetDeleteConfigs()})
}

func TestAnUpdateOfEverythingMakesTheOtherState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, other := newCluster(), newCluster()
		for _, c := range []*cluster{one, other} {
			for range rapid.IntRange(0, 8).Draw(t, "changes") {
				c.change(t)
			}
		}
		want := complete.Of(other.state()).Tree()
		request, err := complete.Of(one.state()).Update(want, masksOf(t))
		if err != nil {
			t.Fatal(err)
		}
		one.carryOut(t, request)
		got := complete.Of(one.state()).Tree()
		if !tree.Equal(got.Child("desiredState"), want.Child("desiredState")) {
			t.Fatalf("it is\n%swant\n%s", got.YAML(), want.YAML())
		}
		if again, err := complete.Of(one.state()).Update(want, masksOf(t, "desiredState")); again != nil || err != nil {
			t.Fatalf("a second time it is %v, %v", again, err)
		}
	})
}

func TestRequestsAskForNoMoreThanTheMasksSelect(t *testing.T) {
	for name, c := range map[string]struct {
		masks string
		state *argosyv1.GetStateRequest
		watch *argosyv1.WatchRequest
	}{
		"everything":   {"", &argosyv1.GetStateRequest{}, &argosyv1.WatchRequest{}},
		"a workload":   {"desiredState.workloads.w", &argosyv1.GetStateRequest{Names: []string{"w"}, OmitConfigs: true, OmitStates: true, OmitAgents: true}, &argosyv1.WatchRequest{Names: []string{"w"}, OmitConfigs: true, OmitObserved: true, OmitAgents: true}},
		"effective":    {"effectiveState", &argosyv1.GetStateRequest{OmitConfigs: true, OmitStates: true, OmitAgents: true}, &argosyv1.WatchRequest{OmitConfigs: true, OmitObserved: true, OmitAgents: true}},
		"a config":     {"desiredState.configs.c", &argosyv1.GetStateRequest{ConfigKeys: []string{"c"}, OmitWorkloads: true, OmitStates: true, OmitAgents: true}, &argosyv1.WatchRequest{Names: []string{""}, OmitObserved: true, OmitAgents: true}},
		"agents":       {"agents", &argosyv1.GetStateRequest{OmitWorkloads: true, OmitConfigs: true, OmitStates: true}, &argosyv1.WatchRequest{Names: []string{""}, OmitDesired: true, OmitConfigs: true}},
		"states":       {"workloadStates.a.w", &argosyv1.GetStateRequest{OmitWorkloads: true, OmitConfigs: true, OmitAgents: true, Names: []string{"w"}, Agent: "a"}, &argosyv1.WatchRequest{Names: []string{"w"}, OmitDesired: true, OmitConfigs: true, OmitAgents: true}},
		"both of some": {"desiredState.workloads.v workloadStates.*.w", &argosyv1.GetStateRequest{Names: []string{"v", "w"}, OmitConfigs: true, OmitAgents: true}, &argosyv1.WatchRequest{Names: []string{"v", "w"}, OmitConfigs: true, OmitAgents: true}},
	} {
		t.Run(name, func(t *testing.T) {
			masks := masksOf(t, strings.Fields(c.masks)...)
			if got := complete.StateRequest(masks); got.String() != c.state.String() {
				t.Errorf("it reads %v, want %v", got, c.state)
			}
			if got := complete.WatchRequest(masks); got.String() != c.watch.String() {
				t.Errorf("it watches %v, want %v", got, c.watch)
			}
		})
	}
}

func TestASuccessNamesWhatStartsAndStops(t *testing.T) {
	changed := func(kind argosyv1.ChangeKind, effect argosyv1.Effect) *argosyv1.WorkloadChange {
		return &argosyv1.WorkloadChange{Name: "w", Kind: kind, Effect: effect, Agent: "new", InstanceId: "2", PreviousAgent: "old", PreviousInstanceId: "1"}
	}
	for name, c := range map[string]struct {
		change         *argosyv1.WorkloadChange
		added, deleted []string
	}{
		"created":   {changed(argosyv1.ChangeKind_CHANGE_KIND_CREATED, argosyv1.Effect_EFFECT_START), []string{"w.2.new"}, nil},
		"deleted":   {changed(argosyv1.ChangeKind_CHANGE_KIND_DELETED, argosyv1.Effect_EFFECT_STOP), nil, []string{"w.2.new"}},
		"unchanged": {changed(argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED, argosyv1.Effect_EFFECT_NONE), nil, nil},
		"retagged":  {changed(argosyv1.ChangeKind_CHANGE_KIND_UPDATED, argosyv1.Effect_EFFECT_NONE), nil, nil},
		"moved":     {changed(argosyv1.ChangeKind_CHANGE_KIND_UPDATED, argosyv1.Effect_EFFECT_RESTART), []string{"w.2.new"}, []string{"w.1.old"}},
		"restarted in place": {&argosyv1.WorkloadChange{Name: "w", Kind: argosyv1.ChangeKind_CHANGE_KIND_UPDATED, Effect: argosyv1.Effect_EFFECT_RESTART, Agent: "a", InstanceId: "2"},
			[]string{"w.2.a"}, []string{"w.2.a"}},
		"scheduled":   {changed(argosyv1.ChangeKind_CHANGE_KIND_UPDATED, argosyv1.Effect_EFFECT_START), []string{"w.2.new"}, nil},
		"unscheduled": {changed(argosyv1.ChangeKind_CHANGE_KIND_UPDATED, argosyv1.Effect_EFFECT_STOP), nil, []string{"w.1.old"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, result := range []*argosyv1.WriteResult{{Changes: []*argosyv1.WorkloadChange{c.change}}, {Rendered: []*argosyv1.WorkloadChange{c.change}}} {
				got := complete.ToSuccess(result)
				if !slices.Equal(got.GetAddedWorkloads(), c.added) || !slices.Equal(got.GetDeletedWorkloads(), c.deleted) {
					t.Errorf("it is %v", got)
				}
			}
		})
	}
}
