package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// life is one process of a workload, by the signs of life that it gave.
type life struct {
	workload, value, agent, instance string
	pid                              int
	start, last                      history.Micros
	// stopped tells that it was told to end, clash that it found another one.
	stopped, clash bool
	// pause is the longest time between two signs, after pausedAt.
	pause    time.Duration
	pausedAt history.Micros
	// printed are the times at which each line was certainly printed, the first
	// one first.
	printed []history.Micros
}

func (a *account) describeLife(l *life) string {
	end := "without a word"
	if l.stopped {
		end = "told to end"
	}
	return fmt.Sprintf("%s to %s (%s): process %d of %s=%s at %s", a.when(l.start), a.when(l.last), end, l.pid, l.workload, l.value, l.agent)
}

func (a *account) tellLives(lives ...*life) []string {
	var all []string
	for _, l := range lives {
		all = append(all, a.describeLife(l))
	}
	return all
}

// lives returns the processes of each workload, by their starts.
func (a *account) lives() (byWorkload map[string][]*life, names []string) {
	type key struct {
		workload, value, agent string
		pid                    int
	}
	known := map[key]*life{}
	byWorkload = map[string][]*life{}
	for _, b := range a.h.Beats {
		k := key{b.Workload, b.Value, b.Agent, b.PID}
		l := known[k]
		if l == nil || b.What == history.BeatStart {
			l = &life{workload: b.Workload, value: b.Value, agent: b.Agent, instance: b.Instance, pid: b.PID, start: b.At, last: b.At}
			known[k] = l
			byWorkload[b.Workload] = append(byWorkload[b.Workload], l)
		}
		if gap := b.At.Sub(l.last); gap > l.pause {
			l.pause, l.pausedAt = gap, l.last
		}
		l.last = b.At
		for int64(len(l.printed)) < b.Lines {
			l.printed = append(l.printed, b.At)
		}
		l.stopped = l.stopped || b.What == history.BeatStop
		l.clash = l.clash || b.What == history.BeatClash
	}
	for name, lives := range byWorkload {
		slices.SortStableFunc(lives, func(x, y *life) int { return cmp.Compare(x.start, y.start) })
		names = append(names, name)
	}
	slices.Sort(names)
	return byWorkload, names
}

// curtain is the last moment at which the cluster was certainly left to itself:
// after it the trial takes everything apart.
func (a *account) curtain() history.Micros {
	var at history.Micros
	for i := range a.h.Operations {
		at = max(at, a.h.Operations[i].Return)
	}
	if n := len(a.h.Looks); n > 0 {
		at = max(at, a.h.Looks[n-1].At)
	}
	return at
}

// apart tells whether the trial may have been taking everything apart. The times
// in logs are not those of the history to the last digit.
func (a *account) apart(curtain, at history.Micros) bool {
	return at > curtain.Add(-a.patient(200*time.Millisecond))
}

// shortly is within what time an end is not told from a pause.
const shortly = 2 * time.Second

// endedBy tells whether a fault explains that a process ended, or that its
// workload had to be started once more.
func (a *account) endedBy(l *life) bool {
	return slices.ContainsFunc(a.h.Faults, func(fault history.Fault) bool {
		return done(&fault) && slices.Contains(workloadKinds, fault.Kind) && (slices.Contains(fault.Targets, l.workload) || fault.Kind != "kill-workload" && slices.Contains(fault.Targets, l.agent)) &&
			l.last >= fault.Begun.Add(-a.patient(shortly)) && l.last <= a.endOf(&fault).Add(a.patient(shortly))
	})
}

// wanted returns from when to when it may have been wanted that a value runs: from
// the first call of the write that set it to that of the write that replaced it. It
// is wanted to this day when the last is 0. It returns false when no write has set
// it, or nobody knows.
func (a *account) wanted(workload, value string) (from, to, replaced history.Micros, ok bool) {
	all := a.versions[workload]
	for i, v := range all {
		if v.gone || v.runs() != value {
			continue
		}
		if w := a.writerOf(workload, v.revision); w != nil {
			from = w.first
		}
		if i+1 < len(all) {
			w := a.writerOf(workload, all[i+1].revision)
			if w == nil {
				return 0, 0, 0, false
			}
			to, replaced = w.first, max(w.answered, w.first)
		}
		return from, to, replaced, true
	}
	return 0, 0, 0, false
}

// writerOf returns the first write of an entry that concerns an object, or, of a
// workload with templates, a config that it uses.
func (a *account) writerOf(name string, revision uint64) *write {
	e := a.entry(revision)
	if e == nil {
		return nil
	}
	for _, request := range e.Requests {
		if w := a.writes[request]; w != nil && slices.Contains(w.tries[0].Objects, name) {
			return w
		}
	}
	if all := a.rerenders(name, revision); len(all) > 0 {
		return all[0]
	}
	return nil
}
