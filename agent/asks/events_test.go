package asks_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/agent/asks"
	"github.com/argosy-cluster/argosy/agent/control"
	"github.com/argosy-cluster/argosy/agent/control/controltest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestASubscriptionTellsTheStateAndThenItsChanges(t *testing.T) {
	s := newScene(t, nil)
	s.put(workload("there"))
	sub := s.begin(s.assign("asking", "read:*"), controltest.Events("1", "desiredState.workloads", "workloadStates"), 10)
	first := sub.next().GetCompleteStateResponse()
	if first.GetAlteredFields() != nil || first.GetCompleteState().GetDesiredState().GetWorkloads().GetWorkloads()["there"] == nil {
		t.Fatalf("first told %v", first)
	}
	w := workload("w")
	id := argosyv1.InstanceOf(w).GetId()
	s.put(w)
	sub.wantEvent("+desiredState.workloads.w")
	s.report(w, argosyv1.State_STATE_PENDING, argosyv1.Substate_SUBSTATE_PENDING_STARTING)
	sub.wantEvent("+workloadStates")
	s.report(w, argosyv1.State_STATE_RUNNING, argosyv1.Substate_SUBSTATE_RUNNING_OK)
	sub.wantEvent("~workloadStates.agent_A.w." + id + ".state ~workloadStates.agent_A.w." + id + ".subState")
	s.drop("w")
	sub.wantEvent("-desiredState.workloads.w")
	sub.cancel(control.ErrCancelled)
	sub.wantEnd(control.ErrCancelled)
	eventually(t, "nothing is watched any more", func() bool { open, _ := s.watched(); return open == 0 })
}

func TestAllSubscriptionsShareOneWatch(t *testing.T) {
	s := newScene(t, nil)
	var subs []*subscription
	for i := range 100 {
		by := s.assign(fmt.Sprint("w", i), "read:desiredState")
		subs = append(subs, s.begin(by, controltest.Events("1", fmt.Sprintf("desiredState.workloads.w%d", i)), 10))
	}
	for _, sub := range subs {
		sub.wantEvent("current")
	}
	eventually(t, "one watch", func() bool { open, _ := s.watched(); return open == 1 })
	s.put(workload("w42"))
	s.put(workload("w43"))
	subs[43].wantEvent("+desiredState.workloads.w43")
	subs[42].wantEvent("+desiredState.workloads.w42")
	if len(subs[41].responses) > 0 {
		t.Errorf("told %v", subs[41].next())
	}
}

func TestWhoSubscribesLaterSeesWhatWasThereBefore(t *testing.T) {
	s := newScene(t, nil)
	by := s.assign("asking", "read:*")
	s.begin(by, controltest.Events("1"), 10).wantEvent("current")
	s.put(workload("mine"))
	late := s.begin(by, controltest.Events("2"), 10).next().GetCompleteStateResponse()
	if late.GetCompleteState().GetDesiredState().GetWorkloads().GetWorkloads()["mine"] == nil {
		t.Errorf("told %v", late)
	}
}

func TestASubscriptionGoesOnOverTheLossOfServers(t *testing.T) {
	s := newScene(t, nil)
	s.put(workload("there"))
	sub := s.begin(s.assign("asking", "read:*"), controltest.Events("1", "desiredState.workloads"), 10)
	sub.wantEvent("current")
	s.put(workload("before"))
	sub.wantEvent("+desiredState.workloads.before")
	s.stop()
	s.put(workload("meanwhile"))
	s.drop("before")
	elsewhere, _ := s.listen("")
	s.know(s.address, elsewhere)
	sub.wantEvent("+desiredState.workloads.meanwhile -desiredState.workloads.before")
	s.put(workload("after"))
	sub.wantEvent("+desiredState.workloads.after")
}

func TestASubscriptionLeavesAServerThatIsCutOffFromTheOthers(t *testing.T) {
	s := newScene(t, func(cfg *asks.Config) { cfg.CheckEvery = 10 * time.Millisecond })
	other, _ := s.listen("")
	s.know(s.address, other)
	s.put(workload("there"))
	sub := s.begin(s.assign("asking", "read:*"), controltest.Events("1", "desiredState.workloads"), 10)
	sub.wantEvent("current")
	s.cutOff()
	s.put(workload("new"))
	sub.wantEvent("+desiredState.workloads.new")
}

func TestASubscriptionLeavesAServerThatIsCutOffWhenTheOthersAreBackLater(t *testing.T) {
	// A check has to fail at all servers, and leave off at another one than is watched.
	s := newScene(t, func(cfg *asks.Config) { cfg.CheckEvery, cfg.Timeout = 10*time.Millisecond, 10*time.Second })
	other, _ := s.listen("")
	s.know(s.address, other)
	s.put(workload("there"))
	sub := s.begin(s.assign("asking", "read:*"), controltest.Events("1", "desiredState.workloads"), 10)
	sub.wantEvent("current")
	s.cluster.mu.Lock()
	s.refuse = 1 << 30
	s.cluster.mu.Unlock()
	s.cutOff()
	eventually(t, "several checks fail", func() bool { s.cluster.mu.Lock(); defer s.cluster.mu.Unlock(); return s.refuse < 1<<30-20 })
	s.put(workload("new"))
	s.cluster.mu.Lock()
	s.refuse = 0
	s.cluster.mu.Unlock()
	sub.wantEvent("+desiredState.workloads.new")
}

func TestNothingIsToldWhenServersAreLostAndNothingHasChanged(t *testing.T) {
	s := newScene(t, nil)
	s.put(workload("there"))
	sub := s.begin(s.assign("asking", "read:*"), controltest.Events("1", "desiredState.workloads"), 10)
	sub.wantEvent("current")
	s.stop()
	s.listen(s.address)
	eventually(t, "it is watched again", func() bool { open, begun := s.watched(); return open == 1 && begun > 1 })
	s.put(workload("after"))
	sub.wantEvent("+desiredState.workloads.after")
}

func TestAReaderThatIsSlowIsToldOfSeveralChangesAtOnce(t *testing.T) {
	s := newScene(t, func(cfg *asks.Config) { cfg.MaxEvents = 2 })
	s.put(workload("there"))
	by := s.assign("asking", "read:*")
	slow := s.begin(by, controltest.Events("1", "desiredState.workloads"), 0)
	quick := s.begin(by, controltest.Events("2", "desiredState.workloads"), 100)
	slow.wantEvent("current")
	quick.wantEvent("current")
	told := map[string]bool{}
	const changes = 20
	for i := range changes {
		name := fmt.Sprint("w", i)
		s.put(workload(name))
		quick.wantEvent("+desiredState.workloads." + name)
	}
	events := 0
	for len(told) < changes {
		events++
		for _, field := range slow.next().GetCompleteStateResponse().GetAlteredFields().GetAddedFields() {
			if told[field] {
				t.Errorf("%s was told twice", field)
			}
			told[field] = true
		}
	}
	if events > 5 {
		t.Errorf("%d changes were told by %d events", changes, events)
	}
}

func TestASubscriptionWithTooManyMasksIsRefused(t *testing.T) {
	s := newScene(t, nil)
	var masks []string
	for i := range 1025 {
		masks = append(masks, fmt.Sprint("agents.a", i))
	}
	by := s.assign("asking", "read:*")
	if _, err := s.ask(by, controltest.Events("1", masks...)); !errors.Is(err, asks.ErrRequest) {
		t.Errorf("got %v", err)
	}
	s.begin(by, controltest.Events("2", masks[1:]...), 1).wantEvent("current")
}
