package ledger

import "github.com/argosy-cluster/argosy/chaos/plan"

// Goal is a figure that the suite aims at.
type Goal struct {
	// What is counted or measured.
	What string
	// Has is what was reached, Wants what is aimed at: at least that, or at most
	// when AtMost is set.
	Has, Wants float64
	AtMost     bool
	// Unit of both, empty for counts.
	Unit string
}

// Reached tells whether it was.
func (g Goal) Reached() bool {
	if g.AtMost {
		return g.Has <= g.Wants
	}
	return g.Has >= g.Wants
}

// Kinds that goals are about. Only what certainly is of the sort counts: a kill
// of any server may have struck the leader, but nobody says so.
var (
	leaderKills = []plan.Kind{plan.KillLeader, plan.KillAll}
	oneWay      = []plan.Kind{plan.CutIn, plan.CutOut, plan.CutPair}
	partitions  = append([]plan.Kind{plan.CutLeader, plan.Halves, plan.Bridge, plan.Ring, plan.Isolate, plan.Swizzle}, oneWay...)
	powerLosses = []plan.Kind{plan.PowerLeader, plan.PowerServer, plan.PowerAll}
	diskFaults  = []plan.Kind{plan.StallDisk, plan.BreakDisk, plan.FillDisk, plan.ReadOnlyDisk}
)

// Goals compares totals with what soaks aim at.
func (t *Totals) Goals() []Goal {
	count := func(what string, has int64, wants float64) Goal {
		return Goal{What: what, Has: float64(has), Wants: wants}
	}
	return []Goal{
		count("faults on real processes and disks", t.Real.All(), 3000),
		count("the leader killed", t.Real.Of(leaderKills...), 600),
		count("servers cut off from each other", t.Real.Of(partitions...), 300),
		count("of these one way only", t.Real.Of(oneWay...), 100),
		count("power lost", t.Real.Of(powerLosses...), 150),
		count("of these by all servers at once", t.Real.Of(plan.PowerAll), 50),
		count("disks that stalled, failed or were full", t.Real.Of(diskFaults...), 100),
		count("stored bits flipped", t.Real.Of(plan.FlipBits), 60),
		count("operations checked on real processes", t.Real.Operations, 1_500_000),
		{What: "simulated time", Has: t.VirtualHours, Wants: 200, Unit: "h"},
		{What: "violations", Has: float64(t.Real.Wrong() + t.Simulated.Wrong()), AtMost: true},
	}
}

// Bound is the outage that faults of a kind may cost, in milliseconds; 0 is no
// bound.
type Bound struct{ P50, P99, Max float64 }

// lost are the bounds for faults that nobody is told of: the leader is missed by
// its silence.
var lost = Bound{P50: 150, P99: 500}

// Bounds are the outages that the suite aims at, by kind. Those of other kinds
// are measured and not bound.
var Bounds = map[plan.Kind]Bound{
	plan.KillLeader:  {P50: 30, P99: 150, Max: 1000},
	plan.PauseLeader: lost,
	plan.CutLeader:   lost,
	plan.PowerLeader: lost,
	plan.StallDisk:   {Max: 1000},
	plan.PowerAll:    {P99: 2000},
}

// Keeps tells whether outages stay within the bound.
func (b Bound) Keeps(o Outage) bool {
	within := func(has, wants float64) bool { return wants == 0 || has <= wants }
	return within(o.P50, b.P50) && within(o.P99, b.P99) && within(o.Max, b.Max)
}
