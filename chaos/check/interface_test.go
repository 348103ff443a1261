package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// interviewed is a history in which asker-0 writes its config four times and is told of
// it: at revision 10, 20, 30 and 40, in the second of the same number. Its agent is killed
// in second 30, with the third update under way, and back a second later.
func interviewed() *history.History {
	h := &history.History{Meta: history.Meta{Version: history.Version, Began: 1, Whole: true, Quiet: 60 * second, Ended: 90 * second}}
	h.Replicas = []history.Replica{{Server: "server-1"}, {Server: "server-2"}, {Server: "server-3"}}
	entry := func(revision uint64, request string, put history.Object) {
		put.Revision, put.Created = revision, revision
		if put.Name == asked {
			put.Created = 10
		}
		for i := range h.Replicas {
			r := &h.Replicas[i]
			r.First, r.Last, r.Revision = 1, 50, 50
			r.Entries = append(r.Entries, history.Entry{Index: revision, Term: 2, Sum: put.Value, Requests: []string{request}, Put: []history.Object{put}})
			r.Objects = append(slices.DeleteFunc(r.Objects, func(o history.Object) bool { return o.Name == put.Name }), put)
		}
	}
	h.Operations = append(h.Operations, history.Operation{
		Client: "asker-placer-0", N: 1, Action: history.Apply, Request: "r1", Objects: []string{"asker-0"}, Values: []string{"a"},
		Call: second, Return: second + 1000, Outcome: history.Done, Revision: 5, Term: 2,
	})
	entry(5, "r1", history.Object{Name: "asker-0", Value: "a"})
	for n, value := range []string{"v-1", "v-2", "v-3", "v-4"} {
		entry(uint64(10*(n+1)), "agent's "+value, history.Object{Name: asked, Value: value})
	}
	runs(h, "asker-0", "a", "agent-1", 7, 2*second, 89*second, false)
	talk(h)
	strike(h, "kill-agent", 30*second, 31*second, true, 0, "agent-1")
	for at := second; at < 90*second; at += second {
		h.Looks = append(h.Looks, history.Look{Agent: "agent-1", At: at, Connected: true, Converged: 5, Wanted: 5})
	}
	led(h, "server-1", 2, 2)
	return h
}

const asked = "config-asker-0"

func talk(h *history.History) {
	pass := func(tenths history.Micros, m history.Message) {
		m.Workload, m.Value, m.Agent, m.PID, m.N, m.At = "asker-0", "a", "agent-1", 7, int64(len(h.Messages)+1), tenths*second/10
		if m.What == history.MessageAsked {
			m.Object = asked
		}
		h.Messages = append(h.Messages, m)
	}
	ask := func(tenths history.Micros, id string, action history.Action, sets string) {
		pass(tenths, history.Message{What: history.MessageAsked, Request: id, Action: action, Sets: sets})
	}
	tell := func(tenths history.Micros, id string, altered []string, found ...string) {
		m := history.Message{What: history.MessageAnswer, Request: id, Outcome: history.Done, Altered: altered}
		for _, value := range found {
			m.Found = append(m.Found, history.Object{Name: asked, Value: value})
		}
		pass(tenths, m)
	}
	lines := func(tenths history.Micros, id string, from, to int64) {
		pass(tenths, history.Message{What: history.MessageAnswer, Request: id, Outcome: history.Done, Shown: []history.Shown{{Value: "a", PID: 7, From: from, To: to}}})
	}
	event := []string{"desiredState.configs." + asked}
	pass(21, history.Message{What: history.MessageHello})
	pass(22, history.Message{What: history.MessageAccepted})
	ask(50, "get-0", history.Get, "")
	tell(51, "get-0", nil)
	ask(100, "set-1", history.Apply, "v-1")
	tell(101, "set-1", nil)
	ask(120, "get-1", history.Get, "")
	tell(121, "get-1", nil, "v-1")
	ask(150, "events-1", history.Subscribe, "")
	tell(151, "events-1", nil, "v-1")
	ask(160, "log-1", history.Follow, "")
	tell(161, "log-1", nil)
	lines(162, "log-1", 1, 8)
	ask(200, "set-2", history.Apply, "v-2")
	tell(201, "set-2", nil)
	tell(202, "events-1", event, "v-2")
	ask(300, "set-3", history.Apply, "v-3")
	pass(301, history.Message{What: history.MessageEnd})
	ask(305, "get-2", history.Get, "")
	pass(306, history.Message{What: history.MessageUnsent, Request: "get-2"})
	pass(320, history.Message{What: history.MessageHello})
	pass(321, history.Message{What: history.MessageAccepted})
	ask(330, "get-3", history.Get, "")
	tell(331, "get-3", nil, "v-3")
	ask(340, "events-2", history.Subscribe, "")
	tell(341, "events-2", nil, "v-3")
	// Both at once.
	ask(400, "set-4", history.Apply, "v-4")
	ask(400, "get-4", history.Get, "")
	tell(401, "set-4", nil)
	tell(402, "events-2", event, "v-4")
	tell(402, "get-4", nil, "v-4")
	ask(450, "log-2", history.Follow, "")
	tell(451, "log-2", nil)
	lines(452, "log-2", 1, 20)
	lines(460, "log-2", 21, 21)
	lines(470, "log-2", 22, 23)
	ask(475, "log-2", history.Unfollow, "")
	pass(476, history.Message{What: history.MessageAnswer, Request: "log-2", Action: history.Unfollow, Outcome: history.Done})
	ask(700, "events-2", history.Unsubscribe, "")
	pass(701, history.Message{What: history.MessageAnswer, Request: "events-2", Action: history.Unsubscribe, Outcome: history.Done})
	ask(720, "get-5", history.Get, "")
	pass(721, history.Message{What: history.MessageAnswer, Request: "get-5", Outcome: history.Unknown, Error: "control side not reachable: no leader"})
	pass(740, history.Message{What: history.MessageRest})
}

// message returns one of those of a request, counted from 0.
func message(h *history.History, what, id string, n int) *history.Message {
	for i := range h.Messages {
		if m := &h.Messages[i]; m.What == what && m.Request == id {
			if n--; n < 0 {
				return m
			}
		}
	}
	panic("no " + what + " of " + id)
}

// unsaid removes messages.
func unsaid(h *history.History, which func(*history.Message) bool) {
	h.Messages = slices.DeleteFunc(h.Messages, func(m history.Message) bool { return which(&m) })
}

func TestWhatPassesByTheControlInterfaceIsJudged(t *testing.T) {
	answerTo := func(id string) func(*history.Message) bool {
		return func(m *history.Message) bool { return m.What == history.MessageAnswer && m.Request == id }
	}
	again := func(id string, n int) func(h *history.History) {
		return func(h *history.History) {
			m := *message(h, history.MessageAnswer, id, n)
			m.N, m.At = 100, m.At+second/100
			h.Messages = append(h.Messages, m)
		}
	}
	lose := func(h *history.History, value string) {
		everywhere(h, func(r *history.Replica) {
			r.Entries = slices.DeleteFunc(r.Entries, func(e history.Entry) bool { return e.Put[0].Value == value })
		})
	}
	found := func(id string, n int, value string) func(h *history.History) {
		return func(h *history.History) { message(h, history.MessageAnswer, id, n).Found[0].Value = value }
	}
	for _, tc := range []struct {
		name string
		// by is who finds it, and says what; all is well when it is empty.
		by, says string
		spoil    func(h *history.History)
	}{
		{"all is well", "", "", func(*history.History) {}},
		// Requests.
		{"a request has no answer", "A9", "get-1 had no answer", func(h *history.History) { unsaid(h, answerTo("get-1")) }},
		{"an update has no answer", "A9", "set-4 had no answer", func(h *history.History) { unsaid(h, answerTo("set-4")) }},
		{"a subscription has no answer", "A9", "events-2 had no answer", func(h *history.History) { unsaid(h, answerTo("events-2")) }},
		{"an answer comes late", "A9", "get-5 had no answer", func(h *history.History) { message(h, history.MessageAnswer, "get-5", 0).At += 7 * second }},
		{"an answer comes late while the agent is frozen", "", "", func(h *history.History) {
			strike(h, "pause-agent", 72*second, 75*second, true, 0, "agent-1")
			message(h, history.MessageAnswer, "get-5", 0).At += 7 * second
		}},
		{"an answer comes late while servers are away", "A9", "get-5 had no answer", func(h *history.History) {
			strike(h, "isolate-all", 70*second, 80*second, false, 1, "server-1")
			message(h, history.MessageAnswer, "get-5", 0).At += 7 * second
		}},
		{"an answer is lost with the agent", "", "", func(h *history.History) {
			strike(h, "kill-agent", 72*second, 73*second, true, 0, "agent-1")
			unsaid(h, answerTo("get-5"))
		}},
		{"an answer is lost when another agent is killed", "A9", "get-5 had no answer", func(h *history.History) {
			strike(h, "kill-agent", 72*second, 73*second, true, 0, "agent-2")
			unsaid(h, answerTo("get-5"))
		}},
		{"the process is killed before the answer", "", "", func(h *history.History) {
			without(h, 7, 73*second)
			unsaid(h, func(m *history.Message) bool { return m.At > 720*second/10 })
			strike(h, "kill-workload", 73*second, 73*second+10, true, 0, "agent-1", "asker-0")
			runs(h, "asker-0", "a", "agent-1", 8, 74*second, 89*second, false)
		}},
		{"an answer comes twice", "A9", "get-1 was answered 2 times", again("get-1", 0)},
		{"an update is answered twice", "A9", "set-2 was answered 2 times", again("set-2", 0)},
		{"what was not asked is answered", "A9", "nobody had asked for", func(h *history.History) { message(h, history.MessageAnswer, "get-1", 0).Request = "get-9" }},
		{"what was not sent is answered", "A9", "never sent", func(h *history.History) {
			again("get-3", 0)(h)
			h.Messages[len(h.Messages)-1].Request = "get-2"
		}},
		{"what is allowed is denied", "A9", "get-1 was refused", func(h *history.History) {
			m := message(h, history.MessageAnswer, "get-1", 0)
			m.Outcome, m.Error, m.Found = history.Refused, "Access denied", nil
		}},
		{"what is allowed is denied to whom nobody wants any more", "", "", func(h *history.History) {
			m := message(h, history.MessageAnswer, "get-5", 0)
			m.Outcome, m.Error = history.Refused, "Access denied"
			everywhere(h, func(r *history.Replica) {
				r.Entries = append(r.Entries, history.Entry{Index: 45, Term: 2, Sum: "gone", Requests: []string{"r2"}, Deleted: []string{"asker-0"}})
				r.Objects = r.Objects[1:]
			})
			h.Operations = append(h.Operations, history.Operation{
				Client: "asker-placer-0", N: 2, Action: history.Delete, Request: "r2", Objects: []string{"asker-0"}, Call: 720*second/10 - 1, Return: 721 * second / 10,
				Outcome: history.Done, Revision: 45, Term: 2,
			})
			without(h, 7, 73*second)
		}},
		{"there is no room", "", "", func(h *history.History) {
			m := message(h, history.MessageAnswer, "get-5", 0)
			m.Outcome, m.Error = history.Refused, "Update rejected: 'no space'"
			strike(h, "fill-disk", 70*second, 73*second, true, 1, "server-1")
		}},
		// The connection.
		{"the agent closes the connection", "A9", "closed its connection", func(h *history.History) { message(h, history.MessageAccepted, "", 1).What = history.MessageClosed }},
		{"the agent lets go of its pipe", "A9", "let go of its pipe", func(h *history.History) {
			h.Messages = append(h.Messages, history.Message{Workload: "asker-0", Value: "a", Agent: "agent-1", PID: 7, N: 90, At: 60 * second, What: history.MessageEnd})
		}},
		{"a Hello has no answer", "A9", "Hello had no answer", func(h *history.History) {
			n := 0
			unsaid(h, func(m *history.Message) bool {
				n++
				return m.What == history.MessageAccepted && n < 5
			})
		}},
		{"a Hello is answered twice", "A9", "without a Hello", func(h *history.History) {
			m := *message(h, history.MessageAccepted, "", 1)
			m.N, m.At = 100, m.At+50*second
			h.Messages = append(h.Messages, m)
		}},
		{"an agent answers a Hello that the one before it left, too", "", "", func(h *history.History) {
			m := *message(h, history.MessageAccepted, "", 1)
			m.At++
			h.Messages = append(h.Messages, m)
			m = *message(h, history.MessageHello, "", 1)
			m.At = 300*second/10 - 1
			h.Messages = append(h.Messages, m)
		}},
		// What is acknowledged.
		{"an acknowledged update is lost", "A9", "v-2 was acknowledged, and no log has it", func(h *history.History) {
			lose(h, "v-2")
			h.Messages = slices.Delete(h.Messages, eventAt(h, "v-2"), eventAt(h, "v-2")+1)
		}},
		{"one of unknown fate was not carried out", "", "", func(h *history.History) {
			lose(h, "v-3")
			found("get-3", 0, "v-2")(h)
			found("events-2", 0, "v-2")(h)
		}},
		{"one that was refused was carried out", "S2", "", func(h *history.History) {
			m := message(h, history.MessageAnswer, "set-2", 0)
			m.Outcome, m.Error = history.Refused, "Update rejected: 'there is no such workload'"
		}},
		{"two were carried out in another order", "S5", "", func(h *history.History) {
			everywhere(h, func(r *history.Replica) {
				r.Entries[1].Put[0].Value, r.Entries[2].Put[0].Value = "v-2", "v-1"
			})
		}},
		// What is read.
		{"a read is older than what was acknowledged", "S4", "", found("get-3", 0, "v-1")},
		{"a read is older than what it had asked for before", "A9", "revision 40 was acknowledged", found("get-4", 0, "v-3")},
		{"a subscription begins with what is older", "S4", "", found("events-2", 0, "v-1")},
		{"nothing is read that was there", "S4", "", func(h *history.History) { message(h, history.MessageAnswer, "get-3", 0).Found = nil }},
		{"a read shows what nobody has written", "S11", "", found("get-3", 0, "v-9")},
		{"a read shows what was asked for later", "S4", "", found("get-1", 0, "v-2")},
		{"a client reads what was never written there", "S11", "", func(h *history.History) {
			h.Operations = append(h.Operations, history.Operation{
				Client: "reader-0", N: 1, Action: history.Get, Objects: []string{asked}, Call: 45 * second, Return: 46 * second, Outcome: history.Done, Revision: 42,
				Found: []history.Object{{Name: asked, Value: "v-9", Revision: 40, Created: 10}},
			})
		}},
		{"a client reads what was written there", "", "", func(h *history.History) {
			h.Operations = append(h.Operations, history.Operation{
				Client: "reader-0", N: 1, Action: history.Get, Objects: []string{asked}, Call: 45 * second, Return: 46 * second, Outcome: history.Done, Revision: 42,
				Found: []history.Object{{Name: asked, Value: "v-4", Revision: 40, Created: 10}},
			})
		}},
		{"a client reads what is older than what an asker was acknowledged", "S4", "", func(h *history.History) {
			h.Operations = append(h.Operations, history.Operation{
				Client: "reader-0", N: 1, Action: history.Get, Objects: []string{asked}, Call: 45 * second, Return: 46 * second, Outcome: history.Done, Revision: 32,
				Found: []history.Object{{Name: asked, Value: "v-3", Revision: 30, Created: 10}},
			})
		}},
		// Events.
		{"an event is lost", "A9", "not told of config-asker-0=v-4", func(h *history.History) {
			h.Messages = slices.Delete(h.Messages, eventAt(h, "v-4"), eventAt(h, "v-4")+1)
		}},
		{"an event comes late", "A9", "not told of config-asker-0=v-4", func(h *history.History) { h.Messages[eventAt(h, "v-4")].At += 20 * second }},
		{"an event comes late for a fault", "", "", func(h *history.History) {
			strike(h, "halves", 41*second, 50*second, true, 1, "server-1")
			h.Messages[eventAt(h, "v-4")].At += 20 * second
		}},
		{"an event is lost with the agent", "", "", func(h *history.History) {
			h.Messages = slices.Delete(h.Messages, eventAt(h, "v-2"), eventAt(h, "v-2")+1)
		}},
		{"an event is told twice", "A9", "told twice", again("events-2", 1)},
		{"events go back", "A9", "after what was written at 40", func(h *history.History) {
			again("events-2", 1)(h)
			h.Messages[len(h.Messages)-1].Found = []history.Object{{Name: asked, Value: "v-2"}}
		}},
		{"an event tells what nobody has written", "A9", "which nobody has written", found("events-2", 1, "v-9")},
		{"an event tells that what is there is gone", "A9", "is gone", func(h *history.History) { h.Messages[eventAt(h, "v-4")].Found = nil }},
		{"an event tells nothing", "A9", "which it was told before", func(h *history.History) { h.Messages[eventAt(h, "v-4")].Altered = nil }},
		{"an event comes after the end", "A9", "after its subscription had ended", func(h *history.History) {
			again("events-2", 1)(h)
			m := &h.Messages[len(h.Messages)-1]
			m.At = 71 * second
		}},
		{"a subscription breaks off", "A9", "subscription ended", func(h *history.History) {
			m := &h.Messages[eventAt(h, "v-4")]
			m.Outcome, m.Error, m.Found, m.Altered = history.Unknown, "control side not reachable", nil, nil
		}},
		// Logs.
		{"a line is missing", "A7", "a gap", func(h *history.History) { message(h, history.MessageAnswer, "log-2", 3).Shown[0].From = 23 }},
		{"a line comes twice", "A7", "which is not their order", func(h *history.History) { message(h, history.MessageAnswer, "log-2", 3).Shown[0].From = 21 }},
		{"a log begins late", "A7", "began with line 3", func(h *history.History) { message(h, history.MessageAnswer, "log-1", 1).Shown[0].From = 3 }},
		{"a line is shown that nobody has printed", "A7", "nobody has printed", func(h *history.History) {
			message(h, history.MessageAnswer, "log-2", 3).Shown[0] = history.Shown{Foreign: "hello"}
		}},
		{"a log breaks off and says why", "", "", func(h *history.History) {
			m := message(h, history.MessageAnswer, "log-2", 3)
			m.Shown[0], m.Ends = history.Shown{Foreign: "The log ended: no server answered"}, true
		}},
		{"a log goes on after its end", "A9", "after that had ended", func(h *history.History) { message(h, history.MessageAnswer, "log-2", 2).Ends = true }},
		{"a log goes on when nobody wants it any more", "A9", "after that had ended", func(h *history.History) {
			message(h, history.MessageAnswer, "log-2", 3).At += second
		}},
		{"nothing more is shown of a log", "A7", "shown nothing after line 23", func(h *history.History) {
			for i := range h.Beats {
				h.Beats[i].Lines = int64(i) / 20
			}
			message(h, history.MessageAsked, "log-2", 1).At += 20 * second
			message(h, history.MessageAnswer, "log-2", 4).At += 20 * second
		}},
		{"the messages that were promised are missing", Trial, "", func(h *history.History) {
			h.Meta.Promised, h.Messages = []string{history.KindMessages}, nil
			everywhere(h, func(r *history.Replica) { r.Entries, r.Objects = r.Entries[:1], r.Objects[:1] })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := interviewed()
			tc.spoil(h)
			slices.SortStableFunc(h.Messages, func(x, y history.Message) int { return int(x.At - y.At) })
			for i := range h.Messages {
				h.Messages[i].N = int64(i + 1)
			}
			before := len(h.Operations)
			v := Judge(h)
			var others []string
			for name, r := range v.Results {
				for _, violation := range r.Violations {
					others = append(others, name+": "+violation.What+"\n\t"+strings.Join(violation.Evidence, "\n\t"))
				}
			}
			switch {
			case tc.by == "" && !v.Held():
				t.Errorf("unjudged %v, found:\n%s", v.Unjudged, strings.Join(others, "\n"))
			case tc.by != "" && tc.by != Trial && !says(v.Results[tc.by], tc.says), tc.by == Trial && v.Unjudged[Trial] == "":
				t.Errorf("%s has found nothing; unjudged %v, found:\n%s", tc.by, v.Unjudged, strings.Join(others, "\n"))
			}
			if len(h.Operations) != before {
				t.Error("the history was changed")
			}
			if testing.Verbose() {
				t.Log(strings.Join(others, "\n"))
			}
		})
	}
}

// says tells whether a violation was found that says so.
func says(r Result, text string) bool {
	return slices.ContainsFunc(r.Violations, func(v Violation) bool { return strings.Contains(v.What, text) })
}

// eventAt is the place of the event that told of a value.
func eventAt(h *history.History, value string) int {
	return slices.IndexFunc(h.Messages, func(m history.Message) bool {
		return len(m.Altered) > 0 && len(m.Found) > 0 && m.Found[0].Value == value
	})
}
