package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// watcher keeps what a watch has told so far.
type watcher struct {
	stream    grpc.ServerStreamingClient[argosyv1.WatchResponse]
	cancel    context.CancelFunc
	workloads map[string]uint64
	states    map[string]string
	revision  uint64
	snapshots int
}

func mustWatch(t *testing.T, r *replica, req *argosyv1.WatchRequest) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(requestContext(t))
	stream, err := r.Watch(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	return &watcher{stream: stream, cancel: cancel, workloads: map[string]uint64{}, states: map[string]string{}}
}

func (w *watcher) next(t *testing.T) {
	t.Helper()
	m, err := w.stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if m.GetSnapshotBegin() {
		clear(w.workloads)
		clear(w.states)
		w.snapshots++
	}
	if m.GetHeader().GetRevision() < w.revision {
		t.Errorf("revision went back from %d to %d", w.revision, m.GetHeader().GetRevision())
	}
	w.revision = m.GetHeader().GetRevision()
	for _, workload := range m.GetWorkloads() {
		if workload.GetRevision() <= w.workloads[workload.GetName()] {
			t.Errorf("%s was told twice at revision %d", workload.GetName(), workload.GetRevision())
		}
		w.workloads[workload.GetName()] = workload.GetRevision()
	}
	for _, name := range m.GetDeletedWorkloads() {
		delete(w.workloads, name)
	}
	for _, state := range m.GetStates() {
		if state.GetExecution().GetState() == argosyv1.State_STATE_REMOVED {
			delete(w.states, state.GetInstance().GetWorkload())
		} else {
			w.states[state.GetInstance().GetWorkload()] = state.GetExecution().Text()
		}
	}
}

func (w *watcher) until(t *testing.T, revision uint64) {
	t.Helper()
	for w.revision < revision {
		w.next(t)
	}
}

func TestAWatchTellsTheStateAndEveryChangeAfterIt(t *testing.T) {
	all := mustCluster(t, 3, nil)
	mustApply(t, all[0], applyOf(workload("a", "one"), workload("b", "one")))
	w := mustWatch(t, all[1], &argosyv1.WatchRequest{})
	w.next(t)
	if len(w.workloads) != 2 || w.states["a"] != "Pending(Initial)" || w.snapshots != 1 {
		t.Fatalf("it began with %v %v", w.workloads, w.states)
	}
	for i := range 20 {
		mustApply(t, all[i%3], applyOf(workload("a", fmt.Sprint(i)), workload(fmt.Sprint("new", i), "one")))
	}
	deleted, err := all[2].Delete(requestContext(t), &argosyv1.DeleteRequest{RequestId: newID(), Names: []string{"b", "new3"}})
	if err != nil {
		t.Fatal(err)
	}
	unscheduled := workload("nobody", "one")
	unscheduled.Agent = ""
	last := mustApply(t, all[0], applyOf(unscheduled)).GetHeader().GetRevision()
	w.until(t, last)

	want := map[string]uint64{}
	for name, workload := range mustState(t, all[2], &argosyv1.GetStateRequest{}).workloads {
		want[name] = workload.GetRevision()
	}
	if !maps.Equal(w.workloads, want) {
		t.Errorf("the watch knows %v, the state is %v", w.workloads, want)
	}
	if w.states["b"] != "" || w.states["nobody"] != "NotScheduled" || w.states["new5"] != "Pending(Initial)" {
		t.Errorf("states are %v", w.states)
	}

	// Resumed elsewhere it goes on where it was.
	resumed := mustWatch(t, all[2], &argosyv1.WatchRequest{AfterRevision: deleted.GetHeader().GetRevision(), OmitObserved: true})
	resumed.until(t, last)
	if resumed.snapshots != 0 || len(resumed.workloads) != 1 || resumed.workloads["nobody"] != last {
		t.Errorf("the resumed watch told %v (%d snapshots), want only what came after", resumed.workloads, resumed.snapshots)
	}
	named := mustWatch(t, all[0], &argosyv1.WatchRequest{Names: []string{"nobody"}})
	named.next(t)
	if len(named.workloads) != 1 || len(named.states) != 1 {
		t.Errorf("a watch of one name told %v %v", named.workloads, named.states)
	}
}

func TestAWatchEndsWithItsServerAndIsToldWhy(t *testing.T) {
	all := mustCluster(t, 3, nil)
	w := mustWatch(t, all[0], &argosyv1.WatchRequest{})
	w.next(t)
	all[0].cancel()
	for {
		_, err := w.stream.Recv()
		if err == nil {
			continue
		}
		if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_STOPPING && !retryable(err) {
			t.Errorf("it ended with %v", err)
		}
		return
	}
}

func TestAWatcherThatIsTooSlowIsCutOff(t *testing.T) {
	all := mustCluster(t, 1, nil)
	w := mustWatch(t, all[0], &argosyv1.WatchRequest{OmitObserved: true})
	w.next(t)
	// More than the feed and the windows of the connection hold.
	big := string(make([]byte, 900<<10))
	for i := range 60 {
		mustApply(t, all[0], applyOf(&argosyv1.Workload{Name: "big", Runtime: "process", RuntimeConfig: fmt.Sprint("x", i, big)}))
	}
	for {
		_, err := w.stream.Recv()
		if err == nil {
			continue
		}
		if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER {
			t.Errorf("it ended with %v", err)
		}
		return
	}
}

func TestALargeApplyAndReadingItBack(t *testing.T) {
	// Three servers and the race detector share the machine: a single entry of ten
	// megabytes takes them seconds.
	all := mustCluster(t, 3, func(_ int, cfg *Config) { cfg.TimingMultiplier = 10 })
	var many []*argosyv1.Workload
	for i := range 10_000 {
		many = append(many, workload(fmt.Sprintf("w%05d", i), fmt.Sprintf("command: /bin/true # %0900d", i)))
	}
	follower := others(all, mustLeader(t, all...))[0]
	response := mustApply(t, follower, applyOf(many...))
	if len(response.GetResult().GetChanges()) != len(many) {
		t.Errorf("%d changes", len(response.GetResult().GetChanges()))
	}
	for _, r := range all {
		state := mustState(t, r, &argosyv1.GetStateRequest{})
		if len(state.workloads) != len(many) || len(state.states) != len(many) || state.header.GetRevision() < response.GetHeader().GetRevision() {
			t.Errorf("%s has %d workloads and %d states at revision %d", r.cfg.Name, len(state.workloads), len(state.states), state.header.GetRevision())
		}
	}
	some := mustState(t, follower, &argosyv1.GetStateRequest{Names: []string{"w00007", "w00009", "nobody"}})
	if len(some.workloads) != 2 || len(some.states) != 2 {
		t.Errorf("of two names: %d workloads, %d states", len(some.workloads), len(some.states))
	}
	if none := mustState(t, follower, &argosyv1.GetStateRequest{Agent: "a2", OmitAgents: true}); len(none.workloads)+len(none.states) != 0 {
		t.Errorf("of another agent: %d workloads, %d states", len(none.workloads), len(none.states))
	}
	tooMany := append(many, many...)
	for i, w := range tooMany {
		tooMany[i] = &argosyv1.Workload{Name: fmt.Sprint("v", i), Runtime: "process", RuntimeConfig: w.GetRuntimeConfig()}
	}
	if _, err := follower.Apply(requestContext(t), applyOf(tooMany...)); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("an apply that is too large: %v", errors.Unwrap(err))
	}
}
