package reconcile

import (
	"fmt"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func stateOf(s argosyv1.State) *argosyv1.ExecutionState { return &argosyv1.ExecutionState{State: s} }

func TestJournalKeepsEveryChangeInOrderAndTellsItOnce(t *testing.T) {
	j := newJournal(10)
	name := &argosyv1.InstanceName{Workload: "web"}
	for _, s := range []argosyv1.State{argosyv1.State_STATE_PENDING, argosyv1.State_STATE_RUNNING, argosyv1.State_STATE_RUNNING, argosyv1.State_STATE_SUCCEEDED} {
		j.set("web", name, stateOf(s))
	}
	j.removed("web", name)
	<-j.Changed()
	states, full := j.Take()
	if full || len(states) != 4 || states[3].GetExecution().GetState() != argosyv1.State_STATE_REMOVED {
		t.Errorf("took %v, full %v", states, full)
	}
	if states, _ := j.Take(); len(states) != 0 {
		t.Errorf("took %v again", states)
	}
	if all := j.Full(); len(all) != 0 {
		t.Errorf("what was removed is still there: %v", all)
	}
}

func TestJournalGivesWayToAFullReportWhenNobodyTakesForLong(t *testing.T) {
	j := newJournal(5)
	for i := range 100 {
		key := fmt.Sprintf("w%02d", i%10)
		j.set(key, &argosyv1.InstanceName{Workload: key}, &argosyv1.ExecutionState{State: argosyv1.State_STATE_FAILED, ExitCode: int32(i)})
		if len(j.queue) > 5 {
			t.Fatalf("%d changes are queued", len(j.queue))
		}
	}
	states, full := j.Take()
	if !full || len(states) != 10 || states[9].GetExecution().GetExitCode() != 99 {
		t.Errorf("took %d states, full %v: %v", len(states), full, states)
	}
	j.set("w00", &argosyv1.InstanceName{Workload: "w00"}, stateOf(argosyv1.State_STATE_RUNNING))
	if states, full := j.Take(); full || len(states) != 1 {
		t.Errorf("after the full report: %v, full %v", states, full)
	}
}
