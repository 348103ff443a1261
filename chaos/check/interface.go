package check

import (
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

const (
	// answerLimit is how long a request by a control interface may stay without an answer,
	// whatever the servers do: agents give up after 4 s (control.Config.RequestTimeout).
	answerLimit = 6 * time.Second
	// greetLimit is the same of a Hello, for which nobody else is asked.
	greetLimit = 2 * time.Second
	// returnLimit is how long an agent that was started again may take to serve the pipes
	// that it finds. None was seen that took a fifth of that.
	returnLimit = 2 * time.Second
	// eventLimit is how long an event may take while nothing is wrong: an agent that hears
	// nothing looks after 10 s whether its server is still there (asks.Config.CheckEvery).
	eventLimit = 15 * time.Second
)

// asking judges A9: an agent answers each request of its workloads once, in time, and goes
// on with their sessions, whatever becomes of servers and networks; what it acknowledges
// is in the log, what it shows is not older than what was acknowledged, and events tell
// of the versions of an object in their order. Only an agent that is killed may leave what
// is under way without an answer, and ends subscriptions; but no session.
func asking(a *account) Result {
	f := find("A9")
	printers := map[printer]*life{}
	if len(a.askers) > 0 {
		printers = a.printers()
	}
	for _, p := range a.askers {
		i := &interview{account: a, findings: f, asker: p, until: a.curtain()}
		last := p.messages[len(p.messages)-1].At
		if l := printers[printer{p.workload, p.value, p.agent, p.pid}]; l != nil {
			last = max(last, l.last)
		}
		i.until = min(i.until, last)
		if _, to, _, known := a.wanted(p.workload, p.value); known && to > 0 {
			i.until = min(i.until, to)
		}
		i.judge()
	}
	for _, m := range a.strays {
		f.add(m.At, a.tellMessages(m), "%s was answered what nobody had asked for", m.Workload)
	}
	if !a.whole && a.unsolved > 0 && len(a.askers) > 0 {
		f.cannot("no log was read from its first entry on: the fate of %d writes is not known, and %d objects were not judged", a.unsolved, len(a.doubtful))
	}
	return f.result
}

// interview is what passed between an asker and its agent.
type interview struct {
	*account
	*findings
	*asker
	// until is when it may have ended: the process, or its being wanted, or the trial.
	until history.Micros
}

func (i *interview) wrong(at history.Micros, messages []*history.Message, format string, args ...any) {
	evidence := i.tellMessages(messages...)
	for n := range i.h.Faults {
		if fault := &i.h.Faults[n]; done(fault) && fault.Begun <= at && i.endOf(fault).Add(settling) >= at.Add(-answerLimit) {
			evidence = append(evidence, i.describeFault(fault))
		}
	}
	i.add(at, evidence, i.name()+": "+format, args...)
}

func (i *interview) judge() {
	i.connection()
	var newest *request
	var floor uint64
	for _, r := range i.requests {
		i.result.Checked++
		i.answered(r)
		if r.asked.Action == history.Follow && r.first() != nil {
			i.shown(r)
		}
		if o := r.operation; o == nil || i.doubtful[o.Objects[0]] {
			continue
		}
		switch {
		case r.asked.Action == history.Apply:
			if revision := i.acknowledgedAt(r); revision > floor {
				newest, floor = r, revision
			}
		case r.operation.Outcome == history.Done:
			// What was asked for before was carried out before.
			if revision := revisionFound(r.operation); revision < floor {
				i.wrong(r.first().At, []*history.Message{newest.asked, newest.first(), r.asked, r.first()}, "it was shown %s, and revision %d was acknowledged that it had asked for before",
					describeObjects(r.operation.Found), floor)
			}
			if r.asked.Action == history.Subscribe {
				i.told(r)
			}
		}
	}
}

// revisionFound is the revision of what a read of one object found, 0 for nothing.
func revisionFound(o *history.Operation) uint64 {
	if len(o.Found) == 0 {
		return 0
	}
	return o.Found[0].Revision
}

// acknowledgedAt is the revision of an update that was acknowledged, which must be in the
// log.
func (i *interview) acknowledgedAt(r *request) uint64 {
	o := r.operation
	if o.Outcome != history.Done {
		return 0
	}
	if o.Revision == 0 && i.whole {
		i.wrong(o.Return, []*history.Message{r.asked, r.first()}, "%s=%s was acknowledged, and no log has it", o.Objects[0], o.Values[0])
	}
	return o.Revision
}

// gone tells whether the agent was killed, and may not have been back, between two times.
func (i *interview) gone(from, to history.Micros) bool {
	for fault := range i.strikes(goneKinds, i.agent) {
		if back := i.endOf(fault); fault.Begun <= to && back.Add(i.patient(returnLimit)+i.stalled(back, to)) >= from {
			return true
		}
	}
	return false
}

// due is when something has to be there that may take so long: later when the agent or the
// asker was kept from working.
func (i *interview) due(from history.Micros, limit time.Duration) history.Micros {
	due := from.Add(i.patient(limit))
	for fault := range i.strikes(slowKinds, i.agent) {
		if fault.Begun <= due && i.endOf(fault) >= from {
			due = due.Add(i.endOf(fault).Sub(max(from, fault.Begun)))
		}
	}
	return due.Add(i.stalled(from, due))
}

// connection judges the session: it is there once it was accepted, until the agent is
// killed, which is all that may end the pipe.
func (i *interview) connection() {
	var hello *history.Message
	// A Hello that an agent did not come to read is answered by the next.
	open := 0
	accept := func(by history.Micros) {
		if hello != nil {
			if due := i.due(hello.At, greetLimit); by > due && !i.gone(hello.At, due) {
				i.wrong(by, []*history.Message{hello}, "its Hello had no answer for %v", by.Sub(hello.At))
			}
		}
		hello = nil
	}
	for _, m := range i.messages {
		if m.At > i.until {
			break
		}
		switch m.What {
		case history.MessageHello:
			i.result.Checked++
			accept(m.At)
			hello = m
			open++
		case history.MessageAccepted:
			if open--; open < 0 {
				i.wrong(m.At, []*history.Message{m}, "it was accepted without a Hello")
				open = 0
			}
			accept(m.At)
		case history.MessageClosed:
			i.wrong(m.At, []*history.Message{m}, "the agent has closed its connection: %s", m.Error)
			hello = nil
		case history.MessageEnd:
			if !i.gone(m.At, m.At) {
				i.wrong(m.At, []*history.Message{m}, "the agent was there, and has let go of its pipe")
			}
		}
	}
	accept(i.until)
}

// answered judges whether a request was answered once, and in time, and not refused what
// is allowed.
func (i *interview) answered(r *request) {
	first, due := r.first(), i.due(r.asked.At, answerLimit)
	evidence := append([]*history.Message{r.asked}, r.answers...)
	switch {
	case r.unsent != nil && first != nil:
		i.wrong(first.At, append(evidence, r.unsent), "request %s was answered, and was never sent", r.asked.Request)
		return
	case r.unsent != nil:
		return
	case !r.goesOn() && len(r.answers) > 1:
		i.wrong(r.answers[1].At, evidence, "request %s was answered %d times", r.asked.Request, len(r.answers))
	case (first == nil || first.At > due) && due <= i.until && !i.gone(r.asked.At, due) && !i.greeted(r.asked.At, due):
		i.wrong(due, evidence[:min(2, len(evidence))], "request %s had no answer after %v", r.asked.Request, due.Sub(r.asked.At))
	}
	if first != nil && first.Outcome == history.Refused && first.At <= i.until && !i.full(r.asked.At, first.At) {
		i.wrong(first.At, evidence[:2], "request %s was refused, which is allowed and can be done: %s", r.asked.Request, first.Error)
	}
}

// greeted tells whether a Hello came between two times: what is under way then may be
// without an answer.
func (i *interview) greeted(from, to history.Micros) bool {
	return slices.ContainsFunc(i.messages, func(m *history.Message) bool {
		return m.What == history.MessageHello && m.At >= from && m.At <= to
	})
}

// full tells whether a disk was, for which a change may be refused.
func (i *interview) full(from, to history.Micros) bool {
	return slices.ContainsFunc(i.h.Faults, func(fault history.Fault) bool {
		return done(&fault) && slices.Contains(fullKinds, fault.Kind) && fault.Begun <= to && i.endOf(&fault).Add(i.patient(settling)) >= from
	})
}

// shown judges when the lines of a log come; what they are is judged as that of any
// follower.
func (i *interview) shown(r *request) {
	end := i.lasts(r)
	over := r.first()
	for n, m := range r.answers {
		i.result.Checked++
		if m.At > end.at && end.certain || n > 0 && (over.Ends || over.Outcome != history.Done) {
			i.wrong(m.At, []*history.Message{r.asked, over, m}, "it was shown more of its log after that had ended")
			return
		}
		over = m
	}
}

// told judges the events of a subscription.
func (i *interview) told(r *request) {
	end := i.lasts(r)
	at, last := revisionFound(r.operation), r.first()
	wrong := func(m *history.Message, format string, args ...any) {
		i.wrong(m.At, []*history.Message{r.asked, last, m}, format, args...)
	}
	for _, m := range r.answers[1:] {
		i.result.Checked++
		switch {
		case m.At > end.at && end.certain:
			wrong(m, "it was told of an event after its subscription had ended")
			return
		case m.Outcome != history.Done:
			if m.At <= i.until && !i.gone(m.At, m.At) {
				wrong(m, "its subscription ended: %s", m.Error)
			}
			i.overdue(r, last, at, m.At)
			return
		case len(m.Altered)+len(m.Removed) == 0:
			wrong(m, "it was told of the state as it is, which it was told before")
		}
		i.overdue(r, last, at, min(m.At, end.at))
		if len(m.Found) == 0 {
			wrong(m, "it was told that %s is gone, which nobody has deleted", r.asked.Object)
			last = m
			continue
		}
		switch revision := i.revisionOf(m.Found[0]); {
		case revision == 0:
			wrong(m, "it was told of %s=%s, which nobody has written", r.asked.Object, m.Found[0].Value)
		case revision == at:
			wrong(m, "it was told twice of %s=%s", r.asked.Object, m.Found[0].Value)
		case revision < at:
			wrong(m, "it was told of %s=%s of revision %d after what was written at %d", r.asked.Object, m.Found[0].Value, revision, at)
		default:
			at = revision
		}
		last = m
	}
	i.overdue(r, last, at, end.at)
}

// ceasing is when a subscription or the following of a log ended; certain when nothing
// may come any more.
type ceasing struct {
	at      history.Micros
	certain bool
}

// lasts returns the end of what goes on: by its asker, by the next Hello, or by the end of
// the agent.
func (i *interview) lasts(r *request) ceasing {
	end := ceasing{at: i.until}
	for fault := range i.strikes(goneKinds, i.agent) {
		if fault.Begun > r.first().At {
			end.at = min(end.at, fault.Begun)
		}
	}
	for _, m := range i.messages {
		if m.What == history.MessageHello && m.At > r.asked.At && m.At < end.at {
			end.at = m.At
		}
	}
	for _, other := range i.requests {
		if !other.ends(r) {
			continue
		}
		if accepted := other.first(); accepted != nil && accepted.At < end.at {
			return ceasing{accepted.At, true}
		}
		end.at = min(end.at, other.asked.At)
	}
	return end
}

// overdue finds a version that was not told of, though there was time enough.
func (i *interview) overdue(r *request, last *history.Message, told uint64, at history.Micros) {
	for _, v := range i.versions[r.asked.Object] {
		if v.revision <= told {
			continue
		}
		known := max(i.since(v.revision), last.At)
		if known >= at {
			return
		}
		calm := i.calmSince(known, at)
		if waited := at.Sub(calm); waited > i.patient(eventLimit)+i.stalled(calm, at) {
			i.wrong(at, []*history.Message{r.asked, last}, "it was not told of %s=%s of revision %d for %v", r.asked.Object, v.value, v.revision, waited)
		}
		return
	}
}
