package check

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// asker is one process that speaks to its agent by its control interface.
type asker struct {
	workload, instance, agent, value string
	pid                              int
	// messages in their order, requests as they were asked for.
	messages []*history.Message
	requests []*request
}

// request is what an asker has asked for, and what came of it.
type request struct {
	asked *history.Message
	// unsent is set when the agent never got it.
	unsent  *history.Message
	answers []*history.Message
	// operation is what it comes to, with the first answer: a write, or a read, which the
	// beginning of a subscription is, too; nil for everything else.
	operation *history.Operation
}

// first is the first answer, nil for none.
func (r *request) first() *history.Message {
	if len(r.answers) == 0 {
		return nil
	}
	return r.answers[0]
}

// operates tells whether a request comes to an operation.
func (r *request) operates() bool {
	return r.asked.Action == history.Apply || r.asked.Action == history.Get || r.asked.Action == history.Subscribe
}

// goesOn tells whether it may have any number of answers.
func (r *request) goesOn() bool {
	return r.asked.Action == history.Subscribe || r.asked.Action == history.Follow
}

// ends tells whether it asks for the end of what another request has begun.
func (r *request) ends(other *request) bool {
	return isEnd(r.asked) && r.asked.Request == other.asked.Request
}

func isEnd(m *history.Message) bool {
	return m.Action == history.Unsubscribe || m.Action == history.Unfollow
}

// gatherMessages works out what askers have asked for, and takes their reads and writes
// for ordinary operations, and what they were shown of their logs for that of any who
// follows one: the other checkers judge them, too. The history stays as it is.
func (a *account) gatherMessages() {
	if len(a.h.Messages) == 0 {
		return
	}
	type process struct {
		workload, value, agent string
		pid                    int
	}
	known := map[process]*asker{}
	for i := range a.h.Messages {
		m := &a.h.Messages[i]
		k := process{m.Workload, m.Value, m.Agent, m.PID}
		if known[k] == nil {
			known[k] = &asker{workload: m.Workload, instance: m.Instance, agent: m.Agent, value: m.Value, pid: m.PID}
			a.askers = append(a.askers, known[k])
		}
		known[k].messages = append(known[k].messages, m)
	}
	// What one asked for that was killed may be answered to the next.
	latest := map[string]*request{}
	for _, p := range a.askers {
		slices.SortStableFunc(p.messages, func(x, y *history.Message) int { return cmp.Compare(x.N, y.N) })
		a.pair(p, latest)
	}
	merged := *a.h
	merged.Operations = slices.Clone(a.h.Operations)
	merged.LogRuns = slices.Clone(a.h.LogRuns)
	for _, p := range a.askers {
		for i, r := range p.requests {
			if r.operates() {
				merged.Operations = append(merged.Operations, p.operation(i, r))
			}
			if r.asked.Action == history.Follow && r.first() != nil {
				merged.LogRuns = append(merged.LogRuns, a.logRuns(p, i, r)...)
			}
		}
	}
	slices.SortStableFunc(merged.LogRuns, func(x, y history.LogRun) int { return cmp.Compare(x.First, y.First) })
	slices.SortStableFunc(merged.Operations, func(x, y history.Operation) int { return cmp.Compare(x.Call, y.Call) })
	a.h = &merged
	type place struct {
		client string
		n      int64
	}
	at := map[place]*history.Operation{}
	for i := range merged.Operations {
		o := &merged.Operations[i]
		at[place{o.Client, o.N}] = o
	}
	for _, p := range a.askers {
		for i, r := range p.requests {
			if r.operates() {
				r.operation = at[place{p.name(), int64(i + 1)}]
			}
		}
	}
}

// pair brings requests and their answers together.
func (a *account) pair(p *asker, latest map[string]*request) {
	for _, m := range p.messages {
		key := m.Workload + " " + m.Request
		if isEnd(m) {
			key += " end"
		}
		switch m.What {
		case history.MessageAsked:
			r := &request{asked: m}
			latest[key] = r
			p.requests = append(p.requests, r)
		case history.MessageUnsent:
			// It follows what was asked for.
			if n := len(p.requests); n > 0 && p.requests[n-1].asked.Request == m.Request {
				p.requests[n-1].unsent = m
			}
		case history.MessageAnswer:
			if r := latest[key]; r != nil {
				r.answers = append(r.answers, m)
			} else {
				a.strays = append(a.strays, m)
			}
		}
	}
}

// name is that of an asker as a client.
func (p *asker) name() string { return fmt.Sprintf("%s(%d)", p.workload, p.pid) }

// operation is what a request comes to. What it found is added when it is known at which
// revision that was.
func (p *asker) operation(i int, r *request) history.Operation {
	o := history.Operation{
		Client: p.name(), N: int64(i + 1), Action: history.Get, Server: p.agent, Objects: []string{r.asked.Object},
		Call: r.asked.At, Return: r.asked.At, Outcome: history.Unknown,
	}
	if r.asked.Action == history.Apply {
		o.Action, o.Values = history.Apply, []string{r.asked.Sets}
	}
	if first := r.first(); first != nil {
		o.Return, o.Outcome, o.Error = first.At, first.Outcome, first.Error
	} else if r.unsent != nil {
		o.Return, o.Outcome, o.Error = r.unsent.At, history.Refused, r.unsent.Error
	}
	if o.Action == history.Get && o.Outcome != history.Done {
		// It has changed nothing.
		o.Outcome = history.Refused
	}
	return o
}

// logEnded begins the line that says why a log has ended: the protocol has nothing else
// to say it by.
const logEnded = "The log ended: "

// logRuns is what an asker was shown of its log.
func (a *account) logRuns(p *asker, i int, r *request) (all []history.LogRun) {
	of := history.LogRun{
		Follower: p.name(), Stream: int64(i + 1), All: true, Workload: p.workload, Instance: p.instance, Agent: p.agent,
	}
	var run *history.LogRun
	why := ""
	finish := func(at history.Micros) {
		if run != nil {
			run.Until = at
			all = append(all, *run)
			run = nil
		}
	}
	for _, m := range r.answers {
		for _, s := range m.Shown {
			if reason, ended := strings.CutPrefix(s.Foreign, logEnded); ended {
				why = reason
				continue
			}
			if run == nil || s.Foreign != "" || run.PID != s.PID || run.Value != s.Value || run.To+1 != s.From {
				finish(m.At)
				next := of
				next.First, next.Value, next.PID, next.From, next.Foreign = m.At, s.Value, s.PID, s.From, s.Foreign
				run = &next
			}
			run.To, run.Last = s.To, m.At
		}
		if m.Ends || m.Outcome != history.Done {
			if run != nil {
				run.End, run.Why = m.Ends, cmp.Or(why, m.Error)
			}
			finish(m.At)
			return all
		}
	}
	until := a.listened(p, r)
	if len(all) == 0 && run == nil {
		of.Nothing, of.First, of.Last = true, r.asked.At, until
		run = &of
	}
	finish(until)
	return all
}

// listened returns until when what went on could be told to an asker, as far as that can
// be seen there.
func (a *account) listened(p *asker, r *request) history.Micros {
	until := p.messages[len(p.messages)-1].At
	for fault := range a.strikes(goneKinds, p.agent) {
		if fault.Begun > r.first().At {
			until = min(until, fault.Begun)
		}
	}
	for _, m := range p.messages {
		if over := m.What == history.MessageHello || m.What == history.MessageEnd || isEnd(m) && m.Request == r.asked.Request; over && m.At > r.asked.At {
			until = min(until, m.At)
		}
	}
	return until
}

// strikes yields the faults of some kinds that struck somebody.
func (a *account) strikes(kinds []string, who string) iter.Seq[*history.Fault] {
	return func(yield func(*history.Fault) bool) {
		for i := range a.h.Faults {
			fault := &a.h.Faults[i]
			if done(fault) && slices.Contains(kinds, fault.Kind) && slices.Contains(fault.Targets, who) && !yield(fault) {
				return
			}
		}
	}
}

// valuesAsked are the writes of askers by what they set: the log does not tell of them by
// ids that they know.
func (a *account) valuesAsked() map[string]*write {
	all := map[string]*write{}
	for _, p := range a.askers {
		for _, r := range p.requests {
			if r.asked.Action == history.Apply {
				all[r.asked.Sets] = a.writes[keyOf(r.operation)]
			}
		}
	}
	return all
}

// placeFound adds to the reads of askers what they found, with the revisions that it has
// in the log.
func (a *account) placeFound() {
	for _, p := range a.askers {
		for _, r := range p.requests {
			if o := r.operation; o != nil && o.Action == history.Get && o.Outcome == history.Done {
				for _, found := range r.first().Found {
					found.Revision = a.revisionOf(found)
					o.Found = append(o.Found, found)
				}
			}
		}
	}
}

// revisionOf is the revision at which an object got a value, 0 when it never did.
func (a *account) revisionOf(o history.Object) uint64 {
	for _, v := range a.versions[o.Name] {
		if !v.gone && v.value == o.Value {
			return v.revision
		}
	}
	return 0
}

func (a *account) tellMessages(messages ...*history.Message) []string {
	var all []string
	for _, m := range messages {
		if m == nil {
			continue
		}
		parts := []string{fmt.Sprintf("%s: %s(%d) at %s #%d %s", a.when(m.At), m.Workload, m.PID, m.Agent, m.N, m.What), m.Request, string(m.Action)}
		if m.Sets != "" {
			parts = append(parts, m.Object+"="+m.Sets)
		}
		parts = append(parts, string(m.Outcome))
		for _, found := range m.Found {
			parts = append(parts, found.Name+"="+found.Value)
		}
		for _, path := range m.Altered {
			parts = append(parts, "altered "+path)
		}
		for _, path := range m.Removed {
			parts = append(parts, "removed "+path)
		}
		for _, s := range m.Shown {
			parts = append(parts, fmt.Sprintf("lines %d to %d of process %d%s", s.From, s.To, s.PID, s.Foreign))
		}
		if m.Ends {
			parts = append(parts, "ends")
		}
		parts = append(parts, m.Error)
		parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
		all = append(all, strings.Join(parts, " "))
	}
	return all
}
