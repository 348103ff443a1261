package session

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/membership/identity/identitytest"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func reports(m *argosyv1.AgentMessage) bool { return m.GetStates() != nil }

func TestASessionBeginsWithAFullReport(t *testing.T) {
	leader := startServer(t)
	leader.lead(3)
	a := startAgent(t, servers(leader), func(_ *Config, a *agent) {
		a.states.push(state("web", argosyv1.State_STATE_RUNNING))
		a.states.converge(7)
	})
	leader.mustJoin(t)
	hello := leader.asked()[0]
	if hello.GetName() != "node1" || hello.GetInstanceId() != "life-1" || hello.GetBootId() != "boot-1" || hello.GetVersion() != "v1" ||
		hello.GetTags()["zone"] != "a" || len(hello.GetRuntimes()) != 1 || hello.GetProtocol().GetMax() != argosyv1.ProtocolMax {
		t.Errorf("hello: %v", hello)
	}
	first := leader.mustHear(t, "report", reports).GetStates()
	if !first.GetFull() || len(first.GetStates()) != 1 {
		t.Errorf("first report: %v", first)
	}
	leader.mustHear(t, "convergence", func(m *argosyv1.AgentMessage) bool { return m.GetConverged().GetRevision() == 7 })
	leader.mustHear(t, "load", func(m *argosyv1.AgentMessage) bool { return m.GetLoad().GetCpuPercent() == 10 })
	leader.mustHear(t, "heartbeat", func(m *argosyv1.AgentMessage) bool { return m.GetHeartbeat() != nil })
	a.states.push(state("web", argosyv1.State_STATE_STOPPING), state("web", argosyv1.State_STATE_REMOVED))
	second := leader.mustHear(t, "change", func(m *argosyv1.AgentMessage) bool {
		return reports(m) && !m.GetStates().GetFull() && len(m.GetStates().GetStates()) > 0
	}).GetStates()
	if len(second.GetStates()) != 2 || second.GetStates()[1].GetExecution().GetState() != argosyv1.State_STATE_REMOVED {
		t.Errorf("changes: %v", second)
	}
	a.states.overflowNow()
	leader.mustHear(t, "full report after an overflow", func(m *argosyv1.AgentMessage) bool {
		return m.GetStates().GetFull() && len(m.GetStates().GetStates()) == 3
	})
}

func TestAssignmentsAreHandedOnAndNamedInTheNextHello(t *testing.T) {
	leader := startServer(t)
	leader.lead(3)
	a := startAgent(t, servers(leader))
	leader.mustJoin(t)
	w := &argosyv1.Workload{Name: "web", Agent: "node1", Revision: 9}
	leader.out <- &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Assignments{Assignments: &argosyv1.Assignments{
		Full: true, Revision: 9, Term: 3, Upserts: []*argosyv1.Workload{w},
	}}}
	if change := <-a.applied; !change.Full || change.Revision != 9 || len(change.Upserts) != 1 {
		t.Errorf("change: %+v", change)
	}
	leader.out <- &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Redirect{Redirect: &argosyv1.Redirect{}}}
	leader.mustJoin(t)
	again := leader.asked()[1]
	if again.GetClusterId() != testCluster || again.GetTerm() != 3 || again.GetAssignmentRevision() != 9 ||
		!slices.Equal(again.GetAssignmentHash(), argosyv1.AssignmentHash([]*argosyv1.Workload{w})) {
		t.Errorf("second hello: %v", again)
	}
}

func TestAFollowersRedirectIsFollowed(t *testing.T) {
	follower, leader := startServer(t), startServer(t)
	follower.redirect(leader.address, 3)
	leader.lead(3)
	startAgent(t, servers(follower))
	leader.mustJoin(t)
}

func TestALeaderHandsItsSessionsOver(t *testing.T) {
	old, next := startServer(t), startServer(t)
	old.lead(3)
	a := startAgent(t, servers(old))
	old.mustJoin(t)
	next.lead(4)
	old.redirect("", 0)
	old.out <- &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Redirect{Redirect: &argosyv1.Redirect{LeaderAddress: next.address, Term: 4}}}
	next.mustJoin(t)
	if held := a.store.Held(); held.Term != 4 {
		t.Errorf("held: %+v", held)
	}
}

func TestWhenTheLeaderDiesAllKnownServersAreAskedUntilOneLeads(t *testing.T) {
	one, two, three := startServer(t), startServer(t), startServer(t)
	one.lead(3, func(w *argosyv1.Welcome) { w.ServerAddresses = []string{one.address, two.address, three.address} })
	two.redirect(one.address, 3)
	three.redirect(one.address, 3)
	a := startAgent(t, servers(one)) // It learns of the others by the welcome.
	one.mustJoin(t)
	eventually(t, "others of the agent's parts can ask them too", func() bool {
		known := a.session.Servers()
		return slices.Contains(known, two.address) && slices.Contains(known, three.address)
	})
	one.grpc.Stop()
	// The followers know of nothing yet.
	eventually(t, "both followers are asked more than once", func() bool { return len(two.asked()) > 1 && len(three.asked()) > 1 })
	three.lead(4)
	three.mustJoin(t)
}

func TestAHungServerDelaysNobody(t *testing.T) {
	hung, err := net.Listen("tcp", "127.0.0.1:0") // Connects, and never says a word.
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	leader := startServer(t)
	leader.lead(3)
	startAgent(t, servers(leader), func(c *Config, _ *agent) {
		c.Servers = append([]string{hung.Addr().String()}, c.Servers...)
		c.ConnectTimeout, c.AnswerTimeout = time.Hour, time.Hour
	})
	leader.mustJoin(t)
}

// slowFront stands before a server and passes each connection on only after so
// long, as one does that has thousands to set up. It counts them.
func slowFront(t *testing.T, server string, after time.Duration) (address string, accepted *atomic.Int64) {
	t.Helper()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = new(atomic.Int64)
	var tasks sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	tasks.Go(func() {
		for {
			conn, err := front.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			tasks.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				defer stop()
				select {
				case <-time.After(after):
				case <-ctx.Done():
					return
				}
				back, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer back.Close()
				stopBack := context.AfterFunc(ctx, func() { back.Close() })
				defer stopBack()
				tasks.Go(func() { _, _ = io.Copy(conn, back) })
				_, _ = io.Copy(back, conn)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		front.Close()
		tasks.Wait()
	})
	return front.Addr().String(), accepted
}

func TestAServerThatIsSlowToSetUpAConnectionIsNotGivenAnother(t *testing.T) {
	leader := startServer(t)
	leader.lead(3)
	address, accepted := slowFront(t, leader.address, 500*time.Millisecond)
	startAgent(t, func(c *Config, _ *agent) {
		c.Servers = []string{address}
		c.ConnectTimeout, c.AnswerTimeout = 100*time.Millisecond, time.Hour
	})
	leader.mustJoin(t)
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d connections were made to a server that was slow, want 1", n)
	}
}

func TestALeaderOfAHigherTermInGossipMovesTheSessionAtOnce(t *testing.T) {
	old, next := startServer(t), startServer(t)
	old.lead(3)
	d := newDirectory()
	a := startAgent(t, servers(old), gossiping(d))
	old.mustJoin(t)
	eventually(t, "gossip knows the cluster", func() bool { return d.cluster() == testCluster })
	d.announce("127.0.0.1:1", 2) // Of before; must not matter.
	old.setMute(true)            // The old one is silent, and not broken.
	next.lead(4)
	d.announce(next.address, 4)
	next.mustJoin(t)
	old.mustLeave(t)
	if n := len(next.asked()); n != 1 {
		t.Errorf("the new leader was asked %d times", n)
	}
	if n := a.log.count("leads in term 4"); n != 1 {
		t.Errorf("%d lines say why", n)
	}
}

func TestALeaderInGossipThatCannotBeReachedDoesNotEndSessionsForEver(t *testing.T) {
	reachable := startServer(t)
	reachable.lead(3)
	d := newDirectory()
	startAgent(t, servers(reachable), gossiping(d))
	reachable.mustJoin(t)
	d.announce("127.0.0.1:1", 4)
	reachable.mustLeave(t)
	reachable.mustJoin(t)
	d.announce("127.0.0.1:1", 4)
	reachable.mustHear(t, "heartbeats in the second session", func(m *argosyv1.AgentMessage) bool { return m.GetHeartbeat() != nil })
	select {
	case <-reachable.ended:
		t.Error("the session was given up again")
	default:
	}
}

func TestGossipAloneIsEnoughToFindTheLeader(t *testing.T) {
	leader := startServer(t)
	leader.lead(3)
	d := newDirectory()
	startAgent(t, gossiping(d))
	d.announce(leader.address, 3)
	leader.mustJoin(t)
}

func TestAStaleLeaderIsNotFollowed(t *testing.T) {
	stale, leader := startServer(t), startServer(t)
	stale.lead(3)
	leader.redirect(stale.address, 3)
	a := startAgent(t, servers(stale, leader), func(_ *Config, a *agent) {
		if err := a.store.Accept(testCluster, "", 5); err != nil {
			t.Fatal(err)
		}
	})
	eventually(t, "the stale leader is asked more than once", func() bool { return len(stale.asked()) > 1 })
	leader.lead(5)
	leader.mustJoin(t)
	if messages := stale.messages(); slices.ContainsFunc(messages, reports) {
		t.Error("the stale leader got a report")
	}
	if held := a.store.Held(); held.Term != 5 {
		t.Errorf("held: %+v", held)
	}
}

func TestAssignmentsOfALowerTermEndTheSession(t *testing.T) {
	leader := startServer(t)
	leader.lead(5)
	a := startAgent(t, servers(leader))
	leader.mustJoin(t)
	leader.out <- &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Assignments{Assignments: &argosyv1.Assignments{Full: true, Revision: 9, Term: 4}}}
	leader.mustLeave(t)
	if len(a.applied) != 0 {
		t.Error("they were handed on")
	}
}

func TestAServerOfAnotherClusterIsRefusedClearlyAndAskedSlowly(t *testing.T) {
	for name, refuse := range map[string]func(*server){
		"by the agent": func(s *server) {
			s.lead(9, func(w *argosyv1.Welcome) { w.ClusterId = "cluster-b" })
		},
		"by the server": func(s *server) {
			s.refuse(argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, "this is cluster cluster-b, agent node1 belongs to %s", testCluster))
		},
	} {
		t.Run(name, func(t *testing.T) {
			foreign, own := startServer(t), startServer(t)
			refuse(foreign)
			a := startAgent(t, servers(foreign, own), func(_ *Config, a *agent) {
				if err := a.store.Accept(testCluster, "", 1); err != nil {
					t.Fatal(err)
				}
			})
			eventually(t, "the own server is asked often", func() bool { return len(own.asked()) > 5 })
			if n := len(foreign.asked()); n != 1 {
				t.Errorf("the foreign server was asked %d times", n)
			}
			if n := a.log.count("ERROR a server refused this agent"); n != 1 || a.log.count("cluster-b") != 1 {
				t.Errorf("%d lines say so", n)
			}
			own.lead(2)
			own.mustJoin(t)
			if held := a.store.Held(); held.ClusterID != testCluster {
				t.Errorf("held: %+v", held)
			}
		})
	}
}

func TestTheHigherIncarnationIsFollowed(t *testing.T) {
	left, recovered := startServer(t), startServer(t)
	left.lead(50)
	a := startAgent(t, servers(left, recovered), func(_ *Config, a *agent) {
		if err := a.store.Accept(testCluster, "1-0000000a", 9); err != nil {
			t.Fatal(err)
		}
	})
	eventually(t, "the recovered server is asked often", func() bool { return len(recovered.asked()) > 5 })
	if n := len(left.asked()); n != 1 {
		t.Errorf("the server that was left behind was asked %d times", n)
	}
	if hello := left.asked()[0]; hello.GetIncarnation() != "1-0000000a" {
		t.Errorf("the agent tells incarnation %q", hello.GetIncarnation())
	}
	recovered.lead(10, func(w *argosyv1.Welcome) { w.Incarnation = "1-0000000a" })
	recovered.mustJoin(t)
	if held := a.store.Held(); held.Term != 10 {
		t.Errorf("held: %+v", held)
	}
}

func TestATakenNameIsTriedAgainSoon(t *testing.T) {
	leader := startServer(t)
	leader.refuse(argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "agent node1 has a session from 10.0.0.9"))
	a := startAgent(t, servers(leader))
	eventually(t, "it is asked more than once", func() bool { return len(leader.asked()) > 2 })
	if n := a.log.count("agent node1 has a session"); n != 1 {
		t.Errorf("%d lines say so", n)
	}
	leader.lead(3)
	leader.mustJoin(t)
}

func TestASilentLeaderIsLeft(t *testing.T) {
	leader := startServer(t)
	leader.setMute(true)
	leader.lead(3, func(w *argosyv1.Welcome) { w.SessionTimeoutMs = 50 })
	a := startAgent(t, servers(leader))
	leader.mustJoin(t)
	leader.mustLeave(t)
	leader.mustJoin(t)
	if a.log.count(errSilent.Error()) == 0 {
		t.Error("no line says so")
	}
}

func TestABrokenStreamIsMadeAgainWithAFullReport(t *testing.T) {
	leader := startServer(t)
	leader.lead(3)
	a := startAgent(t, servers(leader))
	leader.mustJoin(t)
	leader.mustHear(t, "first report", reports)
	a.states.push(state("web", argosyv1.State_STATE_RUNNING))
	leader.mustHear(t, "change", func(m *argosyv1.AgentMessage) bool { return len(m.GetStates().GetStates()) == 1 })
	before := len(leader.messages())
	leader.out <- &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Redirect{Redirect: &argosyv1.Redirect{}}}
	leader.mustJoin(t)
	eventually(t, "full report", func() bool {
		i := slices.IndexFunc(leader.messages()[before:], reports)
		if i < 0 {
			return false
		}
		report := leader.messages()[before+i].GetStates()
		if !report.GetFull() || len(report.GetStates()) != 1 {
			t.Fatalf("first report of the second session: %v", report)
		}
		return true
	})
}

func TestTheAgentSaysGoodbyeAndTheLastNews(t *testing.T) {
	leader := startServer(t)
	leader.lead(3)
	a := startAgent(t, servers(leader), func(c *Config, _ *agent) { c.ReportGap = time.Hour })
	leader.mustJoin(t)
	leader.mustHear(t, "first report", reports)
	a.states.push(state("web", argosyv1.State_STATE_STOPPING))
	a.stop()
	leader.mustLeave(t)
	messages := leader.messages()
	last := messages[len(messages)-1]
	if last.GetGoodbye() == nil {
		t.Errorf("last word: %v", last)
	}
	if !slices.ContainsFunc(messages, func(m *argosyv1.AgentMessage) bool { return len(m.GetStates().GetStates()) == 1 }) {
		t.Error("the last news was kept back")
	}
}

func TestLogsEndWithTheSession(t *testing.T) {
	leader := startServer(t)
	leader.lead(3)
	a := startAgent(t, servers(leader))
	leader.mustJoin(t)
	for i := range 3 {
		leader.out <- &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_StartLogs{StartLogs: &argosyv1.StartLogs{StreamId: fmt.Sprint(i)}}}
	}
	eventually(t, "three pushes", func() bool { return a.logs.count() == 3 })
	leader.out <- &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_StopLogs{StopLogs: &argosyv1.StopLogs{StreamId: "1"}}}
	eventually(t, "one ended", func() bool { return slices.Equal(a.logs.ended(), []string{"1"}) })
	leader.out <- &argosyv1.ServerMessage{Kind: &argosyv1.ServerMessage_Redirect{Redirect: &argosyv1.Redirect{}}}
	leader.mustJoin(t)
	if n := len(a.logs.ended()); n != 3 {
		t.Errorf("%d pushes ended before the next session began", n)
	}
}

func TestAFullReportOfManyInstancesIsCutIntoMessages(t *testing.T) {
	leader := startServer(t)
	leader.lead(3)
	startAgent(t, servers(leader), func(_ *Config, a *agent) {
		for i := range 2*statesPerReport + 1 {
			a.states.push(state(fmt.Sprintf("w%d", i), argosyv1.State_STATE_RUNNING))
		}
	})
	leader.mustJoin(t)
	eventually(t, "the last part", func() bool {
		return slices.ContainsFunc(leader.messages(), func(m *argosyv1.AgentMessage) bool { return reports(m) && !m.GetStates().GetPartial() })
	})
	var sizes []int
	for _, m := range leader.messages() {
		if reports(m) && m.GetStates().GetFull() {
			sizes = append(sizes, len(m.GetStates().GetStates()))
		}
	}
	if !slices.Equal(sizes, []int{statesPerReport, statesPerReport, 1}) {
		t.Errorf("parts: %v", sizes)
	}
}

func TestASessionOverMutualTLS(t *testing.T) {
	ca := identitytest.NewCA(t)
	load := func(names ...string) *identity.Identity {
		id, err := identity.Load(ca.Issue(t, t.TempDir(), names...))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	leader := startServer(t, grpc.Creds(credentials.NewTLS(load(identity.ServerName).ServerTLS())))
	leader.lead(3)
	impostor := startServer(t, grpc.Creds(credentials.NewTLS(load("somebody").ServerTLS())))
	impostor.lead(9)
	startAgent(t, servers(impostor, leader), func(c *Config, _ *agent) {
		c.TLS = load("node1").ClientTLS(identity.ServerName)
	})
	leader.mustJoin(t)
	if len(impostor.asked()) != 0 {
		t.Error("a server that cannot prove to be one was asked")
	}
}

func TestNobodyKnownIsSaid(t *testing.T) {
	a := startAgent(t, gossiping(newDirectory()))
	eventually(t, "a line", func() bool { return a.log.count("no server is known") == 1 })
}

func TestAnAgentSpreadsAsItsLeaderHasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shortest, longest time.Duration
		for range 200 {
			began := time.Now()
			if !spread(t.Context(), &argosyv1.Welcome{ReconnectSpreadMs: 2000}) {
				t.Fatal("it did not last")
			}
			took := time.Since(began)
			if shortest == 0 || took < shortest {
				shortest = took
			}
			longest = max(longest, took)
		}
		if shortest > 500*time.Millisecond || longest < 1500*time.Millisecond || longest > 2*time.Second {
			t.Errorf("agents wait from %v to %v, want from 0 to 2 s", shortest, longest)
		}
		began := time.Now()
		if !spread(t.Context(), &argosyv1.Welcome{}) || time.Since(began) != 0 {
			t.Error("an agent waits though it was not asked to")
		}
		spread(t.Context(), &argosyv1.Welcome{ReconnectSpreadMs: 1 << 30})
		if waited := time.Since(began); waited > maxSpread {
			t.Errorf("a server made an agent stay away for %v", waited)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if spread(ended, &argosyv1.Welcome{ReconnectSpreadMs: 1 << 30}) {
			t.Error("it outlasted its context")
		}
	})
}

func TestALeaderThatHasTooMuchToDoIsLeftAloneForAsLongAsItAsks(t *testing.T) {
	leader, follower := startServer(t), startServer(t)
	busy := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED, "too many agents")
	busy.Detail.RetryAfterMs = 300
	leader.refuse(busy)
	follower.redirect(leader.address, 3)
	began := time.Now()
	startAgent(t, servers(leader, follower))
	eventually(t, "a second question", func() bool { return len(leader.asked()) >= 2 })
	if waited := time.Since(began); waited < 300*time.Millisecond {
		t.Errorf("it came back after %v", waited)
	}
}
