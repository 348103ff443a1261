package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

const (
	// silence is for how long a server that is not run looks dead to the others, who
	// put another one in its place: half of what they wait for a leader. What the
	// disk may take is more.
	silence     = 100 * time.Millisecond
	diskSilence = 300 * time.Millisecond
	// sampling is about how far apart it is looked at who is kept waiting.
	sampling = 50 * time.Millisecond
	// aftermath is how long after a stall it may still change who leads. Of all
	// changes that were seen on a machine with ten times as much to do as it could,
	// while nothing else was wrong, none came later than two thirds of this.
	aftermath = time.Second
)

// timing is the factor by which the cluster's time-outs are longer than usual.
func (a *account) timing(d time.Duration) time.Duration {
	factor, ok := a.timingFactor()
	if !ok {
		return d
	}
	return time.Duration(factor * float64(d))
}

// watched tells whether it was recorded what the machine did not do.
func (a *account) watched() bool { return slices.Contains(a.h.Meta.Promised, history.KindStalls) }

// stalled returns how much of a time the machine kept from the one that it kept
// most from: to nobody it counts as slowness that he was not run.
func (a *account) stalled(from, to history.Micros) time.Duration {
	waited := map[string]time.Duration{}
	var most time.Duration
	for i := range a.h.Stalls {
		s := &a.h.Stalls[i]
		if within := min(s.To, to).Sub(max(s.From, from)); within > 0 {
			waited[s.Who] += min(within, waitedFor(s))
			most = max(most, waited[s.Who])
		}
	}
	return most
}

// faltered tells whether the machine, shortly before a moment, had not run a server
// for so long that it was taken for dead, or took others for that: for silence in
// all, of half as much time again.
func (a *account) faltered(at history.Micros) bool {
	since, limit := at.Add(-a.timing(aftermath)), a.timing(silence)
	span := limit*3/2 + sampling
	byWho := map[string][]*history.Stall{}
	for i := range a.h.Stalls {
		s := &a.h.Stalls[i]
		if s.To < since || s.From > at {
			continue
		}
		if s.Who == history.StallDisk {
			if waitedFor(s) >= diskSilence {
				return true
			}
			continue
		}
		last := append(byWho[s.Who], s)
		for len(last) > 1 && s.To.Sub(last[0].From) > span {
			last = last[1:]
		}
		byWho[s.Who] = last
		var waited time.Duration
		for _, each := range last {
			waited += waitedFor(each)
		}
		if waited >= limit {
			return true
		}
	}
	return false
}

func waitedFor(s *history.Stall) time.Duration { return time.Duration(s.Micros) * time.Microsecond }

// mostStalls is how many stalls near a violation are told.
const mostStalls = 3

// tellStalls adds to what shows a violation whom the machine kept waiting shortly
// before it, the longest first: it may be no fault of the cluster.
func (a *account) tellStalls(v *Violation) {
	if v.At == 0 {
		return
	}
	since := v.At.Add(-a.timing(aftermath))
	var near []*history.Stall
	for i := range a.h.Stalls {
		if s := &a.h.Stalls[i]; s.To >= since && s.From <= v.At && waitedFor(s) >= a.timing(silence)/2 {
			near = append(near, s)
		}
	}
	slices.SortStableFunc(near, func(one, other *history.Stall) int { return cmp.Compare(other.Micros, one.Micros) })
	for _, s := range near[:min(len(near), mostStalls)] {
		v.Evidence = append(v.Evidence, fmt.Sprintf("%s to %s: the machine kept %s waiting for %v", a.when(s.From), a.when(s.To), s.Who, waitedFor(s)))
	}
}
