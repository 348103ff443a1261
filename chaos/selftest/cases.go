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
}

// writing is a load that writes much and reads it back.
var writing = plan.Load{Writers: 5, Rivals: 3, Makers: 3, Appliers: 2, Readers: 6, Listers: 1, Watchers: 3, PauseUs: 4000}

// reading is one that reads much at each server.
var reading = plan.Load{Writers: 4, Readers: 30, PauseUs: 3000}

// moving is one that starts, changes and moves workloads.
var moving = plan.Load{Writers: 1, Readers: 1, Watchers: 1, Probes: 12, Movers: 6, PauseUs: 5000}

// resting is one that leaves the workloads alone.
var resting = plan.Load{Writers: 1, Readers: 1, Watchers: 1, Probes: 6, PauseUs: 10_000}

// following is one that reads what the workloads print.
var following = plan.Load{Writers: 1, Readers: 1, Watchers: 1, Probes: 4, LogFollowers: 4, PauseUs: 10_000}

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
	if load.Probes > 0 {
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
func Cases() []Case {
	const second, ms = time.Second, time.Millisecond
	return []Case{
		{planted.NoFlush, "the log is not flushed", []string{"S1"},
			trialOf(3*second, writing, []plan.Step{step(2*second, plan.PowerAll, 200*ms, 0)})},
		{planted.EarlyAnswer, "a write is answered before a majority has it", []string{"S1"},
			trialOf(4*second, writing, every(time.Second, 4, plan.KillLeader, 100*ms))},
		{planted.StaleRead, "a replica answers linearizable reads before it has caught up", []string{"S4"},
			trialOf(2*second, writing, nil)},
		{planted.LeaseRead, "a leader that was paused answers reads as if it still led", []string{"S4"},
			trialOf(6*second, reading, every(660*ms, 9, plan.PauseLeader, 350*ms))},
		{planted.NoMemory, "a request that is repeated is carried out again", []string{"S2"},
			trialOf(4*second, writing, every(time.Second, 4, plan.KillLeader, 100*ms))},
		{planted.LateCompare, "an expected revision is compared with what is committed, not with what is in flight", []string{"S6"},
			trialOf(2*second, plan.Load{Writers: 1, Rivals: 10, Readers: 1, Watchers: 1, PauseUs: 500}, nil)},
		{planted.LostChange, "a watch that is resumed leaves a change out", []string{"S7"},
			trialOf(4*second, writing, every(time.Second, 4, plan.KillServer, 100*ms))},
		{planted.RepeatedChange, "a watch that is resumed shows a change again", []string{"S7"},
			trialOf(4*second, writing, every(time.Second, 4, plan.KillServer, 100*ms))},
		{planted.ForgottenVote, "a server votes twice in a term", []string{"S3"},
			trialOf(5*second, writing, append([]plan.Step{step(100*ms, plan.SlowNetwork, 4500*ms, 0.6)}, every(time.Second, 4, plan.PauseLeader, 300*ms)...), slowNetwork)},
		{planted.FlippedBit, "what is read from the disk is believed", []string{"S11"},
			trialOf(5*second, writing, every(1200*ms, 4, plan.FlipBits, 100*ms), snapshotsEvery(100_000), singleBits)},
		{planted.LostRow, "a row is missing after a snapshot was restored", []string{"S9"},
			trialOf(4*second, writing, every(1500*ms, 2, plan.StopLeader, 100*ms), snapshotsEvery(50))},
		{planted.ShortSnapshot, "a row is missing in snapshots", []string{"S11"},
			trialOf(2*second, writing, nil, snapshotsEvery(50))},
		{planted.EarlyMove, "a workload starts on its new agent before the old one has removed it", []string{"A1"},
			trialOf(5*second, moving, every(2*second, 2, plan.CutAgent, 1500*ms))},
		{planted.EmptyMemory, "a new leader begins as if agents that are not there had nothing", []string{"A1"},
			trialOf(6*second, moving, []plan.Step{step(1500*ms, plan.CutAgent, 3*second, 0), step(2*second, plan.KillLeader, 200*ms, 0)})},
		{planted.EarlyStart, "the new version of a workload is started beside the old one", []string{"A1"},
			trialOf(4*second, moving, nil)},
		{planted.NewBroom, "an agent that finds a leader again restarts its workloads", []string{"A4"},
			trialOf(4*second, resting, []plan.Step{step(2*second, plan.KillLeader, 200*ms, 0)})},
		{planted.Abandon, "an agent that loses its leader removes its workloads", []string{"A3"},
			trialOf(5*second, resting, []plan.Step{step(2*second, plan.KillAll, 1500*ms, 0)})},
		{planted.Orphan, "what was unassigned while an agent was away runs on", []string{"A6", "A1"},
			trialOf(3500*ms, moving, []plan.Step{step(second, plan.KillAgent, 2*second, 0)})},
		{planted.RepeatedLine, "a log that is followed begins anew with each new keeper of its agent", []string{"A7"},
			trialOf(5*second, following, every(time.Second, 4, plan.KillKeeper, 100*ms))},
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
