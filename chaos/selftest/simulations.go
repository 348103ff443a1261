package selftest

import (
	"time"

	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// pace is by how much everything takes longer in simulations: what costs there is
// how often servers hear each other, not how long that takes.
const pace = 10

// simulationOf makes the plan of a case that is carried out in virtual time.
func simulationOf(duration time.Duration, load plan.Load, steps []plan.Step, change ...func(*plan.Plan)) *plan.Plan {
	p := trialOf(duration, load, steps, change...)
	p.Settings.TimingMultiplier, p.Settings.DiskMB = pace, 512
	return p
}

// The loads of simulations. Each call costs as much as on real processes, so that
// there are few.
var (
	// changing is one that changes objects in all ways.
	changing = plan.Load{Writers: 2, Rivals: 2, Makers: 1, Appliers: 1, Readers: 3, Listers: 1, Watchers: 3, PauseUs: 1_000_000}
	// reading is one that reads much at each server.
	reading = plan.Load{Writers: 4, Readers: 6, Watchers: 1, PauseUs: 500_000}
	// quarrelling is one in which many want the same.
	quarrelling = plan.Load{Writers: 1, Rivals: 10, Readers: 1, Watchers: 1, PauseUs: 300_000}
	// wandering is one that starts, changes and moves workloads.
	wandering = plan.Load{Writers: 1, Readers: 1, Watchers: 1, Probes: 12, Movers: 6, PauseUs: 200_000}
	// staying is one that leaves the workloads alone.
	staying = plan.Load{Writers: 1, Readers: 1, Watchers: 1, Probes: 6, PauseUs: 1_000_000}
	// coupled is one of workloads that depend on each other.
	coupled = plan.Load{Writers: 1, Readers: 1, Watchers: 1, Probes: 2, Couples: 12, PauseUs: 50_000}
	// rendering is one of workloads that use configs.
	rendering = plan.Load{Writers: 1, Readers: 1, Listers: 1, Watchers: 1, Configurers: 4, PauseUs: 200_000}
	// telling is one that creates and deletes much, and is told of it.
	telling = plan.Load{Writers: 1, Makers: 2, Readers: 1, Watchers: 1, Subscribers: 4, PauseUs: 500_000}
	// plain is one that notices when nothing is acknowledged.
	plain = plan.Load{Writers: 2, Readers: 1, Watchers: 1, PauseUs: 1_000_000}
)

// simulations are the cases in virtual time.
func simulations() []Case {
	const second = time.Second
	killing := simulationOf(100*second, changing, append([]plan.Step{step(0, plan.SlowNetwork, 100*second, 0.5)}, every(20*second, 5, plan.KillLeader, 4*second)...))
	moves := simulationOf(100*second, wandering, every(30*second, 3, plan.CutAgent, 15*second))
	rests := simulationOf(60*second, staying, []plan.Step{step(10*second, plan.KillLeader, 4*second, 0), step(30*second, plan.KillAll, 15*second, 0)})
	couples := simulationOf(40*second, coupled, nil)
	cases := []Case{
		{Bug: planted.EarlyAnswer, What: "a write is answered before a majority has it", Invariants: []string{"S1"}, Plan: killing},
		{Bug: planted.StaleRead, What: "a replica answers linearizable reads before it has caught up", Invariants: []string{"S4"}, Plan: killing},
		{Bug: planted.LeaseRead, What: "a leader that the others do not reach any more answers reads as if it still led", Invariants: []string{"S4"},
			Plan: simulationOf(480*second, reading, pairs(40*second, 12, 15*second))},
		{Bug: planted.NoMemory, What: "a request that is repeated is carried out again", Invariants: []string{"S2"}, Plan: killing},
		{Bug: planted.LateCompare, What: "an expected revision is compared with what is committed, not with what is in flight", Invariants: []string{"S6"},
			Plan: simulationOf(3*second, quarrelling, nil)},
		{Bug: planted.LostChange, What: "a watch that is resumed leaves a change out", Invariants: []string{"S7"}, Plan: killing},
		{Bug: planted.RepeatedChange, What: "a watch that is resumed shows a change again", Invariants: []string{"S7"}, Plan: killing},
		{Bug: planted.LostRow, What: "a row is missing after a snapshot was restored", Invariants: []string{"S9"},
			Plan: simulationOf(40*second, changing, every(20*second, 2, plan.KillLeader, 4*second), snapshotsEvery(50))},
		{Bug: planted.SealedTwice, What: "followers store more of an entry than their leader does", Invariants: []string{"S8"}, Plan: killing},
		{Bug: planted.OlderSnapshot, What: "what an entry has written is missing in the snapshot after it, and not in its hash", Invariants: []string{"S10"},
			Plan: simulationOf(20*second, changing, nil, snapshotsEvery(50))},
		{Bug: planted.OwnAuthority, What: "a replica that reaches no leader answers linearizable reads as if it were one", Invariants: []string{"S5"},
			Plan: simulationOf(480*second, changing, pairs(40*second, 12, 20*second))},
		{Bug: planted.TakenForCurrent, What: "an agent that comes back is not told what has changed", Invariants: []string{"A5"}, Plan: moves},
		{Bug: planted.FalseAlarm, What: "what is no error is logged as one", Invariants: []string{"Q1"},
			Plan: simulationOf(30*second, wandering, nil)},
		{Bug: planted.EarlyBird, What: "a workload is started without waiting for what it depends on", Invariants: []string{"A8"}, Plan: couples},
		{Bug: planted.EarlyEnd, What: "a workload is stopped without waiting for those that depend on it", Invariants: []string{"A8"}, Plan: couples},
		{Bug: planted.OldConfigs, What: "a workload is rendered anew with what its configs were before the write", Invariants: []string{"S13"},
			Plan: simulationOf(40*second, rendering, []plan.Step{step(15*second, plan.KillLeader, 4*second, 0)})},
		{Bug: planted.LostEvent, What: "no event tells what changed before a subscription started again", Invariants: []string{"S14"},
			Plan: simulationOf(120*second, telling, every(40*second, 3, plan.CutLeader, 25*second))},
		{Bug: planted.HastyLevel, What: "a leader uses what a server that is away may not know", Invariants: []string{"S12"},
			Plan: simulationOf(30*second, plain, []plan.Step{step(2*second, plan.KillServer, 25*second, 0), step(4*second, plan.UpgradeServers, second, 0)}, older)},
		{Bug: planted.DeafLeader, What: "a leader whose disk does not answer goes on with heartbeats", Invariants: []string{"L1"},
			Plan: simulationOf(480*second, plain, one(160*second, 3, plan.StallDisk, 150*second))},
		{Bug: planted.LoneAccuser, What: "a server takes leadership when it alone does not hear the leader", Invariants: []string{"L2"},
			Plan: simulationOf(60*second, plain, []plan.Step{step(5*second, plan.Ring, 50*second, 0)}, fiveServers)},
		{Bug: planted.EarlyMove, What: "a workload starts on its new agent before the old one has removed it", Invariants: []string{"A1"}, Plan: moves},
		{Bug: planted.EmptyMemory, What: "a new leader begins as if agents that are not there had nothing", Invariants: []string{"A1"},
			Plan: simulationOf(100*second, wandering, []plan.Step{step(15*second, plan.CutAgent, 60*second, 0), step(25*second, plan.KillLeader, 4*second, 0)})},
		{Bug: planted.HastyHeir, What: "a new leader gives the first agent that comes to it the workloads of the others", Invariants: []string{"A2"}, Plan: rests},
		{Bug: planted.EarlyStart, What: "the new version of a workload is started beside the old one", Invariants: []string{"A1"}, Plan: moves},
		{Bug: planted.NewBroom, What: "an agent that finds a leader again restarts its workloads", Invariants: []string{"A4"}, Plan: rests},
		{Bug: planted.Abandon, What: "an agent that loses its leader removes its workloads", Invariants: []string{"A3"}, Plan: rests},
		{Bug: planted.Orphan, What: "what was unassigned while an agent was away runs on", Invariants: []string{"A6", "A1"},
			Plan: simulationOf(100*second, wandering, every(50*second, 2, plan.KillAgent, 30*second))},
	}
	for i := range cases {
		cases[i].Simulated = true
	}
	return cases
}

func older(p *plan.Plan) { p.Settings.OldLevel = argosyv1.FeatureBase }

func fiveServers(p *plan.Plan) { p.Settings.Servers = 5 }

// pairs cuts two pairs of three servers at a time, so that often one of them
// reaches the clients only.
func pairs(period time.Duration, times int, lasts time.Duration) []plan.Step {
	var steps []plan.Step
	for i, s := range every(period, times, plan.CutPair, lasts) {
		for j := range uint64(2) {
			s.Choice = uint64(100*i) + j
			steps = append(steps, s)
		}
	}
	return steps
}

// one does a fault to one server after the other, from the beginning.
func one(period time.Duration, times int, kind plan.Kind, lasts time.Duration) []plan.Step {
	steps := every(period, times, kind, lasts)
	for i := range steps {
		steps[i].AtMs -= (period / 2).Milliseconds()
	}
	return steps
}
