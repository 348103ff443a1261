package check

import (
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// convergenceLimit is how long agents may take to do what they shall when all is
// well again.
const convergenceLimit = 10 * time.Second

// convergence judges A5: when the last fault was healed every agent soon has a
// leader and has done what it was told, and in the end what is wanted runs.
func convergence(a *account) Result {
	f := find("A5")
	quiet := a.h.Meta.Quiet
	if quiet == 0 {
		if len(a.h.Looks) > 0 {
			f.cannot("the cluster was never left alone")
		}
		return f.result
	}
	first := map[string]history.Look{}
	last := map[string]history.Look{}
	for _, l := range a.h.Looks {
		last[l.Agent] = l
		if _, before := first[l.Agent]; !before && l.At >= quiet && l.Connected && l.Converged >= l.Wanted {
			first[l.Agent] = l
		}
	}
	for agent, l := range last {
		f.result.Checked++
		limit := a.patient(convergenceLimit)
		describe := fmt.Sprintf("%s: connected %v, has done %d of %d", a.when(l.At), l.Connected, l.Converged, l.Wanted)
		good, ever := first[agent]
		switch {
		case l.At < quiet:
			f.cannot("%s was not looked at after the last fault", agent)
		case !ever:
			f.add(l.At, []string{describe}, "%s has not done what it shall %v after the last fault was healed", agent, l.At.Sub(quiet))
		case good.At.Sub(quiet) > limit+a.stalled(quiet, good.At):
			f.add(good.At, nil, "%s took %v to do what it shall after the last fault was healed", agent, good.At.Sub(quiet))
		}
	}
	a.notRunning(f)
	return f.result
}

// notRunning finds workloads that are wanted in the end and do not run.
func (a *account) notRunning(f *findings) {
	curtain := a.curtain()
	byWorkload, names := a.lives()
	for _, name := range names {
		v, there := a.last(name)
		if !there || a.doubtful[name] {
			continue
		}
		if base, depends := history.BaseOf(name); depends {
			// Without it, it waits.
			if _, there := a.last(base); !there || a.doubtful[base] {
				continue
			}
		}
		f.result.Checked++
		from, _, _, known := a.wanted(name, v.runs())
		calm := a.calmSince(from, curtain)
		if !known || calm.Add(a.patient(convergenceLimit)+a.stalled(calm, curtain)) > curtain {
			continue
		}
		lately := curtain.Add(-a.patient(shortly))
		lately = lately.Add(-a.stalled(lately, curtain))
		running := false
		for _, l := range byWorkload[name] {
			running = running || l.value == v.runs() && !l.stopped && !l.clash && l.last >= lately
		}
		if !running {
			f.add(curtain, append(a.tellLives(byWorkload[name][max(0, len(byWorkload[name])-2):]...), a.testimony(name)...), "%s=%s is wanted in the end and does not run", name, v.runs())
		}
	}
}
