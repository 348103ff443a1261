package check

import (
	"cmp"
	"fmt"
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
	// beginning of a subscription is, too; nil for the end of one.
	operation *history.Operation
}

// first is the first answer, nil for none.
func (r *request) first() *history.Message {
	if len(r.answers) == 0 {
		return nil
	}
	return r.answers[0]
}

// gatherMessages works out what askers have asked for, and takes their reads and writes
// for ordinary operations, by which the other checkers judge them, too. The history stays
// as it is.
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
	for _, p := range a.askers {
		for i, r := range p.requests {
			if r.asked.Action != history.Unsubscribe {
				merged.Operations = append(merged.Operations, p.operation(i, r))
			}
		}
	}
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
			if r.asked.Action != history.Unsubscribe {
				r.operation = at[place{p.name(), int64(i + 1)}]
			}
		}
	}
}

// pair brings requests and their answers together.
func (a *account) pair(p *asker, latest map[string]*request) {
	for _, m := range p.messages {
		key := m.Workload + " " + m.Request
		if m.Action == history.Unsubscribe {
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
		parts = append(parts, m.Error)
		parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
		all = append(all, strings.Join(parts, " "))
	}
	return all
}
