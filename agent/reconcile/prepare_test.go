package reconcile

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/runtimetest/fake"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// workshop is a Preparer that notes what it is asked for.
type workshop struct {
	mu    sync.Mutex
	calls []string
	// fail is the error of the next calls; hold keeps them waiting.
	fail error
	hold chan struct{}
}

func (p *workshop) note(call, name string) error {
	p.mu.Lock()
	p.calls = append(p.calls, call+" "+name)
	fail, hold := p.fail, p.hold
	p.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return fail
}

func (p *workshop) Prepare(_ context.Context, w *argosyv1.Workload) ([]runtime.Mount, error) {
	mounts := []runtime.Mount{{Source: "/run/" + w.GetName(), Target: "/etc/" + w.GetFiles()[0].GetData()}}
	return mounts, p.note("prepare", w.GetName())
}

func (p *workshop) Adopt(_ context.Context, w *argosyv1.Workload) error {
	return p.note("adopt", w.GetName())
}

func (p *workshop) Release(_ context.Context, i *argosyv1.InstanceName) error {
	return p.note("release", i.GetWorkload())
}

func (p *workshop) Sweep(_ context.Context, keep []*argosyv1.InstanceName) error {
	var names string
	for _, i := range keep {
		names += i.GetWorkload() + ","
	}
	return p.note("sweep all but", names)
}

func (p *workshop) set(fail error, hold chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail, p.hold = fail, hold
}

// mustDo checks what was asked for since the last call.
func (p *workshop) mustDo(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.calls, want) {
		t.Fatalf("asked for %q, want %q", p.calls, want)
	}
	p.calls = nil
}

func playShown(t *testing.T, scenario func(s *stage, p *workshop)) {
	t.Helper()
	p := &workshop{}
	playWith(t, func(c *Config) { c.Preparer = p }, []*fake.Runtime{fake.New("pods")}, func(s *stage) {
		p.mustDo(t, "sweep all but ")
		scenario(s, p)
	})
}

// file gives a workload a file, and the control interface too.
func file(content string) func(*argosyv1.Workload) {
	return func(w *argosyv1.Workload) {
		w.Files = []*argosyv1.File{{MountPoint: "/etc/a", Content: &argosyv1.File_Data{Data: content}}}
		w.ControlInterfaceAccess = &argosyv1.ControlInterfaceAccess{AllowRules: []*argosyv1.AccessRule{{}}}
	}
}

func TestAnInstanceIsPreparedBeforeItIsStartedAndReleasedAfterItIsGone(t *testing.T) {
	playShown(t, func(s *stage, p *workshop) {
		web := workload("web", file("one"))
		s.apply(full(5, web))
		p.mustDo(t, "prepare web")
		if mounts := s.pods.Mounts(argosyv1.InstanceOf(web)); len(mounts) != 1 || mounts[0].Source != "/run/web" {
			t.Errorf("started with mounts %v", mounts)
		}
		s.apply(diff(6, nil, "web"))
		p.mustDo(t, "release web")
		s.mustCall(1, 1)
		s.mustConverge(6)
	})
}

func TestWhatIsShownNothingNeedsNoPreparing(t *testing.T) {
	playShown(t, func(s *stage, p *workshop) {
		s.apply(full(5, workload("web")))
		s.apply(diff(6, nil, "web"))
		s.mustCall(1, 1)
		p.mustDo(t)
	})
}

func TestOtherFilesMakeAnotherInstanceOfTheSameName(t *testing.T) {
	playShown(t, func(s *stage, p *workshop) {
		web := workload("web", file("one"))
		s.apply(full(5, web))
		p.mustDo(t, "prepare web")
		hold := make(chan struct{})
		p.set(nil, hold)
		s.apply(diff(6, []*argosyv1.Workload{workload("web", file("two"))}))
		p.mustDo(t, "release web") // and nothing is made meanwhile
		p.set(nil, nil)
		close(hold)
		p.mustDo(t, "prepare web")
		s.mustCall(2, 1)
		if mounts := s.pods.Mounts(argosyv1.InstanceOf(web)); len(mounts) != 1 || mounts[0].Target != "/etc/two" {
			t.Errorf("started with mounts %v", mounts)
		}
		s.mustState("web", "Running(Ok)")
		s.mustConverge(6)
	})
}

func TestAFileThatCanNeverBeIsNotTriedAgain(t *testing.T) {
	playShown(t, func(s *stage, p *workshop) {
		p.set(&runtime.FileError{Path: "/etc/a", Err: errors.New("no base64"), Permanent: true}, nil)
		s.apply(full(5, workload("web", file("?"))))
		state := s.mustState("web", "Pending(StartingFailed) Failed to create workload file: '/etc/a': no base64")
		if state.GetReason().GetCode() != argosyv1.ReasonCode_REASON_CODE_FILE {
			t.Errorf("reason %v", state.GetReason())
		}
		s.mustConverge(5)
		time.Sleep(time.Hour)
		p.mustDo(t, "prepare web")
		s.mustCall(0, 0)
		s.apply(diff(6, nil, "web"))
		p.mustDo(t, "release web")
		s.mustConverge(6)
	})
}

func TestAFileForWhichThereIsNoRoomNowIsTriedAgain(t *testing.T) {
	playShown(t, func(s *stage, p *workshop) {
		p.set(&runtime.FileError{Path: "/etc/a", Err: errors.New("no space left on device")}, nil)
		s.apply(full(5, workload("web", file("one"))))
		s.mustState("web", "Pending(StartingFailed) Failed to create workload file: '/etc/a': no space left on device")
		p.mustDo(t, "prepare web")
		time.Sleep(time.Minute)
		s.mustCall(0, 0)
		p.set(nil, nil)
		time.Sleep(delayCap) // as long as it can take until it is tried again
		s.mustState("web", "Running(Ok)")
		s.mustCall(1, 0)
	})
}

func TestTheRestOfPreparingIsTriedAgain(t *testing.T) {
	playShown(t, func(s *stage, p *workshop) {
		p.set(errors.New("no pipes"), nil)
		s.apply(full(5, workload("web", file("one"))))
		s.mustState("web", "Pending(Starting) Retry 1: no pipes")
		p.set(nil, nil)
		time.Sleep(time.Minute)
		s.mustState("web", "Running(Ok)")
	})
}

func TestAnAgentThatStartsAgainTakesUpWhatServesRunningInstances(t *testing.T) {
	playShown(t, func(s *stage, p *workshop) {
		web, plain, ended := workload("web", file("one")), workload("plain"), workload("ended", file("one"))
		s.apply(full(5, web, plain, ended))
		s.pods.Exit(argosyv1.InstanceOf(ended), 0)
		synctest.Wait()
		p.set(errors.New("not now"), nil)
		p.mu.Lock()
		p.calls = nil
		p.mu.Unlock()
		started := map[string]bool{"web": true, "plain": true, "ended": true}
		remembered := full(5, web, plain, ended)
		remembered.Vouched, remembered.Started = false, started
		s.reborn(remembered)
		p.mu.Lock()
		calls := slices.Sorted(slices.Values(p.calls))
		p.calls = nil
		p.mu.Unlock()
		if len(calls) != 2 || calls[0] != "adopt web" {
			t.Fatalf("asked for %q, want one adoption and a sweep", calls)
		}
		p.set(nil, nil)
		time.Sleep(time.Minute)
		p.mustDo(t, "adopt web")
		s.apply(assignments.Change{Full: true, Vouched: true, Revision: 5, Upserts: remembered.Upserts})
		time.Sleep(time.Hour)
		p.mustDo(t)
		s.mustCall(3, 0)
		s.mustState("web", "Running(Ok)")
		s.mustConverge(5)
	})
}

func TestAnEndWhileWhatServesItIsTakenUpIsSeen(t *testing.T) {
	playShown(t, func(s *stage, p *workshop) {
		web := workload("web", file("one"), policy(argosyv1.RestartPolicy_RESTART_POLICY_ALWAYS))
		s.apply(full(5, web))
		hold := make(chan struct{})
		p.set(nil, hold)
		s.reborn(full(5, web))
		s.pods.Exit(argosyv1.InstanceOf(web), 1)
		s.mustState("web", "Failed(ExecFailed) Exit code: '1'")
		p.set(nil, nil)
		close(hold)
		time.Sleep(time.Minute)
		s.mustState("web", "Running(Ok)")
		s.mustCall(2, 0)
	})
}

func TestNothingIsSweptBeforeAllRuntimesHaveTold(t *testing.T) {
	p := &workshop{}
	pods, jobs := fake.New("pods"), fake.New("jobs")
	jobs.SetDown(true)
	left := argosyv1.InstanceOf(workload("left"))
	pods.Put(runtime.Instance{Name: left, Status: runtime.StatusExited})
	playWith(t, func(c *Config) { c.Preparer = p }, []*fake.Runtime{pods, jobs}, func(s *stage) {
		time.Sleep(10 * time.Minute)
		p.mustDo(t)
		jobs.SetDown(false)
		time.Sleep(10 * time.Minute)
		p.mustDo(t, "sweep all but left,")
	})
}
