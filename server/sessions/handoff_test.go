package sessions

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// two makes a world of two agents, a and b, that are here and have reported.
func two(w *world) (a, b *agent) {
	w.t.Helper()
	w.lead(1)
	a, b = w.agent("a"), w.agent("b")
	for _, one := range []*agent{a, b} {
		one.connect()
		one.runs()
	}
	return a, b
}

func TestAWorkloadThatMovesStartsWhenTheOldAgentHasRemovedIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		w.want("w@a", "stays@a")
		a.runs("w", "stays")
		w.want("w@b")
		a.holds("after the move", "stays")
		b.holds("while a still has it")
		w.shows("while a still has it", "stays@a Running(Ok)", "w@a Running(Ok)", "w@b Pending(Initial)")
		a.report(false, stopping, "w")
		b.holds("while a stops it")
		a.report(false, removed, "w")
		b.holds("after a has removed it", "w")
		b.report(false, runningOK, "w")
		w.shows("at the end", "stays@a Running(Ok)", "w@b Running(Ok)")
	})
}

// It happens with every move.
func TestHoldingAWorkloadBackIsNoError(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, _ := two(w)
		w.want("w@a")
		a.runs("w")
		w.want("w@b")
		synctest.Wait()
		if said := w.errors.String(); said != "" {
			t.Errorf("it was logged: %s", said)
		}
	})
}

// Each case moves w from a to b, says when b may have it and when not yet.
func TestWhenAMovedWorkloadMayStart(t *testing.T) {
	cases := []struct {
		what string
		act  func(w *world, a, b *agent)
		held bool
	}{
		{"a has not said a word of it", func(w *world, a, b *agent) {
			w.want("w@a")
			w.want("w@b")
		}, true},
		{"a has not said a word of it, but has removed it", func(w *world, a, b *agent) {
			w.want("w@a")
			w.want("w@b")
			a.report(false, removed, "w")
		}, false},
		{"a has not said a word of it, but has carried the removal out", func(w *world, a, b *agent) {
			w.want("w@a")
			w.want("w@b")
			a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Converged{Converged: &argosyv1.Converged{Revision: w.machine.View().Revision()}}})
		}, false},
		{"a has carried out what came before the removal", func(w *world, a, b *agent) {
			w.want("w@a")
			before := w.machine.View().Revision()
			w.want("w@b")
			a.send(&argosyv1.AgentMessage{Kind: &argosyv1.AgentMessage_Converged{Converged: &argosyv1.Converged{Revision: before}}})
		}, true},
		{"a's full report was on its way when it was sent", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs()
			w.want("w@b")
		}, true},
		{"a was sent it, is gone", func(w *world, a, b *agent) {
			w.want("w@a")
			a.lose()
			w.want("w@b")
			w.pass(2 * timeout)
			b.connect()
		}, true},
		{"a was sent it, is gone, came back without it", func(w *world, a, b *agent) {
			w.want("w@a")
			a.lose()
			w.want("w@b")
			a.connect()
			a.runs()
		}, false},
		{"a was sent it, is gone, came back with it", func(w *world, a, b *agent) {
			w.want("w@a")
			a.lose()
			w.want("w@b")
			a.connect()
			a.runs("w")
		}, true},
		{"a runs it and is gone", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			a.lose()
			w.want("w@b")
			w.pass(2 * timeout)
			b.connect()
		}, true},
		{"a runs it and has said goodbye", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			a.goodbye()
			w.want("w@b")
		}, true},
		{"a ran it, was gone, came back without it", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			a.lose()
			w.want("w@b")
			a.connect()
			a.runs()
		}, false},
		{"a ran it and was deleted", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.want("w@b")
			w.drop(argosyv1.RowKind_ROW_KIND_AGENT, "a")
		}, false},
		{"a replaces it by a new instance", func(w *world, a, b *agent) {
			w.want("w@a=1")
			a.runs("w=1")
			w.want("w@a=2")
			w.want("w@b=2")
			a.report(false, removed, "w=1") // and knows of w=2, perhaps
		}, true},
		{"a has replaced it by a new instance and removed that", func(w *world, a, b *agent) {
			w.want("w@a=1")
			a.runs("w=1")
			w.want("w@a=2")
			w.want("w@b=2")
			a.report(false, removed, "w=1")
			a.report(false, removed, "w=2")
		}, false},
		{"it was deleted and is made anew elsewhere", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.delete("w")
			w.want("w@b")
		}, true},
		{"it was deleted, removed, and is made anew elsewhere", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.delete("w")
			a.report(false, removed, "w")
			w.want("w@b")
		}, false},
		{"it had no agent before", func(w *world, a, b *agent) {
			w.want("w@")
			w.want("w@b")
		}, false},
		{"a new leader has it from its mirror that a runs it", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.failOver()
			a.connect()
			b.connect()
			b.runs()
			w.want("w@b")
		}, true},
		{"the leader changed in between and a has removed it", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.want("w@b")
			w.failOver()
			a.connect()
			b.connect()
			b.runs()
			a.report(true, stopping, "w")
			a.report(false, removed, "w")
		}, false},
		{"the leader changed and a has not been heard of", func(w *world, a, b *agent) {
			w.want("w@a") // in flight to a, and nobody knows
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
		}, true},
		{"the leader changed and a was not heard of for long", func(w *world, a, b *agent) {
			w.want("w@a") // in flight to a, which may run it wherever it is
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			stopWaiting(w, b)
		}, true},
		{"the leader changed, a was not heard of for long, and came back without it", func(w *world, a, b *agent) {
			w.want("w@a")
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			stopWaiting(w, b)
			a.connect()
			a.runs()
		}, false},
		{"the leader changed, a was not heard of for long, and was deleted", func(w *world, a, b *agent) {
			w.want("w@a")
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			stopWaiting(w, b)
			w.drop(argosyv1.RowKind_ROW_KIND_AGENT, "a")
		}, false},
		{"the leader changed after the move, and a was not heard of for long", func(w *world, a, b *agent) {
			w.want("w@a")
			a.lose()
			w.want("w@b")
			w.failOver()
			b.connect()
			b.runs()
			stopWaiting(w, b)
		}, true},
		{"the leader changed, a was not heard of for long, and never had it", func(w *world, a, b *agent) {
			w.want("w@")
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			stopWaiting(w, b)
		}, false},
		{"the leader changed, c is not heard of, and a, which spoke of it, has removed it", func(w *world, a, b *agent) {
			w.agent("c").connect()
			w.want("w@a=1")
			w.want("w@a=2")
			w.failOver()
			a.connect()
			a.runs("w=2")
			b.connect()
			b.runs()
			w.want("w@b=2")
			a.report(false, removed, "w=2")
			stopWaiting(w, a, b)
		}, false},
		{"the leader changed and a came back without it", func(w *world, a, b *agent) {
			w.want("w@a")
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			a.connect()
			a.runs()
		}, false},
		{"the leader changed and it was deleted and made anew before a was heard of", func(w *world, a, b *agent) {
			w.want("w@a")
			w.failOver()
			b.connect()
			b.runs()
			w.delete("w")
			w.want("w@b")
		}, true},
		{"the leader changed and it is new", func(w *world, a, b *agent) {
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
		}, false},
		{"the leader changed, a was known to be lost and to have nothing", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs()
			a.report(false, removed, "w")
			a.goodbye()
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
		}, false},
		{"a was sent it and lost, then the leader changed", func(w *world, a, b *agent) {
			w.want("w@a")
			a.lose()
			stopWaiting(w, b)
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
		}, true},
		{"a was sent it and lost, it was moved, then the leader changed", func(w *world, a, b *agent) {
			w.want("w@a")
			a.lose()
			stopWaiting(w, b)
			w.want("w@b")
			w.failOver()
			b.connect()
			b.runs()
			stopWaiting(w, b)
		}, true},
		{"a was sent it and has said goodbye, then the leader changed", func(w *world, a, b *agent) {
			w.want("w@a")
			a.goodbye()
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
		}, true},
		{"a was sent it and lost, it was deleted, the leader changed, and it is made anew", func(w *world, a, b *agent) {
			w.want("w@a")
			a.lose()
			w.delete("w")
			stopWaiting(w, b)
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
		}, true},
		{"a was sent it and lost, the leader changed, and a came back without it", func(w *world, a, b *agent) {
			w.want("w@a")
			a.lose()
			stopWaiting(w, b)
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			a.connect()
			a.runs()
		}, false},
		{"a was sent it and lost, the leader changed, and a was deleted", func(w *world, a, b *agent) {
			w.want("w@a")
			a.lose()
			stopWaiting(w, b)
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			w.drop(argosyv1.RowKind_ROW_KIND_AGENT, "a")
		}, false},
		{"a was lost before it was meant for it, then the leader changed", func(w *world, a, b *agent) {
			a.lose()
			stopWaiting(w, b)
			w.want("w@a")
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
		}, false},
		{"the leader changed twice and neither has heard of a", func(w *world, a, b *agent) {
			w.want("w@a")
			w.failOver()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			stopWaiting(w, b)
		}, true},
		{"the leader changed thrice and none has heard of a", func(w *world, a, b *agent) {
			w.want("w@a")
			for range 2 {
				w.failOver()
				b.connect()
				b.runs()
				stopWaiting(w, b)
			}
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			stopWaiting(w, b)
		}, true},
		{"the leader changed twice, and a has said what it has in between", func(w *world, a, b *agent) {
			w.want("w@a=1")
			w.want("w@a=2")
			a.lose()
			stopWaiting(w, b)
			w.failOver()
			a.connect()
			a.runs()
			a.goodbye()
			b.connect()
			b.runs()
			w.want("w@")
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
		}, false},
		{"a came without having told what it has and went, then the leader changed", func(w *world, a, b *agent) {
			w.want("w@a")
			w.failOver()
			a.connect()
			a.goodbye()
			b.connect()
			b.runs()
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			stopWaiting(w, b)
		}, true},
		{"a ran it, began anew without it, and is sent it again", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			a.lose()
			a = a.again("second", a.bootID, a.homeID)
			a.connect()
			a.runs() // was on its way
			w.want("w@b")
		}, true},
		{"a ran it, began anew without it, was sent it again and has removed it", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			a.lose()
			a = a.again("second", a.bootID, a.homeID)
			a.connect()
			a.runs()
			w.want("w@b")
			a.report(false, removed, "w")
		}, false},
		{"all servers were started again and a has not been heard of", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.want("w@b")
			w.startAgain()
			b.connect()
			b.runs()
		}, true},
		{"all servers were started again and it is moved while a is not heard of for long", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.startAgain()
			b.connect()
			b.runs()
			w.want("w@b")
			stopWaiting(w, b)
		}, true},
		{"all servers were started again and it is moved after a was not heard of for long", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@a=2")
			w.want("w@b")
		}, true},
		{"all servers were started again after the move and a was not heard of for long", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.want("w@b")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
		}, true},
		{"all servers were started again, a is not heard of for long, and it is made anew elsewhere", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.delete("w")
			w.want("w@b")
		}, true},
		{"all servers were started again, and a comes back late and removes it", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.startAgain()
			b.connect()
			b.runs()
			w.want("w@b")
			stopWaiting(w, b)
			a.connect()
			a.runs("w")
			a.report(false, removed, "w")
		}, false},
		{"it was deleted while a was away, is made anew, and all servers were started again", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			a.lose()
			b.lose()
			w.delete("w")
			w.want("w@b")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
		}, true},
		{"it was deleted before a spoke of it, is made anew, and all servers were started again", func(w *world, a, b *agent) {
			w.want("w@a")
			b.lose()
			w.delete("w")
			w.want("w@b")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
		}, true},
		{"it was deleted while a was not heard of, is made anew, and all servers were started again", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			b.lose()
			w.startAgain()
			w.delete("w")
			w.want("w@b")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
		}, true},
		{"it was moved, deleted and is made anew while a was not heard of, and all servers were started again", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			b.lose()
			w.want("w@b")
			w.startAgain()
			w.delete("w")
			w.want("w@b")
			w.startAgain()
			w.delete("w")
			w.want("w@b")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
		}, true},
		{"it was deleted while a was away, is made anew, all servers were started again, and a came back", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			a.lose()
			b.lose()
			w.delete("w")
			w.want("w@b")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			a.connect()
			a.runs("w")
			a.report(false, removed, "w")
		}, false},
		{"it was deleted and removed before it was made anew, and all servers were started again", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.delete("w")
			a.report(false, removed, "w")
			b.lose()
			w.want("w@b")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
		}, false},
		{"it was made while a was away, and all servers were started again", func(w *world, a, b *agent) {
			w.want("other@a")
			a.runs("other")
			a.lose()
			b.lose()
			w.want("w@b")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
		}, false},
		{"it was deleted, all servers were started again, and it is made anew before a is heard of", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.delete("w")
			w.startAgain()
			b.connect()
			b.runs()
			w.want("w@b")
		}, true},
		{"it was deleted, all servers were started again, and a stops it still", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.delete("w")
			w.startAgain()
			b.connect()
			b.runs()
			w.want("w@b")
			a.connect()
			a.report(true, stopping, "w")
			stopWaiting(w, a, b)
		}, true},
		{"it was deleted, all servers were started again, and a has removed it", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.delete("w")
			w.startAgain()
			b.connect()
			b.runs()
			w.want("w@b")
			a.connect()
			a.runs()
		}, false},
		{"all servers were started again, it is new, and a was not heard of for long", func(w *world, a, b *agent) {
			w.startAgain()
			b.connect()
			b.runs()
			w.want("w@b")
			stopWaiting(w, b)
		}, false},
		{"all servers were started again, the leader changed, it is new, and a was not heard of", func(w *world, a, b *agent) {
			w.startAgain()
			b.connect()
			b.runs()
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
		}, false},
		{"it was deleted after a was lost, all servers were started again, and it is made anew", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			a.lose()
			stopWaiting(w, b)
			w.delete("w")
			w.forget()
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
		}, true},
		{"it was deleted after a was lost, all servers were started again, it is made anew, and a came back", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			a.lose()
			stopWaiting(w, b)
			w.delete("w")
			w.forget()
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
			a.connect()
			a.runs()
		}, false},
		{"it was deleted after a was lost, all servers were started again, it is made anew, and a was removed", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			a.lose()
			stopWaiting(w, b)
			w.delete("w")
			w.forget()
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
			w.drop(argosyv1.RowKind_ROW_KIND_AGENT, "a")
		}, false},
		{"it was moved after a was lost, deleted, all servers were started again, and it is made anew", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			a.lose()
			stopWaiting(w, b)
			w.want("w@b")
			w.delete("w")
			w.forget()
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
		}, true},
		{"a was lost before it was deleted as a moves it away, and all servers were started again", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.want("w@b")
			a.lose()
			stopWaiting(w, b)
			w.delete("w")
			w.forget()
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
		}, true},
		{"it was deleted just before a was lost, all servers were started again, and it is made anew", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.delete("w")
			a.lose()
			stopWaiting(w, b)
			w.forget()
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
		}, true},
		{"it was deleted, all servers were started again, a was not heard of for long, and it is made anew", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.delete("w")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
		}, true},
		{"it was moved and deleted, all servers were started again, a was not heard of for long, and it is made anew", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.want("w@b")
			w.delete("w")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
		}, true},
		{"it was deleted, all servers were started again and again, and it is made anew long after", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.delete("w")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.forget()
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
		}, true},
		{"it was deleted while a was not heard of, all servers were started again, and it is made anew long after", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.delete("w")
			w.forget()
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
		}, true},
		{"more were deleted after a was lost than can be named, all servers were started again, and one is made anew", func(w *world, a, b *agent) {
			all := names("w", "a", argosyv1.MaxOwing+1)
			w.want(all...)
			w.want("w@a")
			a.runs(append(trimmed(all), "w")...)
			a.lose()
			stopWaiting(w, b)
			w.delete("w")
			for _, name := range trimmed(all) {
				name, _, _ = strings.Cut(name, "=")
				w.delete(name)
			}
			w.forget()
			w.startAgain()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
		}, true},
		{"a was sent it, it was deleted, the leader changed, and it is made anew", func(w *world, a, b *agent) {
			w.want("w@a")
			w.delete("w")
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
		}, true},
		{"a was sent it, it was deleted, the leader changed, and it is made anew when a was not heard of for long", func(w *world, a, b *agent) {
			w.want("w@a")
			w.delete("w")
			w.failOver()
			b.connect()
			b.runs()
			stopWaiting(w, b)
			w.want("w@b")
		}, true},
		{"a was sent it, it was deleted, the leader changed, it is made anew, and a came back without it", func(w *world, a, b *agent) {
			w.want("w@a")
			w.delete("w")
			w.failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			a.connect()
			a.runs()
		}, false},
		{"a was lost, came back and was sent it, of which the next leader has heard nothing", func(w *world, a, b *agent) {
			a.lose()
			stopWaiting(w, b)
			failOver := w.mirror()
			a.connect()
			a.runs()
			w.want("w@a")
			failOver()
			b.connect()
			b.runs()
			w.want("w@b")
			stopWaiting(w, b)
		}, true},
		{"a was lost, came back, was sent it and lost, of which the next leader has heard", func(w *world, a, b *agent) {
			a.lose()
			stopWaiting(w, b)
			a.connect()
			a.runs()
			a.goodbye()
			w.want("w@a")
			failOver := w.mirror()
			failOver()
			b.connect()
			b.runs()
			w.want("w@b")
		}, false},
		{"all servers were started again and a has removed it", func(w *world, a, b *agent) {
			w.want("w@a")
			a.runs("w")
			w.want("w@b")
			w.startAgain()
			b.connect()
			b.runs()
			a.connect()
			a.runs()
		}, false},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := two(w)
				c.act(w, a, b)
				if c.held {
					b.holds("as long as a may have it")
				} else {
					b.holds("when a cannot have it", "w")
				}
			})
		})
	}
}

// trimmed returns workloads without their agents.
func trimmed(workloads []string) []string {
	all := make([]string, len(workloads))
	for i, text := range workloads {
		name, rest, _ := strings.Cut(text, "@")
		_, config, _ := strings.Cut(rest, "=")
		all[i] = name + "=" + config
	}
	return all
}

// What is written down about an agent that is gone is written in few entries, and
// taken back in one. While all are here nothing is.
func TestWhatAgentsOweIsWrittenOnlyWhenTheyAreGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		c := w.agent("c")
		c.connect()
		c.runs()
		entries := func(what string, want uint64, act func()) {
			t.Helper()
			before := w.machine.View().Revision()
			act()
			w.pass(clearOwingAfter)
			for _, one := range []*agent{a, b, c} {
				if one.alive() {
					one.beat()
				}
			}
			if got := w.machine.View().Revision() - before; got != want {
				t.Errorf("%s: %d entries, want %d", what, got, want)
			}
		}
		entries("all are here", 4, func() {
			w.want("w@a", "x@a")
			a.runs("w", "x")
			w.want("w@b")
			a.report(false, removed, "w")
			b.report(false, runningOK, "w")
			w.delete("w")
			b.report(false, removed, "w")
			w.want("w@a")
			a.report(false, runningOK, "w")
		})
		entries("a stream broke while one was deleted", 2, func() {
			w.want("short@a")
			a.report(false, runningOK, "short")
			a.lose()
			w.delete("short")
			a.connect()
			a.runs("w", "x", "short")
			a.report(false, removed, "short")
		})
		a.lose()
		c.lose()
		stopWaiting(w, b)
		entries("two were deleted that an agent has which is gone", 2, func() { w.delete("w", "x") })
		if got := w.record("a").GetOwing().GetWorkloads(); !slices.Equal(got, []string{"w", "x"}) {
			t.Errorf("it is written down that a owes %v, want w and x", got)
		}
		if w.record("c").GetOwing() != nil {
			t.Errorf("it is written down that c owes %v", w.record("c").GetOwing())
		}
		entries("it is back", 1, func() { a.connect() })
		entries("it has reported and removed one", 0, func() {
			a.runs("w", "x")
			a.report(false, removed, "w")
		})
		entries("it has removed both", 1, func() { a.report(false, removed, "x") })
		if w.record("a").GetOwing() != nil {
			t.Errorf("it is written down that a owes %v", w.record("a").GetOwing())
		}
	})
}

func TestADeletionThatWasMissedHoldsBackWhatIsMadeAnew(t *testing.T) {
	for what, forgotten := range map[string]bool{"the request is remembered": false, "the request is forgotten": true} {
		t.Run(what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				cfg := fsm.DefaultConfig()
				cfg.FeedBytes = 1
				var err error
				if w.machine, err = fsm.New(cfg); err != nil {
					t.Fatal(err)
				}
				w.boot(DefaultConfig())
				a, b := two(w)
				w.want("w@a")
				a.runs("w")
				w.startAgain()
				b.connect()
				b.runs()
				stopWaiting(w, b)
				m, _ := w.service.current()
				m.assigner.mu.Lock()
				// More than the feed holds, while nobody can follow.
				w.apply(&argosyv1.Mutation{Kind: &argosyv1.Mutation_Delete{Delete: &argosyv1.DeleteRow{Kind: argosyv1.RowKind_ROW_KIND_WORKLOAD, Key: "w"}}})
				w.apply(workload("other@b"))
				if forgotten {
					w.apply(&argosyv1.Mutation{Kind: &argosyv1.Mutation_ExpireOutcomes{ExpireOutcomes: &argosyv1.ExpireOutcomes{UpToRevision: w.machine.View().Revision()}}})
				}
				w.apply(workload("another@b"))
				m.assigner.mu.Unlock()
				w.settle()
				w.want("w@b")
				b.lacks("as long as a may have any of them", "other", "w")
				if forgotten {
					b.holds("as long as a may have anything") // else the last change may have been seen
				}
				a.connect()
				a.runs()
				b.holds("when a cannot have it", "another", "other", "w")
			})
		})
	}
}

// stopWaiting lets the time pass in which everything waits for agents that the
// leader has not heard of; the given ones give signs of life meanwhile.
func stopWaiting(w *world, here ...*agent) {
	w.pass(beforeTimeout)
	for _, one := range here {
		one.beat()
	}
	w.pass(timeout - beforeTimeout)
}

func TestAWorkloadThatGoesBackAndForthNeverRunsTwice(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		w.want("w@a")
		a.runs("w")
		w.want("w@b")
		w.want("w@a") // b was never sent it, so a may have it at once
		a.holds("after it came back before it left", "w")
		w.want("w@b")
		a.report(false, removed, "w")
		b.holds("after a removed it", "w")
		w.want("w@a")
		a.holds("while b may be starting it")
		b.holds("after it left again")
		b.report(false, removed, "w")
		a.holds("after b removed it", "w")
	})
}

// A leader that does not know what an agent has must never tell it, in full,
// without what it has.
func TestAnAgentIsNeverToldToDropWhatItHasBecauseALeaderIsNotSure(t *testing.T) {
	cases := map[string]func(w *world, a, b *agent){
		"the mirror has not seen that a removed it": func(w *world, a, b *agent) {
			w.failOver()
			// As if a's last word had not reached this server before it led.
			a.connect()
			a.report(false, runningOK, "w")
		},
		"the memory is empty and an agent is missing": func(w *world, a, b *agent) {
			w.startAgain()
		},
	}
	for what, act := range cases {
		t.Run(what, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := two(w)
				w.want("w@a")
				a.runs("w")
				w.want("w@b")
				a.report(false, removed, "w")
				b.report(false, runningOK, "w")
				b.holds("before", "w")
				b.lose()
				w.want("new@b") // so that b is not current when it comes back
				act(w, a, b)
				b.connect()
				if b.welcome().GetAssignmentsCurrent() {
					t.Fatal("b is current; the test tests nothing")
				}
				b.holds("before it has reported", "w")
				b.runs("w")
				b.holds("after it has reported", "w")
				stopWaiting(w, b)
				b.holds("when nobody is waited for any more", "new", "w")
			})
		})
	}
}

func TestWhatIsHeldBackDoesNotHoldUpTheRest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		w.want("w@a")
		a.runs("w")
		w.want("w@b", "x@b", "y@a")
		b.holds("what has nothing to do with a", "x")
		a.holds("what has nothing to do with b", "y")
		// b goes and comes while w is held back from it: it is current.
		b.runs("x")
		b.lose()
		b.connect()
		if !b.welcome().GetAssignmentsCurrent() {
			t.Error("b is not current, though it holds all that it may have")
		}
		a.report(false, removed, "w")
		b.holds("in the end", "w", "x")
	})
}

func TestAHeldWorkloadMayChangeOrGo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		c := w.agent("c")
		c.connect()
		c.runs()
		w.want("w@a", "v@a")
		a.runs("w", "v")
		w.want("w@b", "v@b")
		w.want("w@b=2")
		w.delete("v")
		w.want("w@c=2")
		a.report(false, removed, "w", "v")
		b.holds("b, for which it was meant for a while")
		c.holds("c, for which it is meant", "w")
	})
}

func TestTheOldAgentMayBeBackAfterTheLeaderStoppedWaiting(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		w.want("w@a")
		a.runs("w")
		w.failOver()
		b.connect()
		b.runs()
		w.want("w@b")
		w.pass(timeout + time.Second)
		w.shows("when a is lost", "w@a AgentDisconnected", "w@b Pending(Initial)")
		b.connect()
		b.runs()
		b.holds("while a is away")
		a.connect()
		a.holds("a, when it is back")
		a.report(true, stopping, "w")
		b.holds("while a stops it")
		a.report(false, removed, "w")
		b.holds("after a has removed it", "w")
	})
}

// An agent may come between a change of desired state and its distribution.
func TestWhatHasJustChangedWaitsUntilItIsKnownWhereItWas(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := two(w)
		w.want("w@a")
		a.runs("w")
		w.startAgain()
		b.connect()
		b.runs()
		stopWaiting(w, b)
		m, _ := w.service.current()
		m.assigner.mu.Lock()
		w.apply(workload("w@b"))
		row, _ := w.machine.View().Workload("w")
		blocked := m.assigner.blocked(row, "b")
		m.assigner.mu.Unlock()
		if !blocked {
			t.Error("b may have it before it is known that it was on a")
		}
		b.holds("when it is known")
	})
}

func TestAMoveThatWasMissedWaitsForAgentsThatWereNotHeardOf(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		cfg := fsm.DefaultConfig()
		cfg.FeedBytes = 1
		var err error
		if w.machine, err = fsm.New(cfg); err != nil {
			t.Fatal(err)
		}
		w.boot(DefaultConfig())
		a, b := two(w)
		w.want("w@a")
		a.runs("w")
		w.startAgain()
		b.connect()
		b.runs()
		stopWaiting(w, b)
		m, _ := w.service.current()
		m.assigner.mu.Lock()
		// More than the feed holds, while nobody can follow.
		w.apply(workload("other@b"))
		w.apply(workload("w@b"))
		w.apply(workload("another@b"))
		m.assigner.mu.Unlock()
		w.settle()
		b.report(false, runningOK, "other", "another")
		b.holds("as long as a may have it", "another", "other")
		a.connect()
		a.runs()
		b.holds("when a cannot have it", "another", "other", "w")
	})
}
