package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// outageLimit is for how long writes may not be acknowledged because of one fault
// that leaves a majority well. It is far above what a fail-over takes: what is
// longer does not come to an end by itself.
const outageLimit = 5 * time.Second

// outages judges L1: while a majority of the servers is up, in time and connected,
// writes are acknowledged, but for a moment after each fault.
func outages(a *account) Result {
	f := find("L1")
	var at []history.Micros
	for _, w := range a.inOrder {
		if w.answered > 0 {
			at = append(at, w.answered)
		}
	}
	slices.Sort(at)
	if len(at) < 2 {
		return f.result
	}
	f.result.Checked = int64(len(at))
	if quiet := a.h.Meta.Quiet; quiet > at[len(at)-1] {
		// Nothing was acknowledged any more, and something should have been.
		at = append(at, quiet)
	}
	between := make([]time.Duration, 0, len(at))
	for i := 1; i < len(at); i++ {
		between = append(between, at[i].Sub(at[i-1]))
	}
	usual := slices.Sorted(slices.Values(between))[len(between)/2]
	for i := 1; i < len(at); i++ {
		if between[i-1] > a.patient(outageLimit) {
			a.outage(f, at[i-1], at[i], usual)
		}
	}
	return f.result
}

// outage judges a long time without an acknowledged write.
func (a *account) outage(f *findings, from, to history.Micros, usual time.Duration) {
	limit := max(a.patient(outageLimit), 20*usual)
	var during []string
	for i := range a.h.Faults {
		fault := &a.h.Faults[i]
		if !done(fault) || fault.Begun > to || a.endOf(fault) < from {
			continue
		}
		during = append(during, a.describeFault(fault))
		if !fault.Quorum {
			// There need not be any service before it is healed.
			from = max(from, a.endOf(fault))
			continue
		}
		limit += a.patient(outageLimit)
		if slices.Contains(clientKinds, fault.Kind) {
			// Clients may have been on the wrong side.
			from = max(from, a.endOf(fault))
		}
	}
	asked, ok := a.demand(from, to)
	if !ok {
		return
	}
	from = asked
	if length := to.Sub(from); length > limit+a.stalled(from, to) {
		if len(during) == 0 {
			during = []string{"no fault was in effect"}
		}
		f.add(from, during, "no write was acknowledged for %v from %s on, though a majority was well", length, a.when(from))
	}
}

// demand returns from when on, between two times, somebody waited for a write who
// was free to ask any server, or asked one that no fault had struck. Who asks only
// a server that is down shows nothing.
func (a *account) demand(from, to history.Micros) (since history.Micros, ok bool) {
	for i := range a.h.Operations {
		o := &a.h.Operations[i]
		if o.Call >= to {
			break
		}
		if !isWrite(o) || o.Return <= from || o.Return < to && o.Outcome == history.Done || o.Server != "" && a.struck(o.Server, o.Call, o.Return) {
			continue
		}
		if asked := max(o.Call, from); !ok || asked < since {
			since, ok = asked, true
		}
	}
	return since, ok
}

func (a *account) struck(server string, from, to history.Micros) bool {
	return slices.ContainsFunc(a.h.Faults, func(fault history.Fault) bool {
		return done(&fault) && slices.Contains(fault.Targets, server) && fault.Begun <= to && a.endOf(&fault).Add(a.patient(settling)) >= from
	})
}

func (a *account) describeFault(fault *history.Fault) string {
	text := fmt.Sprintf("%s to %s: step %d, %s of %s", a.when(fault.Begun), a.when(a.endOf(fault)), fault.Step, fault.Kind, strings.Join(fault.Targets, ", "))
	if !fault.Quorum {
		text += " (no quorum)"
	}
	if fault.Detail != "" {
		text += ": " + fault.Detail
	}
	return text
}

// episode is a time in which faults were in effect, or could still be felt.
type episode struct {
	from, to history.Micros
	changes  int
	faults   []*history.Fault
	led      []history.Leadership
}

// flapping judges L2: leaders change because of faults, and not more often than
// those may cost; never while nothing is wrong. A server that the machine did not
// run is a reason, too, and no fault of the plan.
func flapping(a *account) Result {
	f := find("L2")
	if cores := a.h.Meta.Cores; !a.watched() && !a.h.Meta.Simulated && cores > 0 && a.h.Meta.Load > 2*float64(cores) {
		// Nobody knows whom it did not run.
		return f.result
	}
	var episodes []*episode
	for i := range a.h.Faults {
		fault := &a.h.Faults[i]
		if !done(fault) {
			continue
		}
		to := a.endOf(fault).Add(a.patient(settling))
		if n := len(episodes); n > 0 && fault.Begun <= episodes[n-1].to {
			e := episodes[n-1]
			e.to, e.changes, e.faults = max(e.to, to), e.changes+fault.Changes, append(e.faults, fault)
			continue
		}
		episodes = append(episodes, &episode{from: fault.Begun, to: to, changes: fault.Changes, faults: []*history.Fault{fault}})
	}
	first, curtain := true, a.curtain()
	for _, l := range a.h.Leaderships {
		// The first one is the beginning.
		if !l.Gained || first {
			first = first && !l.Gained
			continue
		}
		f.result.Checked++
		at, found := slices.BinarySearchFunc(episodes, l.At, func(e *episode, at history.Micros) int { return cmp.Compare(e.from, at) })
		if !found {
			at--
		}
		switch {
		case a.starting(l.At) || a.apart(curtain, l.At) || a.faltered(l.At):
		case at >= 0 && l.At <= episodes[at].to:
			episodes[at].led = append(episodes[at].led, l)
		default:
			f.add(l.At, a.tellLeaderships(l), "%s began to lead in term %d though nothing was wrong", l.Server, l.Term)
		}
	}
	for _, e := range episodes {
		if len(e.led) <= e.changes {
			continue
		}
		var evidence []string
		for _, fault := range e.faults {
			evidence = append(evidence, a.describeFault(fault))
		}
		f.add(e.from, append(evidence, a.tellLeaderships(e.led...)...), "%d faults may have cost %d changes of leader, there were %d", len(e.faults), e.changes, len(e.led))
	}
	return f.result
}

// starting tells whether it was before the first operation: the cluster was still
// founded then.
func (a *account) starting(at history.Micros) bool {
	return len(a.h.Operations) > 0 && at < a.h.Operations[0].Call
}

func (a *account) tellLeaderships(led ...history.Leadership) []string {
	var all []string
	for _, l := range led {
		all = append(all, fmt.Sprintf("%s: %s leads in term %d", a.when(l.At), l.Server, l.Term))
	}
	return all
}
