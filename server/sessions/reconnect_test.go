package sessions

import (
	"context"
	"errors"
	"testing"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

func TestANewAgentIsRegisteredOnceAndToldEverything(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.want("web@a", "db@a", "other@b", "nobody@")
		w.lead(1)
		a := w.agent("a")
		a.tags = map[string]string{"zone": "1"}
		a.connect()
		welcome := a.welcome()
		if welcome.GetClusterId() != "cluster-1" || welcome.GetLeaderId() != "server-1" || welcome.GetTerm() != 1 ||
			welcome.GetProtocol() != 1 || welcome.GetHeartbeatIntervalMs() != 1000 || welcome.GetSessionTimeoutMs() != 5000 ||
			len(welcome.GetServerAddresses()) != 2 || welcome.GetAssignmentsCurrent() {
			t.Errorf("welcome: %v", welcome)
		}
		a.holds("after the first session began", "db", "web")
		if len(w.records) != 1 {
			t.Errorf("registered %v, want a once", w.records)
		}
		a.runs("web", "db")
		w.shows("after the report", "db@a Running(Ok)", "nobody@ NotScheduled", "other@b Pending(Initial)", "web@a Running(Ok)")
		if status, _ := w.store.Agent("a"); !status.GetConnected() || status.GetAddress() != "a:1" || status.GetInstanceId() != "process-a" {
			t.Errorf("status: %v", status)
		}
	})
}

func TestAReconnectWithNothingChangedIsANoOp(t *testing.T) {
	type act func(*world, *agent)
	cases := map[string]act{
		"after a broken stream": func(_ *world, a *agent) { a.lose() },
		"over a session that is still there": func(*world, *agent) {
		},
		"to a new leader with a mirror": func(w *world, _ *agent) { w.failOver() },
		"to a leader with an empty memory": func(w *world, _ *agent) {
			w.stopLead()
			w.boot(DefaultConfig())
			w.lead(7)
		},
	}
	for what, act := range cases {
		t.Run(what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.lead(1)
				w.want("web@a", "job@a", "other@b")
				a := w.agent("a")
				a.connect()
				a.runs("web", "job")
				a.report(false, finished, "job")
				revision := w.machine.View().Revision()
				_, changes := w.store.Subscribe()

				act(w, a)
				a.connect()
				if !a.welcome().GetAssignmentsCurrent() || a.assignments() != 0 {
					t.Errorf("current: %v, %d messages with assignments; want none", a.welcome().GetAssignmentsCurrent(), a.assignments())
				}
				a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_States{States: &argosyv1.StateReport{Full: true, States: []*argosyv1.WorkloadState{
					a.state("web", "", runningOK), a.state("job", "", finished),
				}}}})
				w.shows("after the reconnect", "job@a Succeeded(Ok)", "other@b Pending(Initial)", "web@a Running(Ok)")
				if got := w.machine.View().Revision(); got != revision {
					t.Errorf("the reconnect wrote to Raft: revision went from %d to %d", revision, got)
				}
				for _, state := range statesOf(t, changes) {
					t.Errorf("the reconnect changed a state: %v", state)
				}
				w.want("new@a")
				a.holds("after a later change", "job", "new", "web")
			})
		})
	}
}

// statesOf returns the changes of states that a subscription has, without
// waiting.
func statesOf(t *testing.T, changes *observed.Subscription) (states []*argosyv1.WorkloadState) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		batches, err := changes.Next(ctx)
		if errors.Is(err, context.Canceled) {
			return states
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			states = append(states, b.States...)
		}
	}
}

func TestAnAgentThatMissedChangesIsToldEverythingAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		w.want("stays@a", "goes@a")
		a := w.agent("a")
		a.connect()
		a.runs("stays", "goes")
		a.lose()
		w.delete("goes")
		w.want("comes@a")
		a.connect()
		a.holds("after it came back", "comes", "stays")
		if !a.firstAssignments().GetFull() {
			t.Error("the assignments were not sent in full")
		}
	})
}

func TestAnAgentThatHoldsNothingIsToldSoBeforeItMayClearAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		a := w.agent("a")
		a.connect()
		if a.welcome().GetAssignmentsCurrent() || a.assignments() != 1 {
			t.Errorf("current: %v, %d messages; want one full, empty set", a.welcome().GetAssignmentsCurrent(), a.assignments())
		}
		a.lose()
		a.revision = 1 // it knows now that it is to hold nothing
		a.connect()
		if !a.welcome().GetAssignmentsCurrent() {
			t.Error("an agent that holds the nothing it should hold is not current")
		}
	})
}

func TestOnlyChangedTagsAreWritten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		a := w.agent("a")
		a.connect()
		a.lose()
		a.tags = map[string]string{"zone": "2"}
		a.connect()
		a.lose()
		a.connect()
		if len(w.records) != 2 {
			t.Errorf("%d writes, want 2: the first session and the changed tag", len(w.records))
		}
	})
}

func TestAnAgentThatCannotBeRegisteredIsToldAndShownToNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		w.refuse = argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "no quorum")
		a := w.agent("a")
		code(t, a.refused(), argosyv1.ErrorCode_ERROR_CODE_NO_LEADER)
		if w.connected("a") {
			t.Error("it is shown as connected")
		}
		w.refuse = nil
		a.again("another", "elsewhere", "elsewhere").connect() // the name was not kept
	})
}

func TestAServerThatDoesNotLeadSaysWhoDoes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.follow("s2:1", 4)
		a := w.agent("a")
		if err := a.refused(); err != nil {
			t.Error(err)
		}
		if r := a.redirect(); r.GetLeaderAddress() != "s2:1" || r.GetTerm() != 4 {
			t.Errorf("redirect: %v", r)
		}
	})
}

func TestAnAgentIsKeptForAMomentWhileThereIsNoLeader(t *testing.T) {
	cases := map[string]struct {
		then     func(*world)
		redirect string // or welcome
	}{
		"and then this server leads":     {func(w *world) { w.lead(5) }, "welcome"},
		"and then another one leads":     {func(w *world) { w.follow("s3:1", 5) }, "s3:1"},
		"and is sent away if none comes": {func(w *world) { w.pass(time.Second) }, ""},
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.agent("a")
				a.open()
				w.pass(DefaultConfig().LeaderWait / 2)
				if len(a.messages()) > 0 || !a.alive() {
					t.Fatal("it was answered before a leader was known")
				}
				c.then(w)
				w.settle()
				if c.redirect == "welcome" {
					if a.welcome() == nil {
						t.Error("it was not welcomed")
					}
					return
				}
				if r := a.redirect(); r == nil || r.GetLeaderAddress() != c.redirect {
					t.Errorf("redirect: %v, want to %q", r, c.redirect)
				}
			})
		})
	}
}

func TestAnAgentThatHasSeenALaterLeaderIsNotTaken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(3)
		a := w.agent("a")
		a.term = 4
		a.open()
		w.pass(time.Second)
		if r := a.redirect(); r == nil || r.GetLeaderAddress() != "" {
			t.Errorf("answer: %v, want a redirect to nowhere", a.messages())
		}
	})
}

func TestAnAgentIsTakenWhateverItSawBeforeARecovery(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.incarnation = "2-0000000a"
		w.lead(3)
		a := w.agent("a")
		a.open(func(h *argosyv1.AgentHello) { h.Term, h.Incarnation = 50, "1-0000000b" })
		w.settle()
		if welcome := a.welcome(); welcome.GetTerm() != 3 || welcome.GetIncarnation() != w.incarnation {
			t.Fatalf("answer: %v", a.messages())
		}
		for _, later := range []string{"3-0000000a", "2-0000000b"} {
			err := w.agent("b").refused(func(h *argosyv1.AgentHello) { h.Incarnation = later })
			code(t, err, argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, later, w.incarnation)
		}
	})
}

func TestSessionsEndWithTheLeadership(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		w.want("web@a")
		a := w.agent("a")
		a.connect()
		a.runs("web")
		w.stopLead()
		w.settle()
		code(t, a.ended(), argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER)
		if !w.connected("a") {
			t.Error("the agent is shown as disconnected because the leader changes")
		}
		w.shows("between two leaders", "web@a Running(Ok)")
	})
}

func TestAHelloThatIsWrongIsRefusedWithWhatIsWrong(t *testing.T) {
	type change = func(*argosyv1.AgentHello)
	cases := []struct {
		what    string
		change  change
		names   []string // in its certificate; nil: without TLS
		code    argosyv1.ErrorCode
		mention []string
	}{
		{"no name", func(h *argosyv1.AgentHello) { h.Name = "" }, nil, argosyv1.ErrorCode_ERROR_CODE_INVALID, nil},
		{"a bad name", func(h *argosyv1.AgentHello) { h.Name = "a b" }, nil, argosyv1.ErrorCode_ERROR_CODE_INVALID, []string{"[a-zA-Z0-9_-]"}},
		{"no instance id", func(h *argosyv1.AgentHello) { h.InstanceId = "" }, nil, argosyv1.ErrorCode_ERROR_CODE_INVALID, []string{"instance id"}},
		{"a tag without a key", func(h *argosyv1.AgentHello) { h.Tags = map[string]string{"": "v"} }, nil, argosyv1.ErrorCode_ERROR_CODE_INVALID, []string{"tag"}},
		{"tags without end", func(h *argosyv1.AgentHello) { h.Tags = map[string]string{"k": string(make([]byte, 1<<20))} }, nil, argosyv1.ErrorCode_ERROR_CODE_INVALID, []string{"tags"}},
		{"another protocol", func(h *argosyv1.AgentHello) { h.Protocol = &argosyv1.VersionRange{Min: 90, Max: 91} }, nil, argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, []string{"90 to 91", "1 to 1"}},
		{"another cluster", func(h *argosyv1.AgentHello) { h.ClusterId = "cluster-2" }, nil, argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, []string{"cluster-1", "cluster-2"}},
		{"another agent's certificate", func(*argosyv1.AgentHello) {}, []string{"b", "c"}, argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, []string{`"a"`, `"b", "c"`}},
		{"a certificate without names", func(*argosyv1.AgentHello) {}, []string{}, argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, []string{"no name"}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.lead(1)
				w.names = func() ([]string, bool) { return c.names, c.names != nil }
				code(t, w.agent("a").refused(c.change), c.code, c.mention...)
				if len(w.records) > 0 {
					t.Errorf("it was registered: %v", w.records)
				}
			})
		})
	}
	t.Run("its own certificate", func(t *testing.T) {
		inWorld(t, func(_ *testing.T, w *world) {
			w.lead(1)
			w.names = func() ([]string, bool) { return []string{"x", "a"}, true }
			w.agent("a").connect()
		})
	})
}

func TestAStreamThatDoesNotBeginWithAHelloIsEnded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		cases := map[string]func(*stream){
			"something else": func(s *stream) {
				s.up <- &argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Heartbeat{Heartbeat: &argosyv1.Heartbeat{}}}
			},
			"nothing":          func(*stream) {},
			"the end":          func(s *stream) { close(s.up) },
			"an empty message": func(s *stream) { s.up <- &argosyv1.AgentMessage{} },
		}
		for what, say := range cases {
			s := &stream{agent: w.agent("a"), up: make(chan *argosyv1.AgentMessage, 1)}
			s.ctx, s.cancel = t.Context(), func() {}
			say(s)
			code(t, w.service.Session(s), argosyv1.ErrorCode_ERROR_CODE_INVALID)
			_ = what
		}
	})
}

func TestASecondHelloEndsTheSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(1)
		a := w.agent("a")
		a.connect()
		a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Hello{Hello: &argosyv1.AgentHello{Name: "a"}}})
		code(t, a.ended(), argosyv1.ErrorCode_ERROR_CODE_INVALID)
	})
}
