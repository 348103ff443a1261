package report

import "github.com/argosy-cluster/argosy/chaos/plan"

// family is a sort of faults, which share a colour.
type family struct {
	// Class of the style, and Name for people.
	Class, Name string
	kinds       []plan.Kind
}

var families = []family{
	{"process", "processes", []plan.Kind{
		plan.KillLeader, plan.KillServer, plan.KillTwice, plan.KillAll, plan.StopLeader, plan.TransferLeader, plan.RollServers, plan.UpgradeServers,
		plan.PauseLeader, plan.PauseFollower,
	}},
	{"network", "network", []plan.Kind{
		plan.CutLeader, plan.Halves, plan.Bridge, plan.Ring, plan.CutIn, plan.CutOut, plan.CutPair, plan.Isolate, plan.Swizzle,
		plan.SlowNetwork, plan.BlackHole, plan.Flap, plan.ResetAll, plan.NarrowNetwork,
	}},
	{"disk", "power and disks", []plan.Kind{
		plan.PowerLeader, plan.PowerServer, plan.PowerAll, plan.StallDisk, plan.SlowDisk, plan.BreakDisk, plan.FillDisk, plan.ReadOnlyDisk,
	}},
	{"data", "stored data", []plan.Kind{plan.FlipBits, plan.CutFile, plan.OldFile, plan.WipeServer}},
	{"scarce", "too little of something", []plan.Kind{plan.FewFiles, plan.StarveServer, plan.SqueezeMemory, plan.KillForMemory}},
	{"agent", "agents and workloads", []plan.Kind{
		plan.PauseAgent, plan.PowerAgent, plan.KillAgent, plan.KillKeeper, plan.KillWorkload, plan.CutAgent, plan.KillPodman,
	}},
}

// classes are the classes of all kinds.
var classes = func() map[string]string {
	of := map[string]string{}
	for _, f := range families {
		for _, kind := range f.kinds {
			of[string(kind)] = f.Class
		}
	}
	return of
}()
