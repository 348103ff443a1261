package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// made makes a history as a trial would: clients write and read, every fault
// costs a gap, some leaders change, agents fall behind and come back.
func made(seed uint64, length time.Duration, operations, faults int) *history.History {
	const began = history.Micros(5_000_000_000)
	r := rand.New(rand.NewPCG(seed, 1))
	h := &history.History{Meta: history.Meta{
		Version: history.Version, Seed: seed, Profile: "ci", Commit: "0123456789ab", Started: "2026-01-02T03:04:05Z",
		Began: began, Ended: began.Add(length), Quiet: began.Add(length * 9 / 10), Whole: true, Cores: 2, Load: 0.4,
		Settings: map[string]string{"servers": "3", "agents": "2", "log store": "wal", "TLS": "true"},
	}}
	servers := []string{"server-1", "server-2", "server-3"}
	var kinds []plan.Kind
	for _, f := range families {
		kinds = append(kinds, f.kinds...)
	}
	leader, term := 0, uint64(2)
	h.Leaderships = append(h.Leaderships, history.Leadership{Server: servers[leader], Term: term, Gained: true, At: began})
	var down []span
	for n := range faults {
		kind := kinds[(n*7)%len(kinds)]
		at := began.Add(time.Duration((float64(n) + r.Float64()) / float64(faults) * float64(length) * 0.88))
		last := at.Add(time.Duration(200+r.IntN(2500)) * time.Millisecond)
		f := history.Fault{
			Step: n + 1, Kind: string(kind), Targets: []string{servers[r.IntN(3)]}, Leader: servers[leader],
			Begun: at, Struck: at.Add(5 * time.Millisecond), Healing: last, Healed: last.Add(30 * time.Millisecond),
			Quorum: n%9 != 0, Changes: 1, Detail: fmt.Sprintf("for %v", last.Sub(at)),
		}
		if classes[f.Kind] == "agent" {
			f.Targets = []string{"agent-1"}
		}
		switch {
		case n%17 == 16:
			f.Skipped, f.Error, f.Struck, f.Healed, f.Healing = true, "more than a quorum survives: another fault has server-2 down", 0, 0, 0
		case classes[f.Kind] == "process" || classes[f.Kind] == "disk":
			outage := time.Duration(20*math.Exp(r.Float64()*4)) * time.Millisecond
			down = append(down, span{at, at.Add(outage)})
			h.Leaderships = append(h.Leaderships, history.Leadership{Server: servers[leader], Term: term, At: at})
			leader, term = (leader+1)%3, term+1
			h.Leaderships = append(h.Leaderships, history.Leadership{Server: servers[leader], Term: term, Gained: true, At: at.Add(outage)})
		}
		h.Faults = append(h.Faults, f)
	}
	next := 0
	for n := range operations {
		call := began.Add(time.Duration(float64(n) / float64(operations) * float64(length)))
		for next < len(down) && down[next].to < call {
			next++
		}
		took := time.Duration(1500*math.Exp(r.NormFloat64()*0.5)) * time.Microsecond
		o := history.Operation{Client: fmt.Sprintf("client-%d", n%20), N: int64(n), Action: history.Apply, Outcome: history.Done, Call: call}
		switch n % 5 {
		case 1, 2:
			o.Action = history.Get
		case 3:
			o.Action, o.Stale = history.List, true
			took /= 4
		}
		if next < len(down) && call >= down[next].from && !o.Stale {
			took += down[next].to.Sub(call)
			if n%31 == 0 {
				o.Outcome, o.Error = history.Unknown, "fate unknown"
			}
		}
		if n%97 == 0 {
			o.Outcome, o.Code = history.Refused, "CONFLICT"
		}
		o.Return = call.Add(took)
		h.Operations = append(h.Operations, o)
	}
	for at := began; at < h.Meta.Ended; at = at.Add(length / 500) {
		for _, agent := range []string{"agent-1", "agent-2"} {
			look := history.Look{Agent: agent, At: at, Connected: true, Converged: 9, Wanted: 9}
			for _, s := range down {
				if at > s.from && at < s.to.Add(300*time.Millisecond) {
					look.Connected = at > s.to
					look.Converged = 8
				}
			}
			h.Looks = append(h.Looks, look)
		}
	}
	for _, server := range servers {
		h.Replicas = append(h.Replicas, history.Replica{Server: server, Revision: 9, Hash: "a"})
	}
	return h
}

// held is a verdict of a history in which nothing is wrong.
func held(h *history.History) *check.Verdict {
	v := &check.Verdict{Results: map[string]check.Result{}, Operations: int64(len(h.Operations)), Violations: map[string]int64{}}
	for _, name := range []string{"S1", "S2", "S10", "A1", "L1", "Q1"} {
		v.Results[name] = check.Result{Checked: int64(len(h.Operations))}
	}
	return v
}

// violated is one in which something is, in the middle.
func violated(h *history.History) *check.Verdict {
	v := held(h)
	at := h.Meta.Began.Add(h.Meta.Ended.Sub(h.Meta.Began) / 2)
	v.Results["S1"] = check.Result{Checked: 1000, Found: 3, Violations: []check.Violation{{
		Invariant: "S1", What: "the acknowledged value client-3-17 of object x is in no replica <&>", At: at,
		Evidence: []string{"client-3 apply x=client-3-17 acknowledged at revision 812 by server-2", "server-1 entry 812: put y=client-4-2"},
	}}}
	v.Violations["S1"] = 3
	return v
}
