package sessions

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestEachAgentIsToldOnlyWhatConcernsIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		before := b.assignments()
		w.want("x@a", "y@a", "z@nobody", "u@")
		w.want("x@a=2")
		a.holds("after creating and changing", "x", "y")
		if got := a.held["x"].GetRuntimeConfig(); got != "2" {
			t.Errorf("x has configuration %q, want the new one", got)
		}
		a.report(true, runningOK, "x=2", "y")
		w.delete("y")
		a.holds("after deleting", "x")
		a.report(false, removed, "y")
		w.want("x@")
		a.holds("after taking its agent away")
		if got := b.assignments() - before; got != 0 {
			t.Errorf("the other agent was sent %d messages", got)
		}
		last := a.messages()[len(a.messages())-1].GetAssignments()
		if last.GetTerm() != 1 || last.GetFull() || last.GetRevision() != w.machine.View().Revision() {
			t.Errorf("the last message has term %d, revision %d, full %v", last.GetTerm(), last.GetRevision(), last.GetFull())
		}
	})
}

func TestLargeSetsComeInMessagesOfABoundedSize(t *testing.T) {
	for what, whenConnected := range map[string]bool{"as a full set": false, "as a change": true} {
		t.Run(what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				const n, huge = 300, 3 << 20
				a := w.agent("a")
				w.lead(1)
				write := func() {
					var mutations []*argosyv1.Mutation
					for i := range n {
						mutations = append(mutations, workload(fmt.Sprintf("w%d@a=%s", i, string(make([]byte, 10<<10)))))
					}
					mutations = append(mutations, workload("huge@a="+string(make([]byte, huge))))
					w.apply(mutations...)
					w.settle()
				}
				if whenConnected {
					a.connect()
					write()
				} else {
					write()
					a.connect()
				}
				if len(a.held) != n+1 {
					t.Errorf("it holds %d workloads, want %d", len(a.held), n+1)
				}
				var messages []*argosyv1.Assignments
				for _, m := range a.messages() {
					if part := m.GetAssignments(); len(part.GetUpserts()) > 0 {
						messages = append(messages, part)
					}
				}
				for at, m := range messages {
					if size := proto.Size(m); size > DefaultConfig().MaxMessage+4096 && len(m.GetUpserts()) > 1 {
						t.Errorf("message %d has %d bytes", at, size)
					}
					if m.GetPartial() != (at < len(messages)-1) || m.GetFull() == whenConnected {
						t.Errorf("message %d of %d: partial %v, full %v", at, len(messages), m.GetPartial(), m.GetFull())
					}
				}
				if len(messages) < 4 {
					t.Errorf("only %d messages", len(messages))
				}
			})
		})
	}
}

func TestAnAgentThatTakesNothingIsCutOffAndDelaysNobody(t *testing.T) {
	cases := []struct {
		what string
		cfg  func(*Config)
		do   func(*world, *agent)
	}{
		{"because too many messages wait", func(c *Config) { c.MaxQueuedMessages = 5 }, func(w *world, _ *agent) {
			for i := range 10 {
				w.want(fmt.Sprintf("s%d@slow", i))
			}
		}},
		{"because too many bytes wait", func(c *Config) { c.MaxQueuedBytes = 1000 }, func(w *world, _ *agent) {
			for i := range 4 {
				w.want(fmt.Sprintf("s%d@slow=%s", i, string(make([]byte, 900))))
			}
		}},
		{"because a message is stuck", func(*Config) {}, func(w *world, slow *agent) {
			w.want("s@slow")
			for range 10 {
				w.pass(beforeTimeout)
				slow.beat()
			}
		}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				cfg := DefaultConfig()
				c.cfg(&cfg)
				w.boot(cfg)
				w.lead(1)
				slow := w.agent("slow")
				slow.connect()
				slow.runs()
				block := make(chan struct{})
				slow.stream.mu.Lock()
				slow.stream.block = block
				slow.stream.mu.Unlock()
				c.do(w, slow)
				code(t, slow.ended(), argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER, `"slow"`)
				fast := w.agent("fast")
				fast.connect()
				w.want("f@fast")
				fast.holds("the other agent", "f")
				close(block)
				slow.connect()
				if len(slow.held) == 0 {
					t.Error("it was not told what it missed")
				}
			})
		})
	}
}

func TestAFullSetIsNotTooLargeForTheQueue(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		cfg := DefaultConfig()
		cfg.MaxQueuedMessages, cfg.MaxQueuedBytes, cfg.MaxMessage = 3, 1000, 100
		w.boot(cfg)
		w.want(names("w", "a", 1000)...)
		w.lead(1)
		a := w.agent("a")
		a.connect()
		if len(a.held) != 1000 || !a.alive() {
			t.Errorf("it holds %d workloads, alive: %v", len(a.held), a.alive())
		}
	})
}

// gappy is a machine whose feed of changes has a gap.
type gappy struct {
	*fsm.Machine
	subscriptions int
}

func (g *gappy) Subscribe(after uint64) (*fsm.Subscription, error) {
	g.subscriptions++
	if g.subscriptions%2 == 1 {
		return nil, fmt.Errorf("test: %w", fsm.ErrCompacted)
	}
	return g.Machine.Subscribe(after)
}

func TestMissedChangesAreMadeUpFor(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		// A feed that holds next to nothing, and an entry larger than it.
		cfg := fsm.DefaultConfig()
		cfg.FeedBytes = 1
		var err error
		if w.machine, err = fsm.New(cfg); err != nil {
			t.Fatal(err)
		}
		w.boot(DefaultConfig())
		machine := &gappy{Machine: w.machine}
		w.service.deps.Machine = machine
		a, b := two(w)
		w.want("stays@a", "goes@a", "moves@a")
		a.runs("stays", "goes", "moves")
		// While nobody can follow, so that who follows is overtaken.
		m, _ := w.service.current()
		m.assigner.mu.Lock()
		w.apply(workload("stays@a=2"))
		w.apply(&argosyv1.Mutation{Kind: &argosyv1.Mutation_Delete{Delete: &argosyv1.DeleteRow{Kind: argosyv1.RowKind_ROW_KIND_WORKLOAD, Key: "goes"}}})
		w.apply(workload("moves@b"), workload("new@b"))
		w.apply(workload("last@a"))
		m.assigner.mu.Unlock()
		w.settle()
		if machine.subscriptions < 3 {
			t.Fatalf("%d subscriptions; the feed had no gap", machine.subscriptions)
		}
		a.holds("after the gap", "last", "stays")
		b.holds("after the gap", "new")
		a.report(false, removed, "moves", "goes")
		b.holds("after a removed what moves", "moves", "new")
		w.want("later@b")
		b.holds("after a later change", "later", "moves", "new")
	})
}

func TestTheEndOfDesiredStateEndsTheLeadership(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		returned := make(chan error, 1)
		go func() { returned <- w.service.Lead(t.Context(), Leadership{Term: 1, Registrar: w}) }()
		w.settle()
		w.index++
		a := w.agent("a")
		a.open()
		w.settle()
		if err := w.fail(); err == nil {
			t.Fatal("the machine did not fail")
		}
		w.settle()
		if err := <-returned; !errors.Is(err, fsm.ErrFailed) {
			t.Errorf("Lead returned %v, want ErrFailed", err)
		}
		code(t, a.ended(), argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER)
	})
}

func TestAnOlderTermCannotLead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lead(5)
		if err := w.service.Lead(t.Context(), Leadership{Term: 4, Registrar: w}); err == nil {
			t.Error("it led in an older term")
		}
		w.agent("a").connect() // the present leadership goes on
	})
}

func TestReachingAnAgent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, err := w.service.Reach("a")
		code(t, err, argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER)
		w.lead(1)
		if _, err := w.service.Reach("a"); err == nil {
			t.Error("an agent that is not there was reached")
		}
		a := w.agent("a")
		a.connect()
		link, err := w.service.Reach("a")
		if err != nil {
			t.Fatal(err)
		}
		stop := &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_StopLogs{StopLogs: &argosyv1.StopLogs{StreamId: "x"}}}
		if err := link.Send(stop); err != nil {
			t.Error(err)
		}
		w.settle()
		if all := a.messages(); all[len(all)-1].GetStopLogs().GetStreamId() != "x" {
			t.Error("the message did not arrive")
		}
		a.lose()
		<-link.Done()
		if link.Err() == nil || link.Send(stop) == nil {
			t.Error("a link that is over was not")
		}
	})
}

func TestTheConfigurationIsChecked(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	bad := DefaultConfig()
	bad.SessionTimeout = bad.HeartbeatInterval
	for what, cfg := range map[string]Config{"empty": {}, "time-out below heartbeat": bad} {
		if err := cfg.Validate(); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if _, err := New(Deps{}, DefaultConfig()); err == nil {
		t.Error("a service without anything to work with was made")
	}
}

func TestTheTimeoutsAreTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		cfg := DefaultConfig()
		cfg.HeartbeatInterval, cfg.SessionTimeout = 100*time.Millisecond, 700*time.Millisecond
		w.boot(cfg)
		w.lead(1)
		a := w.agent("a")
		a.connect()
		if a.welcome().GetHeartbeatIntervalMs() != 100 || a.welcome().GetSessionTimeoutMs() != 700 {
			t.Errorf("welcome: %v", a.welcome())
		}
		w.pass(time.Second)
		if a.alive() || w.connected("a") {
			t.Error("it was not lost after the time-out")
		}
	})
}
