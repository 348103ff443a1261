package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// waitOf waits for a change of the workload w at revision 10.
func waitOf(change *argosyv1.WorkloadChange) *wait {
	change.Name = "w"
	return newWait(&app{err: io.Discard}, &argosyv1.WriteResponse{
		Header: &argosyv1.ResponseHeader{Revision: 10}, Result: &argosyv1.WriteResult{Rendered: []*argosyv1.WorkloadChange{change}},
	}, waitOptions{})
}

func stateOf(agent, id string, execution *argosyv1.ExecutionState) *argosyv1.WorkloadState {
	return &argosyv1.WorkloadState{Instance: &argosyv1.InstanceName{Workload: "w", Agent: agent, Id: id}, Execution: execution}
}

func TestAWaitEndsWhenEachInstanceIsWhereItShallBe(t *testing.T) {
	id := argosyv1.InstanceID("x")
	desired := func(policy argosyv1.RestartPolicy, revision uint64) *argosyv1.Workload {
		return &argosyv1.Workload{Name: "w", Agent: "{{a}}", RuntimeConfig: "{{x}}", RestartPolicy: policy, Revision: revision, Rendered: &argosyv1.Rendered{Agent: "a", RuntimeConfig: "x"}}
	}
	never, always := argosyv1.RestartPolicy_RESTART_POLICY_NEVER, argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS
	changed := func(effect argosyv1.Effect, agent, before string) *argosyv1.WorkloadChange {
		return &argosyv1.WorkloadChange{Kind: argosyv1.ChangeKind_CHANGE_KIND_UPDATED, Effect: effect, Agent: agent, InstanceId: id, PreviousAgent: before}
	}
	start := func() *argosyv1.WorkloadChange { return changed(argosyv1.Effect_EFFECT_START, "a", "") }
	stop := func() *argosyv1.WorkloadChange { return changed(argosyv1.Effect_EFFECT_STOP, "", "a") }
	deleted := func() *argosyv1.WorkloadChange {
		return &argosyv1.WorkloadChange{Kind: argosyv1.ChangeKind_CHANGE_KIND_DELETED, Effect: argosyv1.Effect_EFFECT_STOP, Agent: "a", InstanceId: id}
	}
	in := func(state argosyv1.State, substate argosyv1.Substate) *argosyv1.ExecutionState {
		return &argosyv1.ExecutionState{State: state, Substate: substate}
	}
	running := in(argosyv1.State_STATE_RUNNING, argosyv1.Substate_SUBSTATE_RUNNING_OK)
	failed := in(argosyv1.State_STATE_FAILED, argosyv1.Substate_SUBSTATE_FAILED_EXEC_FAILED)
	gone := in(argosyv1.State_STATE_AGENT_DISCONNECTED, argosyv1.Substate_SUBSTATE_UNSPECIFIED)
	pending := func(substate argosyv1.Substate) *argosyv1.ExecutionState {
		return in(argosyv1.State_STATE_PENDING, substate)
	}
	for name, test := range map[string]struct {
		change  *argosyv1.WorkloadChange
		desired *argosyv1.Workload
		states  []*argosyv1.WorkloadState
		settled bool
		failure string
	}{
		"nothing is known yet":          {start(), desired(never, 10), nil, false, ""},
		"it runs":                       {start(), desired(never, 10), []*argosyv1.WorkloadState{stateOf("a", id, running)}, true, ""},
		"another instance runs":         {start(), desired(never, 10), []*argosyv1.WorkloadState{stateOf("a", "old", running)}, false, ""},
		"it has failed for good":        {start(), desired(never, 10), []*argosyv1.WorkloadState{stateOf("a", id, failed)}, true, "Failed(ExecFailed)"},
		"it is started again":           {start(), desired(always, 10), []*argosyv1.WorkloadState{stateOf("a", id, failed)}, false, ""},
		"it waits for others":           {start(), desired(never, 10), []*argosyv1.WorkloadState{stateOf("a", id, pending(argosyv1.Substate_SUBSTATE_PENDING_WAITING_TO_START))}, false, ""},
		"it can never be started":       {start(), desired(never, 10), []*argosyv1.WorkloadState{stateOf("a", id, pending(argosyv1.Substate_SUBSTATE_PENDING_STARTING_FAILED))}, true, "StartingFailed"},
		"its agent is not there":        {start(), desired(never, 10), []*argosyv1.WorkloadState{stateOf("a", id, pending(argosyv1.Substate_SUBSTATE_PENDING_INITIAL))}, true, "agent a is not connected"},
		"its agent is lost":             {start(), desired(never, 10), []*argosyv1.WorkloadState{stateOf("a", id, gone)}, true, "agent a is not connected"},
		"somebody changes its tags":     {start(), desired(never, 11), []*argosyv1.WorkloadState{stateOf("a", id, running)}, true, ""},
		"somebody deletes it":           {start(), nil, nil, true, "somebody has deleted it"},
		"somebody moves it":             {start(), &argosyv1.Workload{Name: "w", Agent: "b", Revision: 12}, nil, true, "changed it meanwhile (revision 12)"},
		"it is scheduled nowhere":       {stop(), &argosyv1.Workload{Name: "w", RuntimeConfig: "x", Revision: 10}, nil, true, ""},
		"it has not left yet":           {stop(), &argosyv1.Workload{Name: "w", RuntimeConfig: "x", Revision: 10}, []*argosyv1.WorkloadState{stateOf("a", "old", running)}, false, ""},
		"it is deleted":                 {deleted(), nil, nil, true, ""},
		"some of it is left":            {deleted(), nil, []*argosyv1.WorkloadState{stateOf("b", "old", running)}, false, ""},
		"its agent cannot remove it":    {deleted(), nil, []*argosyv1.WorkloadState{stateOf("a", id, gone)}, true, "it will remove the workload when it is back"},
		"somebody creates it once more": {deleted(), desired(never, 12), []*argosyv1.WorkloadState{stateOf("a", id, running)}, true, ""},
	} {
		w := waitOf(test.change)
		message := &argosyv1.WatchResponse{States: test.states}
		if test.desired != nil {
			message.Workloads = append(message.Workloads, test.desired)
		}
		w.take(message)
		if got := w.settled(); got != test.settled {
			t.Errorf("%s: settled is %v", name, got)
		}
		failure := strings.Join(slices.Collect(maps.Values(w.failed)), "; ")
		if (failure == "") != (test.failure == "") || !strings.Contains(failure, test.failure) {
			t.Errorf("%s: failure is %q, want %q", name, failure, test.failure)
		}
	}
}

func TestWhatIsStartedAnewIsNotTakenForWhatItWas(t *testing.T) {
	ended := func(started int64) *argosyv1.ExecutionState {
		return &argosyv1.ExecutionState{State: argosyv1.State_STATE_SUCCEEDED, Substate: argosyv1.Substate_SUBSTATE_SUCCEEDED_OK, StartedUnixNanos: started}
	}
	for name, test := range map[string]struct {
		then *argosyv1.WatchResponse
		over bool
	}{
		"nothing happens":   {&argosyv1.WatchResponse{}, false},
		"it ran once more":  {&argosyv1.WatchResponse{States: []*argosyv1.WorkloadState{stateOf("a", "id", ended(2))}}, true},
		"the agent is done": {&argosyv1.WatchResponse{Agents: []*argosyv1.AgentStatus{{Name: "a", ConvergedRevision: 10}}}, true},
	} {
		w := waitOf(&argosyv1.WorkloadChange{Kind: argosyv1.ChangeKind_CHANGE_KIND_UPDATED, Effect: argosyv1.Effect_EFFECT_RESTART, Agent: "a", InstanceId: "id"})
		w.take(&argosyv1.WatchResponse{States: []*argosyv1.WorkloadState{stateOf("a", "id", ended(1))}})
		if !w.mayYetFail() || w.patience() == 0 {
			t.Errorf("%s: it is taken for what it was", name)
		}
		w.take(test.then)
		if w.mayYetFail() == test.over {
			t.Errorf("%s: over is %v", name, !test.over)
		}
	}
}

func TestAWaitThatLosesTheServersSaysThatTheChangeIsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := client.New(client.Config{Endpoints: []string{"192.0.2.1"}, Dial: func(context.Context, string) (net.Conn, error) {
			return nil, errors.New("gone")
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		w := waitOf(&argosyv1.WorkloadChange{Kind: argosyv1.ChangeKind_CHANGE_KIND_CREATED, Agent: "a"})
		w.options.timeout = time.Hour
		err = w.run(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), "accepted (revision 10)") || exitCode(err) != argosyv1.ExitUnreachable {
			t.Errorf("error %v, exit code %d", err, exitCode(err))
		}
	})
}

// BenchmarkWaitOfMany waits for 10,000 workloads of which ten at a time begin to run.
func BenchmarkWaitOfMany(b *testing.B) {
	const count = 10_000
	running := &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK}
	result, snapshot := &argosyv1.WriteResult{}, &argosyv1.WatchResponse{}
	var all []*argosyv1.WorkloadState
	for i := range count {
		name := fmt.Sprint("w", i)
		result.Changes = append(result.Changes, &argosyv1.WorkloadChange{
			Name: name, Agent: "a", InstanceId: "id", Kind: argosyv1.ChangeKind_CHANGE_KIND_CREATED, Effect: argosyv1.Effect_EFFECT_START,
		})
		snapshot.Workloads = append(snapshot.Workloads, &argosyv1.Workload{Name: name, Agent: "a", Revision: 10})
		all = append(all, &argosyv1.WorkloadState{Instance: &argosyv1.InstanceName{Workload: name, Agent: "a", Id: "id"}, Execution: running})
	}
	response := &argosyv1.WriteResponse{Header: &argosyv1.ResponseHeader{Revision: 10}, Result: result}
	for b.Loop() {
		w := newWait(&app{err: io.Discard}, response, waitOptions{})
		w.take(snapshot)
		for states := range slices.Chunk(all, 10) {
			w.take(&argosyv1.WatchResponse{States: states})
			if last := &states[0] == &all[count-10]; w.settled() != last {
				b.Fatalf("settled is %v", !last)
			}
		}
	}
}
