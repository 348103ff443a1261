package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// together judges A1: of two processes of a workload one has ended before the
// other begins. A process that finds another one running says so itself.
func together(a *account) Result {
	f := find("A1")
	byWorkload, names := a.lives()
	for _, name := range names {
		var longest *life
		for _, l := range byWorkload[name] {
			f.result.Checked++
			if l.clash {
				f.add(l.start, append(a.tellLives(l), a.around(byWorkload[name], l.start)...), "a process of %s found another one of it running", name)
				continue
			}
			if longest != nil && l.start < longest.last {
				f.add(l.start, a.tellLives(longest, l), "two processes of %s ran at once, for %v", name, min(longest.last, l.last).Sub(l.start))
			}
			if longest == nil || l.last > longest.last {
				longest = l
			}
		}
	}
	return f.result
}

// around describes the processes that ran at a moment.
func (a *account) around(lives []*life, at history.Micros) []string {
	var all []string
	for _, l := range lives {
		if l.start < at && l.last.Add(time.Second) > at {
			all = append(all, a.describeLife(l))
		}
	}
	return all
}

// startedTwice judges A2: a value that one write set is not started again at
// another agent, and not again where the first one still runs. Of most that are
// started again while the first one runs nothing is seen but that they found it.
func startedTwice(a *account) Result {
	f := find("A2")
	a.eachRestart(f, func(before, l *life) {
		if before.agent != l.agent || before.last > l.start {
			f.add(l.start, a.tellLives(before, l), "%s=%s was started twice", l.workload, l.value)
		}
	})
	a.eachClash(func(running, l *life) {
		f.add(l.start, a.tellLives(running, l), "%s=%s was started twice: the second process found the first one running", l.workload, l.value)
	})
	return f.result
}

// eachClash calls a function for each process that found another one of its own
// value running. That one has given a sign of life after that: one that has given
// its last may only have been about to end, which other checkers judge.
func (a *account) eachClash(yield func(running, l *life)) {
	byWorkload, names := a.lives()
	for _, name := range names {
		lives := byWorkload[name]
		for i, l := range lives {
			if !l.clash {
				continue
			}
			for _, before := range lives[:i] {
				if !before.clash && before.value == l.value && before.last > l.start && !a.endedBy(before) {
					yield(before, l)
					break
				}
			}
		}
	}
}

// restarts judges A4: what one write has asked for is started once, and again only
// when a fault ended it.
func restarts(a *account) Result {
	f := find("A4")
	a.eachRestart(f, func(before, l *life) {
		if before.agent == l.agent && before.last <= l.start {
			f.add(l.start, a.tellLives(before, l), "%s=%s was restarted, and nobody had changed it", l.workload, l.value)
		}
	})
	a.changedRuntime(f)
	return f.result
}

// eachRestart calls a function for each process that follows another one of its
// value which no fault has ended.
func (a *account) eachRestart(f *findings, yield func(before, l *life)) {
	byWorkload, names := a.lives()
	for _, name := range names {
		last := map[string]*life{}
		for _, l := range byWorkload[name] {
			f.result.Checked++
			if l.clash {
				continue
			}
			if before := last[l.value]; before != nil && !a.endedBy(before) {
				yield(before, l)
			}
			last[l.value] = l
		}
	}
}

// changedRuntime finds instances whose id at the runtime changed, though nobody
// changed or ended them.
func (a *account) changedRuntime(f *findings) {
	type instance struct{ workload, instance, agent string }
	type seen struct {
		id string
		at history.Micros
	}
	known := map[string]map[instance]seen{}
	for i := range a.h.Sights {
		s := &a.h.Sights[i]
		mine := known[s.Watcher]
		if mine == nil {
			mine = map[instance]seen{}
			known[s.Watcher] = mine
		}
		for _, state := range s.States {
			k := instance{state.Workload, state.Instance, state.Agent}
			if state.RuntimeID == "" {
				continue
			}
			before, again := mine[k]
			mine[k] = seen{state.RuntimeID, s.At}
			if again && before.id != state.RuntimeID && !a.mayHaveEnded(state, before.at, s.At) {
				f.add(s.At, []string{fmt.Sprintf("%s: watcher %s was shown runtime id %s", a.when(before.at), s.Watcher, before.id), fmt.Sprintf("%s: and %s", a.when(s.At), state.RuntimeID)},
					"instance %s of %s at %s was restarted, and nobody had changed it", state.Instance, state.Workload, state.Agent)
			}
		}
	}
}

// mayHaveEnded tells whether a write or a fault concerned a workload before a
// second state of it was seen.
func (a *account) mayHaveEnded(state history.State, from, to history.Micros) bool {
	for _, fault := range a.h.Faults {
		// What a watcher was shown last may be from long before.
		if done(&fault) && slices.Contains(workloadKinds, fault.Kind) && fault.Begun <= to && (slices.Contains(fault.Targets, state.Workload) || slices.Contains(fault.Targets, state.Agent)) {
			return true
		}
	}
	for _, v := range a.versions[state.Workload] {
		if w := a.writerOf(state.Workload, v.revision); w == nil || w.first <= to && max(w.answered, w.first).Add(a.patient(settling)) >= from {
			return true
		}
	}
	return false
}

// abandoned judges A3: what is wanted runs on, whatever becomes of servers and
// agents, unless a fault ends it.
func abandoned(a *account) Result {
	f := find("A3")
	curtain := a.curtain()
	a.eachWanted(f, func(l *life, to, _ history.Micros) {
		over := l.stopped && l.last < curtain || l.last < curtain.Add(-a.patient(shortly))
		if over && (to == 0 || l.last < to) && !a.endedBy(l) {
			f.add(l.last, append(a.tellLives(l), a.testimony(l.workload)...), "%s=%s ended while it was wanted", l.workload, l.value)
		}
		if limit := a.patient(2*settling) + a.stalled(l.pausedAt, l.pausedAt.Add(l.pause)); l.pause > limit && !a.slowed(l.pausedAt, l.pausedAt.Add(l.pause), l.agent) {
			f.add(l.pausedAt, a.tellLives(l), "%s=%s gave no sign of life for %v", l.workload, l.value, l.pause)
		}
	})
	return f.result
}

// eachWanted calls a function for each process that ran of which it is known until
// when it was wanted, 0 for to the end, and what it was replaced by.
func (a *account) eachWanted(f *findings, yield func(l *life, to, replaced history.Micros)) {
	byWorkload, names := a.lives()
	for _, name := range names {
		for _, l := range byWorkload[name] {
			if l.clash {
				continue
			}
			f.result.Checked++
			if _, to, replaced, known := a.wanted(name, l.value); known && !a.doubtful[name] {
				yield(l, to, replaced)
			}
		}
	}
}

func (a *account) slowed(from, to history.Micros, agent string) bool {
	return slices.ContainsFunc(a.h.Faults, func(fault history.Fault) bool {
		return done(&fault) && slices.Contains(slowKinds, fault.Kind) && slices.Contains(fault.Targets, agent) && fault.Begun <= to && a.endOf(&fault) >= from
	})
}

// orphans judges A6: what was replaced or deleted ends soon, once its agent can be
// told.
func orphans(a *account) Result {
	f := find("A6")
	a.eachWanted(f, func(l *life, to, replaced history.Micros) {
		if to == 0 {
			return
		}
		since := a.calmSince(replaced, l.last)
		if limit := a.patient(orphanLimit) + a.stalled(since, l.last); l.last > since.Add(limit) {
			f.add(l.last, append(a.tellLives(l), a.testimony(l.workload)...), "%s=%s ran for %v after it was wanted no more", l.workload, l.value, l.last.Sub(since))
		}
	})
	return f.result
}

// orphanLimit is how long what is wanted no more may take to end while nothing is
// wrong.
const orphanLimit = 4 * time.Second

// calmSince returns when the last fault was over that was felt between two times;
// the first of the two when there was none.
func (a *account) calmSince(from, to history.Micros) history.Micros {
	calm := from
	for i := range a.h.Faults {
		if fault := &a.h.Faults[i]; done(fault) && fault.Begun <= to && a.endOf(fault) >= from {
			calm = max(calm, min(to, a.endOf(fault)))
		}
	}
	return calm
}
