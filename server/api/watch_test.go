package api

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// The revisions of a cluster that was recovered begin where the survivor was: a
// watcher that saw more than that must not take new changes for its own future.
func TestAWatchOfAnotherIncarnationStartsWithASnapshot(t *testing.T) {
	r := mustServe(t, 1<<20)
	r.incarnation = "1-abcdef01"
	at := r.put(t, workload("w", "a"))
	for name, after := range map[string]uint64{"the future": at + 100, "the past": at - 1} {
		stream, err := r.Watch(t.Context(), &argosyv1.WatchRequest{AfterRevision: after, OmitObserved: true})
		if err != nil {
			t.Fatal(err)
		}
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if !m.GetSnapshotBegin() || len(m.GetWorkloads()) != 1 || m.GetHeader().GetIncarnation() != r.incarnation {
			t.Errorf("resumed in %s of another incarnation it began with %v", name, m)
		}
	}
	same, err := r.Watch(t.Context(), &argosyv1.WatchRequest{AfterRevision: at - 1, Incarnation: r.incarnation, OmitObserved: true})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := same.Recv(); err != nil || m.GetSnapshotBegin() {
		t.Errorf("resumed in the same incarnation it began with %v, %v", m, err)
	}
}

// A state that is replaced as a whole (a restore, a snapshot of the leader) ends
// watches; resumed they begin with a snapshot of the new state.
func TestAWatchEndsWhenTheStateIsReplaced(t *testing.T) {
	r, other := mustServe(t, 1<<20), mustServe(t, 1<<20)
	at := r.put(t, workload("w", "a"))
	stream, err := r.Watch(t.Context(), &argosyv1.WatchRequest{OmitObserved: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		other.put(t, workload("restored", "a"))
	}
	snapshot, err := other.machine.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	store := raft.NewInmemSnapshotStore()
	sink, err := store.Create(raft.SnapshotVersionMax, other.index, 1, raft.Configuration{}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Persist(sink); err != nil {
		t.Fatal(err)
	}
	_, reader, err := store.Open(sink.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.machine.Restore(reader); err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER {
		t.Fatalf("after the restore it told %v, %v", m, err)
	}
	resume := func() (*argosyv1.WatchResponse, error) {
		t.Helper()
		again, err := r.Watch(t.Context(), &argosyv1.WatchRequest{AfterRevision: at, OmitObserved: true})
		if err != nil {
			t.Fatal(err)
		}
		return again.Recv()
	}
	// The leader has a restored state before anybody else, and may die with it.
	r.await = argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "no majority has it")
	if m, err := resume(); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
		t.Errorf("of a state that may not be committed it told %v, %v", m, err)
	}
	r.await = nil
	m, err := resume()
	if err != nil {
		t.Fatal(err)
	}
	if !m.GetSnapshotBegin() || len(m.GetWorkloads()) != 1 || m.GetWorkloads()[0].GetName() != "restored" {
		t.Errorf("resumed it began with %v", m)
	}
}

// Whoever puts a state together of what he is told never has an instance of a
// workload that he has not heard of.
func TestAWorkloadIsToldBeforeWhatItsAgentReportsOfIt(t *testing.T) {
	r := mustServe(t, 1<<20)
	lead, err := r.store.Lead(3)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := r.Watch(t.Context(), &argosyv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	const count = 200
	for i := range count {
		w := workload(fmt.Sprint("w", i), "a")
		r.put(t, w)
		if _, err := lead.Report("a", false, []*argosyv1.WorkloadState{{
			Instance: argosyv1.InstanceOf(w), Execution: &argosyv1.ExecutionState{State: argosyv1.State_STATE_RUNNING},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	known, running := map[string]bool{}, 0
	for running < count {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range m.GetWorkloads() {
			known[w.GetName()] = true
		}
		for _, s := range m.GetStates() {
			if name := s.GetInstance().GetWorkload(); !known[name] {
				t.Fatalf("%s of %s is told before the workload", s.GetExecution().Text(), name)
			}
			if s.GetExecution().GetState() == argosyv1.State_STATE_RUNNING {
				running++
			}
		}
	}
}
