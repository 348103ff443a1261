package check

import (
	"fmt"
	"strings"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// Trial is the name under which a verdict says that a history as a whole cannot
// be judged.
const Trial = "trial"

// checkers are all of them, in the order of their names.
func checkers() []Checker {
	return []Checker{
		{Invariant: "S1", What: "no acknowledged write is lost", judge: lost},
		{Invariant: "S2", What: "a request is carried out once at most, and never when it was refused", judge: once},
		{Invariant: "S3", What: "a term has one leader", judge: leaders},
		{Invariant: "S4", What: "reads are linearizable, and stale ones as old as they say at most", judge: reads},
		{Invariant: "S5", What: "no client sees the state go back", judge: sessions},
		{Invariant: "S6", What: "no write replaces a change that its writer had ruled out", judge: expectations},
		{Invariant: "S7", What: "a watch shows every change once, in order", judge: watches},
		{Invariant: "S8", What: "the logs of all replicas are equal, without a gap", judge: logs},
		{Invariant: "S9", What: "replicas that have carried out the same entries are equal", judge: replicas},
		{Invariant: "S10", What: "a snapshot that is restored is what the log leads to", judge: snapshots},
		{Invariant: "S11", What: "what was damaged on a disk is found, and never served", judge: damage},
		{Invariant: "S12", What: "all of that holds for servers of several versions together, and nothing is used that not all of them know", judge: versions},
		{Invariant: "S13", What: "a workload is rendered with the configs of its own revision", judge: rendered},
		{Invariant: "S14", What: "events lead from the first state to that of the revision of each", judge: subscriptions},
		{Invariant: "A1", What: "no two instances of a workload run at once", judge: together},
		{Invariant: "A2", What: "a change of leader or agent starts no workload twice", judge: startedTwice},
		{Invariant: "A3", What: "workloads run on, whatever becomes of the servers", judge: abandoned},
		{Invariant: "A4", What: "no workload that is unchanged is restarted", judge: restarts},
		{Invariant: "A5", What: "agents do what they shall soon after all is well", judge: convergence},
		{Invariant: "A6", What: "nothing runs that shall not", judge: orphans},
		{Invariant: "A7", What: "who follows a log is shown every line once, in order, until he is told that it ends", judge: followed},
		{Invariant: "A8", What: "a workload starts after what it depends on, and stops before it", judge: order},
		{Invariant: "A9", What: "a workload that asks its agent is answered once, in time and truly, and keeps its session", judge: asking},
		{Invariant: "L1", What: "writes are acknowledged while a majority is well", judge: outages},
		{Invariant: "L2", What: "leaders change for a reason", judge: flapping},
		{Invariant: "L3", What: "processes take no more of their machines with time", judge: resources},
		{Invariant: "Q1", What: "nothing breaks down, and no error is logged while all is well", judge: lines},
		{Invariant: "P1", What: "porcupine, an independent judge, finds every object linearizable", judge: independent},
	}
}

// All returns the checkers of all invariants.
func All() []Checker {
	all := checkers()
	for i := range all {
		judge := all[i].judge
		all[i].Check = func(h *history.History) Result { return judge(newAccount(h)) }
	}
	return all
}

// Judge has every checker judge a history.
func Judge(h *history.History) *Verdict {
	v := &Verdict{Results: map[string]Result{}, Violations: map[string]int64{}, Unjudged: map[string]string{}}
	a := newAccount(h)
	for _, c := range checkers() {
		r := c.judge(a)
		for i := range r.Violations {
			a.tellStalls(&r.Violations[i])
		}
		v.Results[c.Invariant] = r
		if r.Found > 0 {
			v.Violations[c.Invariant] = r.Found
		}
		switch {
		case r.Unjudged != "":
			v.Unjudged[c.Invariant] = r.Unjudged
		case r.Checked == 0 && r.Found == 0:
			v.Idle = append(v.Idle, c.Invariant)
		}
	}
	v.Operations = answered(a.h)
	if why := unfit(h); why != "" {
		v.Unjudged[Trial] = why
	}
	return v
}

// answered counts the operations that had an answer, or of which the log told
// what became of them: every one of them is judged by some checker.
func answered(h *history.History) int64 {
	var n int64
	for i := range h.Operations {
		if o := &h.Operations[i]; o.Outcome != history.Unknown || isWrite(o) {
			n++
		}
	}
	return n
}

// unfit returns why a history cannot be called right whatever is found in it.
func unfit(h *history.History) string {
	var why []string
	if h.Meta.Error != "" {
		why = append(why, "the trial failed: "+h.Meta.Error)
	}
	if len(h.Cut) > 0 {
		why = append(why, "the history was cut off: "+strings.Join(h.Cut, ", "))
	} else if !h.Meta.Whole {
		why = append(why, "the history was never closed")
	}
	if answered(h) == 0 {
		why = append(why, "no operation was answered")
	}
	for _, kind := range h.Meta.Promised {
		if kind != history.KindLines && kind != history.KindStalls && countOf(h, kind) == 0 {
			why = append(why, fmt.Sprintf("the trial promised %s and recorded none", kind))
		}
	}
	return strings.Join(why, "; ")
}

func countOf(h *history.History, kind string) int {
	switch kind {
	case history.KindSights:
		return len(h.Sights)
	case history.KindEvents:
		return len(h.Events)
	case history.KindBeats:
		return len(h.Beats)
	case history.KindMessages:
		return len(h.Messages)
	case history.KindLogRuns:
		return len(h.LogRuns)
	case history.KindLeaderships:
		return len(h.Leaderships)
	case history.KindLooks:
		return len(h.Looks)
	case history.KindReplicas:
		return len(h.Replicas)
	case history.KindSamples:
		return len(h.Samples)
	case history.KindStandings:
		return len(h.Standings)
	case history.KindLevels:
		return len(h.Levels)
	}
	return 0
}
