package sessions

import (
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	beforeTimeout = 4900 * time.Millisecond
	timeout       = 5 * time.Second
)

func TestWhenAnAgentCountsAsLost(t *testing.T) {
	cases := []struct {
		what string
		act  func(*world, *agent)
		// whether users see it as disconnected then
		at0, before, after bool
	}{
		{"it says goodbye", func(_ *world, a *agent) { a.goodbye() }, true, true, true},
		{"its stream breaks", func(_ *world, a *agent) { a.lose() }, false, false, true},
		{"it closes the stream without goodbye", func(w *world, a *agent) { close(a.stream.up); w.settle() }, false, false, true},
		{"it falls silent", func(*world, *agent) {}, false, false, true},
		{"the leader changes and it does not come", func(w *world, _ *agent) { w.failOver(); w.settle() }, false, false, true},
		{"the server ends the session", func(_ *world, a *agent) {
			a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Hello{Hello: &argosyv1.AgentHello{}}})
		}, false, false, true},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.want("web@a")
				w.lead(1)
				a := w.agent("a")
				a.connect()
				a.runs("web")
				c.act(w, a)
				check := func(when string, lost bool) {
					t.Helper()
					state := "Running(Ok)"
					if lost {
						state = "AgentDisconnected"
					}
					w.shows(when, "web@a "+state)
					if w.connected("a") == lost {
						t.Errorf("%s: connected is %v", when, !lost)
					}
				}
				check("at once", c.at0)
				w.pass(beforeTimeout)
				check("before the time-out", c.before)
				w.pass(timeout - beforeTimeout + 10*time.Millisecond)
				check("after the time-out", c.after)

				_, changes := w.store.Subscribe()
				a.connect()
				if !a.welcome().GetAssignmentsCurrent() {
					t.Error("its assignments are not current when it is back")
				}
				a.runs("web")
				check("when it is back", false)
				if got := statesOf(t, changes); len(got) != 1 {
					t.Errorf("its return made %d changes of states, want 1: %v", len(got), got)
				}
			})
		})
	}
}

func TestAnAgentThatIsBackInTimeWasNeverGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.want("web@a")
		w.lead(1)
		a := w.agent("a")
		a.connect()
		a.runs("web")
		_, changes := w.store.Subscribe()
		for range 5 {
			a.lose()
			w.pass(beforeTimeout)
			a.connect()
			a.runs("web")
		}
		for range 5 {
			w.failOver()
			w.pass(beforeTimeout)
			a.connect()
			a.runs("web")
		}
		if got := statesOf(t, changes); len(got) > 0 {
			t.Errorf("states changed: %v", got)
		}
	})
}

func TestAnySignOfLifeKeepsASession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.want("web@a")
		w.lead(1)
		a := w.agent("a")
		a.connect()
		signs := []*argosyv1.AgentMessage{
			{Kind: &argosyv1.AgentMessage_Heartbeat{Heartbeat: &argosyv1.Heartbeat{}}},
			{Kind: &argosyv1.AgentMessage_Load{Load: &argosyv1.LoadReport{CpuPercent: 10, FreeMemoryBytes: 20}}},
			{Kind: &argosyv1.AgentMessage_States{States: &argosyv1.StateReport{}}},
			{Kind: &argosyv1.AgentMessage_Converged{Converged: &argosyv1.Converged{Revision: 1}}},
			{}, // of a later version
		}
		for _, sign := range signs {
			w.pass(beforeTimeout)
			a.send(sign)
		}
		w.pass(beforeTimeout)
		if !a.alive() {
			t.Errorf("the session ended: %v", a.ended())
		}
		acknowledged := 0
		for _, m := range a.messages() {
			if m.GetHeartbeatAck() != nil {
				acknowledged++
			}
		}
		if acknowledged != 2 {
			t.Errorf("%d acknowledgements, want 2: of the heartbeat and the load", acknowledged)
		}
		status, _ := w.store.Agent("a")
		if status.GetCpuPercent() != 10 || status.GetFreeMemoryBytes() != 20 || status.GetConvergedRevision() != 1 {
			t.Errorf("status: %v", status)
		}
		w.pass(timeout)
		if a.alive() {
			t.Error("a silent session was kept")
		}
	})
}

func TestAStatusOutlivesAReconnectButNotTheProcess(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		a := w.agent("a")
		a.connect()
		a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Load{Load: &argosyv1.LoadReport{CpuPercent: 10, Runtimes: []*argosyv1.RuntimeInfo{{Name: "process"}}}}})
		a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Converged{Converged: &argosyv1.Converged{Revision: 7}}})
		w.failOver()
		a.connect()
		if status, _ := w.store.Agent("a"); status.GetCpuPercent() != 10 || status.GetConvergedRevision() != 7 {
			t.Errorf("status after the reconnect: %v", status)
		}
		a.goodbye()
		next := a.again("new", a.bootID, a.homeID)
		next.connect()
		if status, _ := w.store.Agent("a"); status.GetConvergedRevision() != 0 || status.GetInstanceId() != "new" {
			t.Errorf("status of the new process: %v", status)
		}
	})
}

func TestASecondProcessOfTheSameName(t *testing.T) {
	const taken = argosyv1.ErrorCode_ERROR_CODE_CONFLICT
	const free = argosyv1.ErrorCode_ERROR_CODE_UNSPECIFIED
	cases := []struct {
		what    string
		act     func(*world, *agent)
		machine string // of the second process
		home    string // its data directory
		code    argosyv1.ErrorCode
	}{
		{"while the first is there", func(*world, *agent) {}, "other", "other", taken},
		{"while the first is there on the same machine", func(*world, *agent) {}, "machine-a", "other", taken},
		{"while the first seems to be there, with its data directory", func(*world, *agent) {}, "machine-a", "home-a", free},
		{"while the first is there, with a data directory named alike elsewhere", func(*world, *agent) {}, "other", "home-a", taken},
		{"after the first said goodbye", func(_ *world, a *agent) { a.goodbye() }, "other", "other", free},
		{"after the first's stream broke", func(_ *world, a *agent) { a.lose() }, "other", "other", taken},
		{"after the first's stream broke, on the same machine", func(_ *world, a *agent) { a.lose() }, "machine-a", "other", taken},
		{"after the first's stream broke, with its data directory", func(_ *world, a *agent) { a.lose() }, "machine-a", "home-a", free},
		{"after the first's stream broke and it had time to come back", func(w *world, a *agent) { a.lose(); w.pass(timeout) }, "other", "other", free},
		{"after the first fell silent", func(w *world, _ *agent) { w.pass(timeout + time.Second) }, "other", "other", free},
		{"when the leader has changed", func(w *world, _ *agent) { w.failOver() }, "other", "other", taken},
		{"when the leader has changed, on the same machine", func(w *world, _ *agent) { w.failOver() }, "machine-a", "other", taken},
		{"when the leader has changed, with the data directory of the first", func(w *world, _ *agent) { w.failOver() }, "machine-a", "home-a", free},
		{"when the leader has changed and the first had time to come", func(w *world, _ *agent) { w.failOver(); w.pass(timeout) }, "other", "other", free},
		{"when the leader has changed twice", func(w *world, _ *agent) { w.failOver(); w.pass(beforeTimeout); w.failOver() }, "other", "other", taken},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.want("web@a")
				w.lead(1)
				first := w.agent("a")
				first.connect()
				first.runs("web")
				c.act(w, first)
				second := first.again("second", c.machine, c.home)
				if c.code == free {
					second.connect()
					if first.alive() {
						t.Error("the first session goes on")
					}
					if c.home == first.homeID {
						return // the first is dead, whatever its session looked like
					}
					code(t, first.refused(), taken, "second:1")
					return
				}
				code(t, second.refused(), c.code, `"a"`, "process process-a", "a:1", "process second at second:1")
				first.connect() // the first may always come back
				code(t, second.refused(), c.code)
				w.shows("after the second was refused", "web@a Running(Ok)")
			})
		})
	}
}

func TestTheSameProcessTakesOverFromItsOldSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.want("web@a")
		w.lead(1)
		a := w.agent("a")
		a.connect()
		a.runs("web")
		old := a.stream
		a.connect()
		a.runs("web")
		old.mu.Lock()
		ended, err := old.ended, old.err
		old.mu.Unlock()
		if !ended {
			t.Fatal("the old session goes on")
		}
		code(t, err, argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "new one")
		w.want("more@a")
		a.holds("the new session", "more", "web")
		for range 3 {
			w.pass(beforeTimeout)
			a.beat()
		}
		w.shows("long after", "more@a Pending(Initial)", "web@a Running(Ok)")
		if !w.connected("a") {
			t.Error("the end of the old session disconnected the new one")
		}
	})
}

func TestAnAgentThatIsDeletedIsForgotten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.want("web@a")
		w.lead(1)
		a := w.agent("a")
		a.connect()
		a.runs("web")
		w.drop(argosyv1.RowKind_ROW_KIND_AGENT, "a")
		code(t, a.ended(), argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND)
		w.shows("after it was deleted", "web@a Pending(Initial)")
		if _, ok := w.store.Agent("a"); ok {
			t.Error("it is still known")
		}
		w.pass(2 * timeout)
		a.connect()
		if len(w.records) != 2 {
			t.Errorf("%d registrations, want 2", len(w.records))
		}
	})
}

// Who removes an agent is answered by the state; observed state follows it, and its
// leader may be gone before that. Nobody else could remove the agent again.
func TestAnAgentThatIsDeletedUnseenIsForgotten(t *testing.T) {
	for name, unseen := range map[string]func(w *world, remove func()){
		"by a leader that died": func(w *world, remove func()) {
			failOver := w.mirror()
			remove()
			failOver()
		},
		"when more changes than are kept": func(w *world, remove func()) {
			m, _ := w.service.current()
			m.assigner.mu.Lock()
			remove()
			w.apply(workload("other@c"))
			w.apply(workload("another@c"))
			m.assigner.mu.Unlock()
			w.settle()
		},
		"when more changes than are kept, before it was heard of": func(w *world, remove func()) {
			w.startAgain()
			m, _ := w.service.current()
			m.assigner.mu.Lock()
			remove()
			w.apply(workload("other@c"))
			w.apply(workload("another@c"))
			m.assigner.mu.Unlock()
			w.settle()
		},
	} {
		for state, leave := range map[string]func(*agent){"lost": (*agent).goodbye, "connected": (*agent).lose} {
			t.Run(name+", "+state, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					cfg := fsm.DefaultConfig()
					cfg.FeedBytes = 1
					var err error
					if w.machine, err = fsm.New(cfg); err != nil {
						t.Fatal(err)
					}
					w.boot(DefaultConfig())
					w.want("web@a")
					w.lead(1)
					a := w.agent("a")
					a.connect()
					a.runs("web")
					w.want("web@b")
					leave(a)
					unseen(w, func() {
						w.apply(&argosyv1.Mutation{Kind: &argosyv1.Mutation_Delete{Delete: &argosyv1.DeleteRow{Kind: argosyv1.RowKind_ROW_KIND_AGENT, Key: "a"}}})
					})
					b := w.agent("b")
					b.connect()
					b.runs()
					stopWaiting(w, b)
					b.holds("when a is removed", "web")
					if _, ok := w.store.Agent("a"); ok {
						t.Error("it is still known")
					}
				})
			})
		}
	}
}

func TestWhatAnAgentMayNotSayIsDropped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.want("web@a", "web2@b")
		w.lead(1)
		a, b := w.agent("a"), w.agent("b")
		a.connect()
		b.connect()
		b.runs("web2")
		a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_States{States: &argosyv1.StateReport{Full: true, States: []*argosyv1.WorkloadState{
			a.state("web", "", runningOK), b.state("web2", "", removed), b.state("web2", "", finished),
		}}}})
		w.shows("after a spoke for b", "web@a Running(Ok)", "web2@b Running(Ok)")
		if !a.alive() {
			t.Error("the session ended")
		}
	})
}

func TestAFullReportMayComeInParts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.want("x@a", "y@a", "z@a")
		w.lead(1)
		a := w.agent("a")
		a.connect()
		a.runs("x", "y", "z")
		_, changes := w.store.Subscribe()
		part := func(partial bool, names ...string) {
			r := &argosyv1.StateReport{Full: true, Partial: partial}
			for _, name := range names {
				r.States = append(r.States, a.state(name, "", runningOK))
			}
			a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_States{States: r}})
		}
		part(true, "x")
		part(true, "y")
		part(false, "z")
		if got := statesOf(t, changes); len(got) > 0 {
			t.Errorf("states changed: %v", got)
		}
		part(true, "x")
		part(false, "y")
		w.shows("after a report without z", "x@a Running(Ok)", "y@a Running(Ok)", "z@a Pending(Initial)")
		part(true, "x")
		a.report(false, runningOK, "z")
		code(t, a.ended(), argosyv1.ErrorCode_ERROR_CODE_INVALID)
	})
}
