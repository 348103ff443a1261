package runtimetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

// ages is a stop time-out that no test lives to see: who waits for it fails.
const ages = time.Hour

func testInfo(s *scene) {
	info := s.client.Info(s.ctx)
	if info.GetName() != s.harness.Runtime || info.GetProblem() != "" {
		s.Fatalf("info is %v, want name %s and no problem", info, s.harness.Runtime)
	}
}

func testStart(s *scene) {
	w := s.workload("plain", Script{Body: forever})
	instance := s.mustStart(w, runtime.StartOptions{})
	if instance.RuntimeID == "" || instance.Status != runtime.StatusRunning {
		s.Fatalf("started instance is %+v, want it running and with an id", instance)
	}
	listed, ok := s.listed(s.client, w)
	if !ok || listed.Status != runtime.StatusRunning || listed.RuntimeID != instance.RuntimeID {
		s.Fatalf("listed instance is %+v, want it as it was started: %+v", listed, instance)
	}
	if listed.StartedAt.IsZero() {
		s.Fatal("listed instance has no time of start")
	}
	s.watcher.await(instance.Name, "running", running)
	s.mustPrint(w, "ready")
}

func testStartTwice(s *scene) {
	w := s.workload("twice", Script{Body: forever})
	first := s.mustStart(w, runtime.StartOptions{})
	for _, options := range []runtime.StartOptions{{}, {Reuse: true}} {
		again := s.mustStart(w, options)
		if again.RuntimeID != first.RuntimeID || again.Status != runtime.StatusRunning {
			s.Fatalf("second start returned %+v, want the first left alone: %+v", again, first)
		}
	}
	s.mustPrint(w, "ready")
	if lines := s.mustLogs(w, runtime.LogOptions{Tail: -1}); len(lines) != 1 {
		s.Fatalf("it was started more than once, it printed %q", texts(lines))
	}
}

func testTwoConfigs(s *scene) {
	one := s.workload("same", Script{Body: "one=1; " + forever})
	two := s.workload("same", Script{Body: "two=2; " + forever})
	s.mustStart(one, runtime.StartOptions{})
	s.mustStart(two, runtime.StartOptions{})
	s.mustRemove(one)
	if _, ok := s.listed(s.client, one); ok {
		s.Fatal("the removed instance is listed")
	}
	if instance, ok := s.listed(s.client, two); !ok || instance.Status != runtime.StatusRunning {
		s.Fatalf("the other instance is %+v, want it running", instance)
	}
}

func testRemove(s *scene) {
	w := s.workload("removed", Script{Body: forever})
	s.mustStart(w, runtime.StartOptions{})
	s.mustPrint(w, "ready")
	s.mustRemoveTold(w)
	if instance, ok := s.listed(s.client, w); ok {
		s.Fatalf("removed instance is listed: %+v", instance)
	}
	s.mustRemove(w)
	second := s.mustStart(w, runtime.StartOptions{Reuse: true})
	if second.Status != runtime.StatusRunning {
		s.Fatalf("started after removal: %+v, want it running", second)
	}
}

func testRemoveUnknown(s *scene) {
	s.mustRemove(s.workload("unknown", Script{Body: forever}))
}

func testRemoveGraceful(s *scene) {
	w := s.workload("graceful", Script{Body: forever, StopTimeout: ages})
	s.mustStart(w, runtime.StartOptions{})
	s.mustPrint(w, "ready")
	s.mustRemove(w)
}

func testRemoveStubborn(s *scene) {
	w := s.workload("stubborn", Script{
		Body:        "trap '' TERM; echo ready; while :; do sleep 1; done",
		StopTimeout: time.Second,
	})
	s.mustStart(w, runtime.StartOptions{})
	s.mustPrint(w, "ready")
	s.mustRemove(w)
	if instance, ok := s.listed(s.client, w); ok {
		s.Fatalf("removed instance is listed: %+v", instance)
	}
}

func testRemoveEnded(s *scene) {
	w := s.workload("ended", Script{Body: "exit 0"})
	s.mustStart(w, runtime.StartOptions{})
	s.mustEnd(w)
	s.mustRemoveTold(w)
	if instance, ok := s.listed(s.client, w); ok {
		s.Fatalf("removed instance is listed: %+v", instance)
	}
}

func testExitCodes(s *scene) {
	for _, code := range []int32{0, 1, 42, 255} {
		w := s.workload(fmt.Sprintf("exit-%d", code), Script{Body: fmt.Sprintf("exit %d", code)})
		s.mustStart(w, runtime.StartOptions{})
		if instance := s.mustEnd(w); instance.ExitCode != code {
			s.Errorf("exit code is %d, want %d", instance.ExitCode, code)
		}
	}
}

func testKilled(s *scene) {
	w := s.workload("killed", Script{Body: forever})
	instance := s.mustStart(w, runtime.StartOptions{})
	s.mustPrint(w, "ready")
	s.harness.Kill(s.T, instance, syscall.SIGKILL)
	if ended := s.mustEnd(w); ended.ExitCode != 128+int32(syscall.SIGKILL) {
		s.Fatalf("exit code is %d, want 137", ended.ExitCode)
	}
}

func testReuse(s *scene) {
	w := s.workload("reused", Script{Body: "echo run; exit 3"})
	first := s.mustStart(w, runtime.StartOptions{Reuse: true})
	s.mustEnd(w)
	mark := s.watcher.mark()
	second := s.mustStart(w, runtime.StartOptions{Reuse: true})
	if s.harness.ReuseKeepsID && second.RuntimeID != first.RuntimeID {
		s.Fatalf("id changed from %s to %s, want it kept", first.RuntimeID, second.RuntimeID)
	}
	s.watcher.awaitSince(mark, second.Name, "its second end", func(e runtime.Event) bool {
		return e.Instance.Status == runtime.StatusExited && e.Instance.ExitCode == 3
	})
	want := []string{"run", "run"}
	if s.harness.NeverReuses {
		want = want[1:]
	}
	if lines := s.mustLogs(w, runtime.LogOptions{Tail: -1}); !slices.Equal(texts(lines), want) {
		s.Fatalf("logs are %q, want %q", texts(lines), want)
	}
}

func testRecreate(s *scene) {
	w := s.workload("anew", Script{Body: "echo run; exit 3"})
	first := s.mustStart(w, runtime.StartOptions{})
	s.mustEnd(w)
	mark := s.watcher.mark()
	second := s.mustStart(w, runtime.StartOptions{})
	if second.RuntimeID == first.RuntimeID {
		s.Fatalf("id is %s again, want a new instance", second.RuntimeID)
	}
	s.watcher.awaitSince(mark, second.Name, "its second end", func(e runtime.Event) bool {
		return !e.Gone && e.Instance.Status == runtime.StatusExited && e.Instance.RuntimeID == second.RuntimeID
	})
	if lines := s.mustLogs(w, runtime.LogOptions{Tail: -1}); !slices.Equal(texts(lines), []string{"run"}) {
		s.Fatalf("logs are %q, want those of the second run only", texts(lines))
	}
}

func testInvalid(s *scene) {
	number := 0
	for config, text := range s.harness.Invalid {
		number++
		w := s.workloadOf(fmt.Sprintf("invalid-%d", number), config)
		_, err := s.client.Start(s.ctx, w, runtime.StartOptions{})
		if !errors.Is(err, runtime.ErrInvalidConfig) {
			s.Errorf("start of %q: error %v, want %v", config, err, runtime.ErrInvalidConfig)
			continue
		}
		if !strings.Contains(err.Error(), text) {
			s.Errorf("start of %q: error %q does not say %q", config, err, text)
		}
		if instance, ok := s.listed(s.client, w); ok {
			s.Errorf("start of %q left %+v", config, instance)
		}
	}
}

func testFailing(s *scene) {
	w := s.workloadOf("failing", s.harness.Failing)
	for range 2 {
		_, err := s.client.Start(s.ctx, w, runtime.StartOptions{})
		if err == nil || errors.Is(err, runtime.ErrInvalidConfig) || errors.Is(err, runtime.ErrUnavailable) {
			s.Fatalf("start: error %v, want one that allows to try again", err)
		}
		if instance, ok := s.listed(s.client, w); ok && instance.Status == runtime.StatusRunning {
			s.Fatalf("failed start left it running: %+v", instance)
		}
	}
}

func running(e runtime.Event) bool { return !e.Gone && e.Instance.Status == runtime.StatusRunning }

func gone(e runtime.Event) bool { return e.Gone }
