package complete_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/manifest/complete"
	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// carry does to a state what an event tells.
func carry(t *rapid.T, state *tree.Node, e *complete.Event) *tree.Node {
	for _, path := range e.Removed {
		var err error
		if state, err = state.Delete(strings.Split(path, ".")...); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range append(slices.Clone(e.Added), e.Updated...) {
		names := strings.Split(path, ".")
		value := e.State.Get(names...)
		if value == nil {
			t.Fatalf("%s is told of and not shown in\n%s", path, e.State.YAML())
		}
		var err error
		if state, err = state.Set(value, names...); err != nil {
			t.Fatal(err)
		}
	}
	return state
}

var someMasks = rapid.SampledFrom([][]string{
	nil, {"desiredState"}, {"desiredState.workloads.*.agent", "agents"}, {"workloadStates.a"}, {"desiredState.configs.a", "effectiveState"},
	{"agents.*.tags", "workloadStates.*.b"},
})

func TestEventsLeadFromTheFirstStateToTheLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, mirror := newCluster(), complete.NewMirror()
		masks := masksOf(t, someMasks.Draw(t, "masks")...)
		for range rapid.IntRange(0, 5).Draw(t, "before") {
			c.change(t)
		}
		begin := func() {
			for _, m := range c.snapshot() {
				mirror.Take(m)
			}
		}
		begin()
		observer := complete.NewObserver(masks)
		first := observer.Look(mirror)
		if first == nil || !first.Current || first.Number != 1 {
			t.Fatalf("it began with %+v", first)
		}
		state, number, restarted := first.State, first.Number, false
		look := func() {
			e := observer.Look(mirror)
			now := mask.Filter(mirror.Tree(), masks)
			if e != nil {
				number++
				if e.Number != number || e.None() || e.Current || e.Restarted != restarted || e.Revision != c.revision {
					t.Fatalf("event %d (restarted %v, revision %d) is %+v", number, restarted, c.revision, e)
				}
				restarted = false
				state = carry(t, state, e)
			}
			if !tree.Equal(pruned(state), pruned(now)) {
				t.Fatalf("by the events it is\n%sit is\n%s", state.YAML(), now.YAML())
			}
		}
		for range rapid.IntRange(0, 15).Draw(t, "changes") {
			if rapid.IntRange(0, 4).Draw(t, "lost") > 0 {
				mirror.Take(c.change(t))
				look()
				continue
			}
			// The watch ends, something changes, and it starts again elsewhere.
			c.change(t)
			begin()
			restarted = true
			look()
		}
	})
}

func TestNothingIsToldBeforeItIsWhole(t *testing.T) {
	mirror := complete.NewMirror()
	at := func(revision uint64) *argosyv1.ResponseHeader { return &argosyv1.ResponseHeader{Revision: revision} }
	for i, step := range []struct {
		m     *argosyv1.WatchResponse
		whole bool
	}{
		{&argosyv1.WatchResponse{Header: at(5), SnapshotBegin: true, Workloads: []*argosyv1.Workload{{Name: "a", Revision: 5}}}, false},
		{&argosyv1.WatchResponse{Header: at(5), States: []*argosyv1.WorkloadState{}}, false},
		{&argosyv1.WatchResponse{Header: at(5), SnapshotEnd: true}, true},
		{&argosyv1.WatchResponse{Header: at(5), Workloads: []*argosyv1.Workload{{Name: "b", Revision: 6}}}, false},
		{&argosyv1.WatchResponse{Header: at(6), Configs: []*argosyv1.Config{{Key: "c", Revision: 6}}}, true},
		{&argosyv1.WatchResponse{Header: at(6), RegisteredAgents: []*argosyv1.Agent{{Name: "x", Revision: 7}}}, false},
		{&argosyv1.WatchResponse{Header: at(9), SnapshotBegin: true, SnapshotEnd: true}, true},
	} {
		if whole := mirror.Take(step.m); whole != step.whole {
			t.Errorf("after message %d whole is %v", i, whole)
		}
	}
}

// What clients of the reference rely on.
func TestALifeIsToldInTheOrderThatClientsKnow(t *testing.T) {
	mirror := complete.NewMirror()
	mirror.Take(&argosyv1.WatchResponse{SnapshotBegin: true, SnapshotEnd: true, States: []*argosyv1.WorkloadState{{
		Instance: &argosyv1.InstanceName{Workload: "other", Agent: "a1", Id: "1"}, Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING},
	}}})
	observer := complete.NewObserver(masksOf(t, "workloadStates"))
	observer.Look(mirror)
	for _, step := range []struct {
		execution *argosyv1.ExecutionState
		want      string
	}{
		{&argosyv1.ExecutionState{State: argosyv1.State_STATE_PENDING, Substate: argosyv1.Substate_SUBSTATE_PENDING_INITIAL}, "[workloadStates.a1.w] [] []"},
		{&argosyv1.ExecutionState{State: argosyv1.State_STATE_PENDING, Substate: argosyv1.Substate_SUBSTATE_PENDING_STARTING, AdditionalInfo: "Triggered at runtime."}, "[] [additionalInfo subState] []"},
		{&argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK}, "[] [additionalInfo state subState] []"},
		{&argosyv1.ExecutionState{State: argosyv1.State_STATE_STOPPING, Substate: argosyv1.Substate_SUBSTATE_STOPPING_REQUESTED_AT_RUNTIME}, "[] [state subState] []"},
		{&argosyv1.ExecutionState{State: argosyv1.State_STATE_REMOVED}, "[] [] [workloadStates.a1.w]"},
	} {
		mirror.Take(&argosyv1.WatchResponse{States: []*argosyv1.WorkloadState{{Instance: &argosyv1.InstanceName{Workload: "w", Agent: "a1", Id: "1"}, Execution: step.execution}}})
		e := observer.Look(mirror)
		got := strings.ReplaceAll(fmt.Sprint(e.Added, e.Updated, e.Removed), "workloadStates.a1.w.1.", "")
		if got != step.want {
			t.Errorf("%s is told as %s, want %s", step.execution.Text(), got, step.want)
		}
		if wire := e.ToWire(); (wire.GetCompleteState() == nil) != (len(e.Removed) > 0) || !slices.Equal(wire.GetAlteredFields().GetUpdatedFields(), e.Updated) {
			t.Errorf("%s is sent as %v", step.execution.Text(), wire)
		}
		if again := observer.Look(mirror); again != nil {
			t.Errorf("it was told twice: %+v", again)
		}
	}
}

// One write in a state of 10,000 workloads, from the message of the watch to the
// event.
func BenchmarkOneChangeToAnEvent(b *testing.B) {
	mirror := complete.NewMirror()
	snapshot := &argosyv1.WatchResponse{SnapshotBegin: true, SnapshotEnd: true}
	for i := range 10_000 {
		w := &argosyv1.Workload{Name: fmt.Sprint("w", i), Agent: fmt.Sprint("agent_", i%100), Runtime: "podman", RuntimeConfig: "image: x\n", Tags: map[string]string{"owner": "x"}}
		snapshot.Workloads = append(snapshot.Workloads, w)
		snapshot.States = append(snapshot.States, &argosyv1.WorkloadState{Instance: argosyv1.InstanceOf(w), Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING, Substate: argosyv1.Substate_SUBSTATE_RUNNING_OK}})
	}
	mirror.Take(snapshot)
	for name, masks := range map[string][]string{"everything": nil, "agents of workloads": {"desiredState.workloads.*.agent"}, "another workload": {"desiredState.workloads.w1"}} {
		b.Run(name, func(b *testing.B) {
			observer := complete.NewObserver(masksOf(b, masks...))
			observer.Look(mirror)
			changed := &argosyv1.WatchResponse{Workloads: []*argosyv1.Workload{{Name: "w5000", Agent: "agent_0", Runtime: "podman", RuntimeConfig: "image: x\n"}}}
			agents := []string{"agent_1", "agent_2"}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				changed.Workloads[0].Agent = agents[i%2]
				mirror.Take(changed)
				observer.Look(mirror)
			}
		})
	}
}

func TestWhatChangedBeforeAWatchStartedAgainIsTold(t *testing.T) {
	snapshot := func(revision uint64, workloads ...*argosyv1.Workload) *argosyv1.WatchResponse {
		return &argosyv1.WatchResponse{Header: &argosyv1.ResponseHeader{Revision: revision}, SnapshotBegin: true, SnapshotEnd: true, Workloads: workloads}
	}
	mirror, observer := complete.NewMirror(), complete.NewObserver(masksOf(t, "desiredState.workloads.*.agent"))
	mirror.Take(snapshot(5, &argosyv1.Workload{Name: "a", Agent: "x"}))
	observer.Look(mirror)
	mirror.Take(snapshot(9, &argosyv1.Workload{Name: "b", Agent: "x"}))
	e := observer.Look(mirror)
	if e == nil || !e.Restarted || e.Revision != 9 || !slices.Equal(e.Added, []string{"desiredState.workloads.b.agent"}) || !slices.Equal(e.Removed, []string{"desiredState.workloads.a.agent"}) {
		t.Errorf("a came and went, b is there, and it tells %+v", e)
	}
}
