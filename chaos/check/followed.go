package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// followLimit is how long a line may take to who follows a log while nothing is
// wrong, and the word that there will be none.
const followLimit = 10 * time.Second

// followed judges A7: who follows a log is shown what was printed from where he
// began, each line once and in order, until he is told that the log ended or why
// he is shown no more. Nothing is promised of what comes after such a word: who
// asks again begins again.
func followed(a *account) Result {
	f := find("A7")
	type key struct {
		follower, workload, instance, agent string
		stream                              int64
	}
	all := map[key]*reading{}
	var inOrder []*reading
	var nothing []*history.LogRun
	for i := range a.h.LogRuns {
		run := &a.h.LogRuns[i]
		if run.Nothing {
			nothing = append(nothing, run)
			continue
		}
		k := key{run.Follower, run.Workload, run.Instance, run.Agent, run.Stream}
		if all[k] == nil {
			all[k] = &reading{account: a, findings: f, seen: map[printer]bool{}}
			inOrder = append(inOrder, all[k])
		}
		all[k].runs = append(all[k].runs, run)
	}
	if len(a.h.LogRuns) == 0 {
		return f.result
	}
	printers := a.printers()
	for _, run := range nothing {
		f.result.Checked++
		(&reading{account: a, findings: f, printers: printers}).shownNothing(run)
	}
	for _, r := range inOrder {
		r.printers = printers
		r.judge()
	}
	return f.result
}

// printer is a process that prints.
type printer struct {
	workload, value, agent string
	pid                    int
}

// printers returns the processes that gave signs of life.
func (a *account) printers() map[printer]*life {
	all := map[printer]*life{}
	byWorkload, _ := a.lives()
	for _, lives := range byWorkload {
		for _, l := range lives {
			all[printer{l.workload, l.value, l.agent, l.pid}] = l
		}
	}
	return all
}

func printerOf(run *history.LogRun) printer {
	return printer{run.Workload, run.Value, run.Agent, run.PID}
}

// reading is what one call was shown of the log of one instance.
type reading struct {
	*account
	*findings
	printers map[printer]*life
	runs     []*history.LogRun
	// before is the run before this one, seen whose lines were shown.
	before *history.LogRun
	seen   map[printer]bool
}

func (r *reading) wrong(run *history.LogRun, format string, args ...any) {
	evidence := r.tellRuns(run)
	if r.before != nil && r.before != run {
		evidence = r.tellRuns(r.before, run)
	}
	if l := r.printers[printerOf(run)]; l != nil {
		evidence = append(evidence, r.describeLife(l)+fmt.Sprintf(", %d lines", len(l.printed)))
	}
	for i := range r.h.Faults {
		if fault := &r.h.Faults[i]; done(fault) && fault.Begun <= run.Until && r.endOf(fault).Add(settling) >= run.First {
			evidence = append(evidence, r.describeFault(fault))
		}
	}
	r.add(run.First, evidence, run.Follower+" follows "+run.Workload+": "+format, args...)
}

func (r *reading) judge() {
	for _, run := range r.runs {
		if run.Foreign != "" {
			r.result.Checked++
			r.wrong(run, "it was shown %s, which nobody has printed", run.Foreign)
			continue
		}
		r.result.Checked += run.To - run.From + 1
		r.begin(run)
		switch {
		case run.Dropped:
			r.wrong(run, "the call ended after line %d without a word", run.To)
		case run.End && run.Why == "":
			r.ended(run)
		}
		r.before, r.seen[printerOf(run)] = run, true
	}
	if last := r.before; last != nil && !last.End && !last.Dropped && last.Why == "" {
		r.before = nil
		r.silent(last)
	}
}

// begin judges what a run begins with.
func (r *reading) begin(run *history.LogRun) {
	before := r.before
	switch {
	case before == nil:
		if run.All && run.From != 1 && !r.lostPower(run) {
			r.wrong(run, "it asked for the whole log, which began with line %d", run.From)
		}
	case before.End:
		r.wrong(run, "the log had ended, and went on with line %d", run.From)
	case printerOf(before) == printerOf(run) && run.From > before.To:
		r.wrong(run, "a gap: it was shown line %d, and then %d", before.To, run.From)
	case r.seen[printerOf(run)]:
		r.wrong(run, "it was shown line %d after line %d of process %d, which is not their order", run.From, before.To, before.PID)
	case run.From != 1:
		r.wrong(run, "a gap: the first line that it was shown of process %d is %d", run.PID, run.From)
	default:
		r.missing(before)
	}
}

// ended judges a run after which the log was said to have ended.
func (r *reading) ended(run *history.LogRun) {
	if l := r.printers[printerOf(run)]; l != nil && l.last > run.Until {
		r.wrong(run, "the log was said to have ended, and the process went on for %v", l.last.Sub(run.Until))
		return
	}
	r.missing(run)
}

// missing finds lines of a process that were printed and are not shown any more.
func (r *reading) missing(run *history.LogRun) {
	if l := r.printers[printerOf(run)]; l != nil && int(run.To) < len(l.printed) && !r.lostPower(run) {
		r.wrong(run, "a gap: process %d had printed %d lines, and the last that it was shown is %d", run.PID, len(l.printed), run.To)
	}
}

// silent judges a run that went on until the follower had seen enough.
func (r *reading) silent(run *history.LogRun) {
	l := r.printers[printerOf(run)]
	if l == nil {
		return
	}
	var due history.Micros
	switch next := int(run.To); {
	case next < len(l.printed):
		due = l.printed[next]
	case l.stopped:
		due = l.last
	default:
		return
	}
	if due > run.Until {
		return
	}
	calm := r.calmSince(due, run.Until)
	if waited := run.Until.Sub(calm); waited > r.patient(followLimit)+r.stalled(calm, run.Until) {
		r.wrong(run, "it was shown nothing after line %d, and not told why, for %v", run.To, waited)
	}
}

// shownNothing judges a call that was shown nothing of a workload: one that went on
// until the follower had seen enough, while a process of it ran all the time that
// had printed something.
func (r *reading) shownNothing(run *history.LogRun) {
	if run.Dropped {
		return
	}
	for _, l := range r.printers {
		if l.workload != run.Workload || len(l.printed) == 0 || l.start > run.First || l.last < run.Until {
			continue
		}
		calm := r.calmSince(max(run.First, l.printed[0]), run.Until)
		if waited := run.Until.Sub(calm); waited > r.patient(followLimit)+r.stalled(calm, run.Until) {
			r.wrong(run, "it was shown nothing of process %d, which had printed %d lines, and not told why, for %v", l.pid, len(l.printed), waited)
		}
	}
}

// lostPower tells whether what was printed may be lost with the power of its
// machine.
func (r *reading) lostPower(run *history.LogRun) bool {
	return slices.ContainsFunc(r.h.Faults, func(fault history.Fault) bool {
		return done(&fault) && fault.Kind == "power-agent" && slices.Contains(fault.Targets, run.Agent) && fault.Begun <= run.Until
	})
}

func (a *account) tellRuns(runs ...*history.LogRun) []string {
	var all []string
	for _, run := range runs {
		if run == nil {
			continue
		}
		text := fmt.Sprintf("%s to %s: call %d was shown lines %d to %d of process %d of %s=%s at %s",
			a.when(run.First), a.when(run.Last), run.Stream, run.From, run.To, run.PID, run.Workload, run.Value, run.Agent)
		switch {
		case run.Nothing:
			text = fmt.Sprintf("%s to %s: call %d was shown nothing of %s", a.when(run.First), a.when(run.Until), run.Stream, run.Workload)
		case run.Foreign != "":
			text = fmt.Sprintf("%s: call %d was shown %s of %s at %s", a.when(run.First), run.Stream, run.Foreign, run.Workload, run.Agent)
		case run.End:
			text += fmt.Sprintf("; %s: the log ended (%s)", a.when(run.Until), run.Why)
		case run.Why != "":
			text += fmt.Sprintf("; %s: %s", a.when(run.Until), run.Why)
		}
		all = append(all, text)
	}
	return all
}
