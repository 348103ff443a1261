package selftest

import (
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/planted"
)

// Case is a bug, and what has to find it.
type Case struct {
	// Bug is its name.
	Bug planted.Bug
	// What goes wrong, in one line.
	What string
	// Invariants are the names of those of which one must be found broken.
	Invariants []string
	// Plan provokes it. The first try has its seed, the next ones those after it.
	Plan *plan.Plan
	// Simulated has the plan carried out in virtual time. Where processes, their
	// disks or their kernel are what matters it is a trial.
	Simulated bool
}

// writing is a load that writes much and reads it back.
var writing = plan.Load{Writers: 5, Rivals: 3, Makers: 3, Appliers: 2, Readers: 6, Listers: 1, Watchers: 3, PauseUs: 4000}

// asking is one that mostly reads.
var asking = plan.Load{Writers: 2, Readers: 30, Watchers: 1, PauseUs: 3000}

// following is one that reads what the workloads print.
var following = plan.Load{Writers: 1, Readers: 1, Watchers: 1, Probes: 4, LogFollowers: 4, PauseUs: 10_000}

// talking is one of workloads that speak to their agents.
var talking = plan.Load{Writers: 1, Readers: 1, Watchers: 1, Askers: 4, PauseUs: 10_000}

// step is a fault at a time, for some time.
func step(at time.Duration, kind plan.Kind, lasts time.Duration, strength float64) plan.Step {
	return plan.Step{AtMs: at.Milliseconds(), Fault: kind, ForMs: lasts.Milliseconds(), Strength: strength}
}

// every repeats a fault.
func every(period time.Duration, times int, kind plan.Kind, lasts time.Duration) []plan.Step {
	var steps []plan.Step
	for i := range times {
		s := step(period*time.Duration(i)+period/2, kind, lasts, 0.5)
		s.Choice = uint64(i)
		steps = append(steps, s)
	}
	return steps
}

// trialOf makes the plan of a case. Its clusters are small and plain, and all of
// their log is kept, as in the trials of the profiles.
func trialOf(duration time.Duration, load plan.Load, steps []plan.Step, change ...func(*plan.Plan)) *plan.Plan {
	p := &plan.Plan{
		Version: plan.Version, Seed: 1, Profile: "selftest", DurationMs: duration.Milliseconds(), Load: load, Steps: slices.Clone(steps),
		Settings: plan.Settings{
			Servers: 3, SnapshotThreshold: 1000, TrailingLogs: 1_000_000, TimingMultiplier: 1, LogStore: plan.BoltDB, DiskMB: 64,
		},
	}
	if load.Probes+load.Configurers+load.Askers > 0 {
		p.Settings.Agents = 2
	}
	for _, c := range change {
		c(p)
	}
	for i := range p.Steps {
		p.Steps[i].N = i + 1
	}
	return p
}

func snapshotsEvery(entries uint64) func(*plan.Plan) {
	return func(p *plan.Plan) { p.Settings.SnapshotThreshold = entries }
}

// singleBits are those that are most likely to go unnoticed: more of them damage
// what a file needs to be read at all.
func singleBits(p *plan.Plan) {
	for i := range p.Steps {
		p.Steps[i].Strength = 0
	}
}

// slowNetwork delays what servers send each other by more than they wait for each
// other before they campaign. The seeds are such that it concerns all of them.
func slowNetwork(p *plan.Plan) {
	p.Settings.Shaped, p.Settings.TimingMultiplier, p.Seed = true, 0.5, 4
}

// Cases returns all cases.
func Cases() []Case { return append(trials(), simulations()...) }

// trials are those on real processes.
func trials() []Case {
	const second, ms = time.Second, time.Millisecond
	return []Case{
		{Bug: planted.NoFlush, What: "the log is not flushed", Invariants: []string{"S1"},
			Plan: trialOf(3*second, writing, []plan.Step{step(2*second, plan.PowerAll, 200*ms, 0)})},
		{Bug: planted.ForgottenVote, What: "a server votes twice in a term", Invariants: []string{"S3"},
			Plan: trialOf(10*second, writing, append([]plan.Step{step(100*ms, plan.SlowNetwork, 9500*ms, 0.6)}, every(750*ms, 13, plan.PauseLeader, 300*ms)...), slowNetwork)},
		{Bug: planted.FlippedBit, What: "what is read from the disk is believed", Invariants: []string{"S11"},
			Plan: trialOf(5*second, writing, every(1200*ms, 4, plan.FlipBits, 100*ms), snapshotsEvery(100_000), singleBits)},
		{Bug: planted.LeftBehind, What: "every read leaves a goroutine behind", Invariants: []string{"L3"},
			Plan: trialOf(5*second, asking, nil)},
		{Bug: planted.ShortSnapshot, What: "a row is missing in snapshots", Invariants: []string{"S11"},
			Plan: trialOf(2*second, writing, nil, snapshotsEvery(50))},
		{Bug: planted.RepeatedLine, What: "a log that is followed begins anew with each new keeper of its agent", Invariants: []string{"A7"},
			Plan: trialOf(5*second, following, every(second, 4, plan.KillKeeper, 100*ms))},
		{Bug: planted.LostSession, What: "an agent that is started again forgets the sessions of its workloads", Invariants: []string{"A9"},
			Plan: trialOf(4*second, talking, every(800*ms, 4, plan.KillAgent, 100*ms))},
		{Bug: planted.RashAgent, What: "an agent acknowledges what a workload changes before the servers have it", Invariants: []string{"A9"},
			Plan: trialOf(2*second, talking, nil)},
	}
}

// Of returns the case of a bug.
func Of(bug planted.Bug) (Case, bool) {
	all := Cases()
	i := slices.IndexFunc(all, func(c Case) bool { return c.Bug == bug })
	if i < 0 {
		return Case{}, false
	}
	return all[i], true
}
