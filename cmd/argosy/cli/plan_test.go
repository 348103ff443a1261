package cli

import (
	"strings"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestPlansSayWhatWouldHappenAndWhy(t *testing.T) {
	change := func(kind argosyv1.ChangeKind, effect argosyv1.Effect, agents ...string) *argosyv1.WorkloadChange {
		c := &argosyv1.WorkloadChange{Name: "w", Kind: kind, Effect: effect, Agent: agents[0]}
		if len(agents) > 1 {
			c.PreviousAgent = agents[1]
		}
		return c
	}
	because := func(c *argosyv1.WorkloadChange, fields ...string) *argosyv1.WorkloadChange {
		c.ChangedFields = fields
		return c
	}
	const (
		created, updated, unchanged = argosyv1.ChangeKind_CHANGE_KIND_CREATED, argosyv1.ChangeKind_CHANGE_KIND_UPDATED, argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED
		deleted, missing            = argosyv1.ChangeKind_CHANGE_KIND_DELETED, argosyv1.ChangeKind_CHANGE_KIND_MISSING
		start, stop, restart, none  = argosyv1.Effect_EFFECT_START, argosyv1.Effect_EFFECT_STOP, argosyv1.Effect_EFFECT_RESTART, argosyv1.Effect_EFFECT_NONE
	)
	for _, test := range []struct {
		result  *argosyv1.WriteResult
		want    string
		summary string
	}{
		{changed(change(created, start, "a")), "w|created|start|a|", "1 workload would start, 0 stop, 0 restart"},
		{changed(change(created, none, "")), "w|created|none||", "0 workloads would start, 0 stop, 0 restart"},
		{changed(because(change(updated, restart, "b", "a"), "agent", "tags")), "w|changed|restart|a -> b|agent, tags", "0 workloads would start, 0 stop, 1 restart"},
		{changed(because(change(updated, stop, "", "a"), "agent")), "w|changed|stop|a -> none|agent", "0 workloads would start, 1 stop, 0 restart"},
		{changed(change(updated, none, "a")), "w|changed|none|a|written in another way, rendered to the same", "0 workloads would start, 0 stop, 0 restart"},
		{changed(change(unchanged, none, "a")), "w|unchanged|none|a|", "0 workloads would start, 0 stop, 0 restart"},
		{changed(change(deleted, stop, "a")), "w|deleted|stop|a|", "0 workloads would start, 1 stop, 0 restart"},
		{changed(change(missing, none, "")), "w|not there|none||", "0 workloads would start, 0 stop, 0 restart"},
		{
			&argosyv1.WriteResult{Rendered: []*argosyv1.WorkloadChange{because(change(updated, restart, "a"), "files")}},
			"w|changed|restart|a|its configs change files", "0 workloads would start, 0 stop, 1 restart",
		},
	} {
		rows := planRows(test.result)
		if got := strings.Join(rows[0], "|"); got != test.want || len(rows) != 1 {
			t.Errorf("row is %q, want %q", got, test.want)
		}
		if got := planSummary(test.result); got != test.summary {
			t.Errorf("%s: summary is %q, want %q", test.want, got, test.summary)
		}
	}
}

func changed(change *argosyv1.WorkloadChange) *argosyv1.WriteResult {
	return &argosyv1.WriteResult{Changes: []*argosyv1.WorkloadChange{change}}
}

func TestDependenciesAreComparedWithWhatIs(t *testing.T) {
	state := func(name string, substate argosyv1.Substate, info string) *argosyv1.WorkloadState {
		coarse := map[argosyv1.Substate]argosyv1.State{
			argosyv1.Substate_SUBSTATE_RUNNING_OK:         argosyv1.State_STATE_RUNNING,
			argosyv1.Substate_SUBSTATE_SUCCEEDED_OK:       argosyv1.State_STATE_SUCCEEDED,
			argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED: argosyv1.State_STATE_FAILED,
			argosyv1.Substate_SUBSTATE_FAILED_LOST:        argosyv1.State_STATE_FAILED,
		}[substate]
		return &argosyv1.WorkloadState{
			Instance:  &argosyv1.InstanceName{Workload: name, Agent: "a"},
			Execution: &argosyv1.ExecutionState{State: coarse, Substate: substate, AdditionalInfo: info},
		}
	}
	all := &argosyv1.GetStateResponse{
		Workloads: []*argosyv1.Workload{{Name: "idle"}},
		States: []*argosyv1.WorkloadState{
			state("runs", argosyv1.Substate_SUBSTATE_RUNNING_OK, triggered),
			state("done", argosyv1.Substate_SUBSTATE_SUCCEEDED_OK, ""),
			state("fails", argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED, "Exit code: '1'"),
			state("lost", argosyv1.Substate_SUBSTATE_FAILED_LOST, ""),
			state("moves", argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED, ""),
			state("moves", argosyv1.Substate_SUBSTATE_RUNNING_OK, ""),
		},
	}
	const (
		running   = argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING
		succeeded = argosyv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED
		failed    = argosyv1.DependencyCondition_DEPENDENCY_CONDITION_FAILED
	)
	for _, test := range []struct {
		name      string
		condition argosyv1.DependencyCondition
		want      dependency
	}{
		{"runs", running, dependency{"runs", "running", true, "Running(Ok)"}},
		{"runs", succeeded, dependency{"runs", "succeeded", false, "Running(Ok)"}},
		{"done", succeeded, dependency{"done", "succeeded", true, "Succeeded(Ok)"}},
		{"done", running, dependency{"done", "running", false, "Succeeded(Ok)"}},
		{"fails", failed, dependency{"fails", "failed", true, "Failed(ExecFailed)  Exit code: '1'"}},
		{"lost", failed, dependency{"lost", "failed", false, "Failed(Lost)"}},
		{"moves", running, dependency{"moves", "running", true, "Failed(ExecFailed); Running(Ok)"}},
		{"idle", running, dependency{"idle", "running", false, "without an instance"}},
		{"nobody", running, dependency{"nobody", "running", false, "not there: no workload has this name"}},
	} {
		got := dependencies(map[string]argosyv1.DependencyCondition{test.name: test.condition}, all)
		if len(got) != 1 || got[0] != test.want {
			t.Errorf("%s, %s: %+v, want %+v", test.name, test.want.condition, got, test.want)
		}
	}
}
