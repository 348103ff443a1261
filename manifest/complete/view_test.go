package complete_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestTheStateHasTheShapeThatUsersKnow(t *testing.T) {
	view := complete.Of(&argosyv1.GetStateResponse{
		Workloads: []*argosyv1.Workload{
			{Name: "plain", Agent: "a1", Runtime: "podman", RuntimeConfig: "image: x\n"},
			{
				Name: "full", Agent: "{{where}}", Runtime: "podman", RuntimeConfig: "image: {{image}}\n",
				RestartPolicy: argosyv1.RestartPolicy_RESTART_POLICY_ON_FAILURE,
				Tags:          map[string]string{"owner": "me"},
				Dependencies:  map[string]argosyv1.DependencyCondition{"plain": argosyv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED},
				Configs:       map[string]string{"where": "place", "image": "images"},
				Files: []*argosyv1.File{
					{MountPoint: "/etc/f", Content: &argosyv1.File_Data{Data: "text"}},
					{MountPoint: "/etc/b", Content: &argosyv1.File_BinaryData{BinaryData: "eA=="}},
				},
				ControlInterfaceAccess: &argosyv1.ControlInterfaceAccess{AllowRules: []*argosyv1.AccessRule{
					{Kind: &argosyv1.AccessRule_State{State: &argosyv1.StateRule{Operation: argosyv1.AccessOperation_ACCESS_OPERATION_READ_WRITE, FilterMasks: []string{"desiredState"}}}},
					{Kind: &argosyv1.AccessRule_Log{Log: &argosyv1.LogRule{WorkloadNames: []string{"app-*"}}}},
				}},
				Rendered: &argosyv1.Rendered{Agent: "a1", RuntimeConfig: "image: y\n"},
			},
		},
		Configs: []*argosyv1.Config{{Key: "place", Value: &argosyv1.ConfigItem{Kind: &argosyv1.ConfigItem_Text{Text: "a1"}}}},
		States: []*argosyv1.WorkloadState{{
			Instance:  &argosyv1.InstanceName{Workload: "plain", Agent: "a1", Id: "id"},
			Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK},
		}},
		Agents: []*argosyv1.Agent{
			{Name: "a1", Tags: map[string]string{"zone": "x"}, UserTags: &argosyv1.Tags{Tags: map[string]string{"zone": "y"}}},
			{Name: "a2", Tags: map[string]string{"zone": "x"}},
			{Name: "a3"},
		},
		AgentStatuses: []*argosyv1.AgentStatus{{Name: "a1", Connected: true, CpuPercent: 7, FreeMemoryBytes: 12}, {Name: "a2"}, {Name: "a3", Connected: true}},
	})
	want := `agents:
  a1:
    status:
      cpuUsage: 7
      freeMemory: 12
    tags:
      zone: y
  a3: {}
desiredState:
  apiVersion: v1
  configs:
    place: a1
  workloads:
    full:
      agent: "{{where}}"
      configs:
        image: images
        where: place
      controlInterfaceAccess:
        allowRules:
          - filterMasks:
              - desiredState
            operation: ReadWrite
            type: StateRule
          - type: LogRule
            workloadNames:
              - "app-*"
      dependencies:
        plain: ADD_COND_SUCCEEDED
      files:
        - data: text
          mountPoint: /etc/f
        - binaryData: "eA=="
          mountPoint: /etc/b
      restartPolicy: ON_FAILURE
      runtime: podman
      runtimeConfig: "image: {{image}}\n"
      tags:
        owner: me
    plain:
      agent: a1
      restartPolicy: NEVER
      runtime: podman
      runtimeConfig: "image: x\n"
effectiveState:
  apiVersion: v1
  workloads:
    full:
      agent: a1
      controlInterfaceAccess:
        allowRules:
          - filterMasks:
              - desiredState
            operation: ReadWrite
            type: StateRule
          - type: LogRule
            workloadNames:
              - "app-*"
      dependencies:
        plain: ADD_COND_SUCCEEDED
      restartPolicy: ON_FAILURE
      runtime: podman
      runtimeConfig: "image: y\n"
      tags:
        owner: me
    plain:
      agent: a1
      restartPolicy: NEVER
      runtime: podman
      runtimeConfig: "image: x\n"
workloadStates:
  a1:
    plain:
      id:
        additionalInfo: ""
        state: Running
        subState: Ok
`
	if !tree.Equal(view.Tree(), mustRead(t, want)) {
		t.Errorf("the state is\n%s", view.Tree().YAML())
	}
}

func TestAnEmptyClusterHasEmptyMaps(t *testing.T) {
	want := mustRead(t, `{desiredState: {apiVersion: v1, workloads: {}, configs: {}}, effectiveState: {apiVersion: v1, workloads: {}}, workloadStates: {}, agents: {}}`)
	if got := complete.New().Tree(); !tree.Equal(got, want) {
		t.Errorf("the state is\n%s", got.YAML())
	}
}

func TestAllChangesOneByOneMakeWhatReadingItAllMakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, mirror := newCluster(), complete.NewMirror()
		for _, m := range c.snapshot() {
			mirror.Take(m)
		}
		for range rapid.IntRange(0, 20).Draw(t, "changes") {
			if !mirror.Take(c.change(t)) {
				t.Fatal("the mirror is not whole after a write")
			}
			if want := complete.Of(c.state()).Tree(); !tree.Equal(mirror.Tree(), want) {
				t.Fatalf("the mirror has\n%sthe state is\n%s", mirror.Tree().YAML(), want.YAML())
			}
		}
		again := complete.NewMirror()
		for _, m := range c.snapshot() {
			again.Take(m)
		}
		if !tree.Equal(again.Tree(), mirror.Tree()) {
			t.Fatalf("from a snapshot it is\n%sby changes\n%s", again.Tree().YAML(), mirror.Tree().YAML())
		}
	})
}

func TestWhatDoesNotChangeIsShared(t *testing.T) {
	view := complete.New()
	for _, name := range []string{"a", "b"} {
		view.PutWorkload(&argosyv1.Workload{Name: name, Agent: "x"})
	}
	before := view.Tree()
	if view.Tree() != before {
		t.Error("without a change it is another tree")
	}
	view.PutState(&argosyv1.WorkloadState{Instance: &argosyv1.InstanceName{Workload: "a", Agent: "x", Id: "1"}, Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING}})
	after := view.Tree()
	if after.Child("desiredState") != before.Child("desiredState") || after.Child("effectiveState") != before.Child("effectiveState") {
		t.Error("a state made desired state anew")
	}
	view.PutWorkload(&argosyv1.Workload{Name: "a", Agent: "y"})
	path := []string{"desiredState", "workloads", "b"}
	if view.Tree().Get(path...) != before.Get(path...) {
		t.Error("a workload made another one anew")
	}
	if view.Tree().Get("effectiveState", "workloads", "a") != view.Tree().Get("desiredState", "workloads", "a") {
		t.Error("what has no templates is there twice")
	}
}
