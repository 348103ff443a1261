package session

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// machine is a node whose load a test sets.
type machine struct {
	cpu     uint32
	free    uint64
	problem string
	looked  int
}

func (m *machine) Runtimes(context.Context) []*argosyv1.RuntimeInfo {
	return []*argosyv1.RuntimeInfo{{Name: "pods", Problem: m.problem}}
}

func (m *machine) Load() (cpuPercent uint32, freeBytes, totalBytes uint64) {
	m.looked++
	return m.cpu, m.free, 1000
}

func TestLoadIsReportedWhenItChangedByMuchOrLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{cpu: 10, free: 500}
		p := newPulse(DefaultConfig())
		next := func() *argosyv1.LoadReport { time.Sleep(2 * time.Second); return p.next(t.Context(), m) }
		if next() == nil {
			t.Error("the first is not reported")
		}
		m.cpu, m.free = 14, 540
		if r := next(); r != nil {
			t.Errorf("a small change is reported: %v", r)
		}
		m.cpu = 15
		if r := next(); r.GetCpuPercent() != 15 {
			t.Errorf("more CPU: %v", r)
		}
		m.free = 450
		if r := next(); r.GetFreeMemoryBytes() != 450 {
			t.Errorf("less memory: %v", r)
		}
		m.problem = "it hangs"
		if r := next(); r.GetRuntimes()[0].GetProblem() != "it hangs" {
			t.Errorf("a runtime's problem: %v", r)
		}
		silence := 0
		for next() == nil {
			silence++
		}
		if silence != 14 {
			t.Errorf("unchanged load is reported after %d looks", silence+1)
		}
		looked := m.looked
		for range 10 {
			p.next(t.Context(), m)
		}
		if m.looked != looked {
			t.Error("the load is looked at more often than it has to be")
		}
	})
}

func TestPaceFollowsTheLengthOfTheHunt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hunt{session: &Session{cfg: DefaultConfig()}, began: time.Now()}
		for _, step := range []struct{ passed, longest time.Duration }{
			{0, 20 * time.Millisecond}, {100 * time.Millisecond, 20 * time.Millisecond}, {time.Second, 100 * time.Millisecond},
			{10 * time.Second, time.Second}, {time.Hour, 2 * time.Second},
		} {
			time.Sleep(step.passed - time.Since(h.began))
			for range 100 {
				if d := h.pace(); d > step.longest || d < step.longest/2 {
					t.Errorf("pace after %v: %v, want %v at most and half of it at least", step.passed, d, step.longest)
				}
			}
		}
	})
}

func TestAServerThatNamedALeaderIsLeftAloneWhileThatOneIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hunt{session: &Session{cfg: DefaultConfig()}, began: time.Now()}
		follower, leader := h.prospect("follower:1"), h.prospect("leader:1")

		h.follow(follower, leader.address)
		if alone := time.Until(follower.due); alone < h.session.cfg.FollowPace {
			t.Fatalf("the follower is asked again in %v", alone)
		}
		if wait := time.Until(leader.due); wait > h.session.cfg.Scatter {
			t.Fatalf("the leader that it named is asked in %v", wait)
		}

		h.unfollow(leader)
		if follower.follows != nil || time.Until(follower.due) > h.session.cfg.PaceMin {
			t.Fatalf("the leader did not lead, and the follower is asked again in %v", time.Until(follower.due))
		}
	})
}
