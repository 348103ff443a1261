package runtimetest

import (
	"slices"
	"syscall"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func testWatch(s *scene) {
	if events, _ := s.watcher.all(); !events[0].Resync || events[0].Instance.Name != nil {
		s.Fatalf("first event is %+v, want a resync without a name", events[0])
	}
	w := s.workload("watched", Script{Body: "exit 7"})
	name := argosyv1.InstanceOf(w)
	s.mustStart(w, runtime.StartOptions{})
	s.watcher.await(name, "exit code 7", func(e runtime.Event) bool {
		return !e.Gone && e.Instance.Status == runtime.StatusExited && e.Instance.ExitCode == 7
	})
	s.mustRemoveTold(w)

	// What is told must be in the order of life: ended before gone, and nothing
	// after it.
	events, _ := s.watcher.all()
	var states []string
	for _, event := range events {
		switch {
		case event.Resync || event.Instance.Name.Key() != name.Key():
		case event.Gone:
			states = append(states, "gone")
		case event.Instance.Status == runtime.StatusExited:
			states = append(states, "exited")
		}
	}
	states = slices.Compact(states)
	if !slices.Equal(states, []string{"exited", "gone"}) {
		s.Fatalf("told %q, want exited, gone", states)
	}
}

func testWatchEnds(s *scene) {
	second := s.watch(s.client)
	second.awaitResync()
	second.stop()
}

func testTwoWatchers(s *scene) {
	second := s.watch(s.client)
	defer second.stop()
	second.awaitResync()
	w := s.workload("seen", Script{Body: "exit 0"})
	s.mustStart(w, runtime.StartOptions{})
	for _, watcher := range []*watcher{s.watcher, second} {
		watcher.await(argosyv1.InstanceOf(w), "its end", func(e runtime.Event) bool {
			return e.Instance.Status == runtime.StatusExited
		})
	}
}

func testAdoption(s *scene) {
	first, closeFirst := s.harness.Open(s.T, s.agent)
	stays := s.workload("stays", Script{Body: "echo before; " + forever})
	finished := s.workload("finished", Script{Body: "echo done; exit 7"})
	started, err := first.Start(s.ctx, stays, runtime.StartOptions{})
	if err != nil {
		s.Fatalf("start: %v", err)
	}
	if _, err := first.Start(s.ctx, finished, runtime.StartOptions{}); err != nil {
		s.Fatalf("start: %v", err)
	}
	s.mustEnd(finished)
	closeFirst()

	second, closeSecond := s.harness.Open(s.T, s.agent)
	defer closeSecond()
	adopted, ok := s.listed(second, stays)
	if !ok || adopted.Status != runtime.StatusRunning || adopted.RuntimeID != started.RuntimeID {
		s.Fatalf("second client lists %+v, want it running as the first started it: %+v", adopted, started)
	}
	if ended, ok := s.listed(second, finished); !ok || ended.Status != runtime.StatusExited || ended.ExitCode != 7 {
		s.Fatalf("second client lists %+v, want it ended with 7", ended)
	}
	again, err := second.Start(s.ctx, stays, runtime.StartOptions{})
	if err != nil || again.RuntimeID != started.RuntimeID {
		s.Fatalf("start by the second client: %+v, %v; want it left alone", again, err)
	}
	watcher := s.watch(second)
	defer watcher.stop()
	watcher.awaitResync()
	mark := watcher.mark()
	s.mustPrint(stays, "ready")
	s.harness.Kill(s.T, adopted, syscall.SIGKILL)
	watcher.awaitSince(mark, adopted.Name, "its end", func(e runtime.Event) bool {
		return e.Instance.Status == runtime.StatusExited && e.Instance.ExitCode == 137
	})
	if err := second.Remove(s.ctx, adopted.Name); err != nil {
		s.Fatalf("remove by the second client: %v", err)
	}
	watcher.awaitSince(mark, adopted.Name, "gone", gone)
}

func testAgentsApart(s *scene) {
	w := s.workload("mine", Script{Body: forever})
	s.mustStart(w, runtime.StartOptions{})
	other, closeOther := s.harness.Open(s.T, s.agent+"-other")
	defer closeOther()
	all, err := other.List(s.ctx)
	if err != nil || len(all) != 0 {
		s.Fatalf("another agent lists %+v, %v; want nothing", all, err)
	}
}
