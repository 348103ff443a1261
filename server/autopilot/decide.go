package autopilot

import (
	"fmt"
	"time"
)

// This file is the pure part: from a table to what shall be done.

type action int

const (
	nothing action = iota
	// promote gives a server its vote.
	promote
	// remove takes a dead server out.
	remove
	// handOn makes another server lead, since a follower is starved.
	handOn
)

type step struct {
	action action
	id     string
	reason string
}

// decide returns the one thing to do next.
func decide(t *Table, s Settings, began time.Time) step {
	for _, h := range t.Servers {
		if refusal := refusePromotion(t, h); refusal == "" && t.At.Sub(h.HealthySince) >= s.StableAfter {
			return step{promote, h.ID, fmt.Sprintf("it has been healthy for %v", t.At.Sub(h.HealthySince).Round(time.Millisecond))}
		}
	}
	if next := decideRemoval(t, s); next.action != nothing {
		return next
	}
	return decideHandOver(t, began)
}

// refusePromotion says why a server must not get a vote now, "" when it may.
func refusePromotion(t *Table, h Health) string {
	voters, answering := t.voters()
	switch {
	case h.Voter:
		return "it votes already"
	case !h.Healthy:
		return "it " + h.Problem
	case answering+1 < quorum(voters+1):
		return fmt.Sprintf("only %d of the then %d voters would be reachable, and %d are needed", answering+1, voters+1, quorum(voters+1))
	}
	return ""
}

// decideRemoval finds a dead server that the cluster is better off without.
func decideRemoval(t *Table, s Settings) step {
	if s.KeepDead {
		return step{}
	}
	voters, _ := t.voters()
	dead := 0
	for _, h := range t.Servers {
		if h.Voter && !h.DeadSince.IsZero() {
			dead++
		}
	}
	for _, h := range t.Servers {
		if h.Leader || h.DeadSince.IsZero() || t.At.Sub(h.DeadSince) < s.DeadAfter {
			continue
		}
		if h.Voter {
			if voters-1 < s.MinVoters || dead > (voters-1)/2 || refuseRemoval(t, h) != "" {
				continue
			}
		}
		return step{remove, h.ID, fmt.Sprintf("it has been dead for %v", t.At.Sub(h.DeadSince).Round(time.Second))}
	}
	return step{}
}

// refuseRemoval says why the cluster would be in danger without a server, "" when
// it would not.
func refuseRemoval(t *Table, h Health) string {
	voters, answering := t.voters()
	if !h.Voter {
		return ""
	}
	if h.Answers {
		answering--
	}
	if answering < quorum(voters-1) {
		return missing(answering, voters-1)
	}
	return ""
}

func missing(answering, voters int) string {
	return fmt.Sprintf("%d of the remaining %d voters can be reached, and %d are needed to go on", answering, voters, quorum(voters))
}

// Limits of what is done about a starved follower.
const (
	// starvedWarn is after how long it is worth a word.
	starvedWarn = 10 * time.Second
	// starvedHandOn is after how long leadership is handed on.
	starvedHandOn = 30 * time.Second
	// handOnRest is how old a leadership must be for that: a follower that is
	// starved by every leader must not make leadership go round and round.
	handOnRest = 5 * time.Minute
)

// decideHandOver hands leadership on when a follower is starved for which nobody
// knows a reason, and another one is healthy.
func decideHandOver(t *Table, began time.Time) step {
	if t.At.Sub(began) < handOnRest {
		return step{}
	}
	for _, starved := range t.Servers {
		if starved.StarvedSince.IsZero() || starved.Ailment != "" || t.At.Sub(starved.StarvedSince) < starvedHandOn {
			continue
		}
		for _, h := range t.Servers {
			if h.Voter && !h.Leader && h.Healthy {
				return step{handOn, h.ID, fmt.Sprintf("server %s answers, but has taken in nothing for %v and lacks %d entries",
					starved.ID, t.At.Sub(starved.StarvedSince).Round(time.Second), starved.Lag)}
			}
		}
	}
	return step{}
}
