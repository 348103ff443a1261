package fault

import (
	"slices"

	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// table is all faults, in the order of package plan.
var table = []Fault{
	{plan.KillLeader, "kill the leader and start it again", 1, always, to(theLeader, down, late, killed)},
	{plan.KillServer, "kill a server and start it again", killCosts, always, to(aServer, down, late, killed)},
	{plan.KillTwice, "kill two servers within moments", 2, always, killedInTurn()},
	{plan.KillAll, "kill all servers at once", 2, always, to(allServers, down, late, killed)},
	{plan.StopLeader, "stop the leader in order and start it again", 1, always, to(theLeader, down, late, stopped)},
	{plan.TransferLeader, "have the leader give leadership away", 1, always, transferLeader},
	{plan.RollServers, "restart one server after the other, in order", 1, always, rollServers},
	{plan.UpgradeServers, "restart one server after the other as one of a newer version", 1, always, upgradeServers},
	{plan.PauseLeader, "freeze the leader and let it go on", 1, always, to(theLeader, down, late, paused)},
	{plan.PauseFollower, "freeze a follower and let it go on", 0, always, to(aFollower, down, late, paused)},
	{plan.PauseAgent, "freeze an agent and let it go on", 0, anyAgents, to(anAgent, down, late, paused)},
	{plan.CutLeader, "cut the leader off from everybody", 1, always, cutting(fromAll(theLeader))},
	{plan.Halves, "cut everything in two, clients and agents too", 1, always, cutting(halves)},
	{plan.Bridge, "leave one server as the only one that reaches both halves of the others", 1, always, cutting(bridge)},
	{plan.Ring, "give each server a majority of its own", 3, fiveServers, cutting(ring)},
	{plan.CutIn, "drop everything that a server is sent", 1, always, cutting(oneWay(onlyTo))},
	{plan.CutOut, "drop everything that a server sends", 1, always, cutting(oneWay(onlyFrom))},
	{plan.CutPair, "drop what one server sends another", 1, always, cutting(pair)},
	{plan.Isolate, "cut every server off from every other", 2, always, cutting(isolated)},
	{plan.Swizzle, "cut servers off one by one and heal them in another order", 5, always, swizzle},
	{plan.SlowNetwork, "delay, lose, repeat and reorder packets of one server or of all", 10, shapedHosts, shaping(ofOneOrAll, bad)},
	{plan.BlackHole, "let small packets of a server pass and drop large ones", 5, shapedHosts, shaping(ofOne, hole)},
	{plan.Flap, "take the link of a server down and up", 4, always, flap},
	{plan.ResetAll, "break all connections", 1, always, resetConnections},
	{plan.NarrowNetwork, "let few bytes a second pass from and to a server", 5, shapedHosts, shaping(ofOne, narrow)},
	{plan.PowerLeader, "cut the power of the leader's machine", 1, ownDisks, to(theLeader, down, late, powerLost)},
	{plan.PowerServer, "cut the power of a server's machine", 1, ownDisks, to(aServer, down, late, powerLost)},
	{plan.PowerAll, "cut the power of all servers at once", 2, ownDisks, to(allServers, down, late, powerLost)},
	{plan.PowerAgent, "cut the power of an agent's machine, with all that runs on it", 0, anyAgents, to(anAgent, down, late, powerLost)},
	{plan.StallDisk, "let a server's disk answer nothing", 1, ownDisks, to(leaderOrServer, slow, late, onDisk("answers nothing", (*lab.Disk).Stall, (*lab.Disk).Resume))},
	{plan.SlowDisk, "let a server's disk do few writes a second", 2, ownDisks, to(leaderOrServer, slow, late, slowedDown)},
	{plan.BreakDisk, "let flushes or writes of a server fail", 3, strace, to(leaderOrServer, slow, late, broken)},
	{plan.FillDisk, "fill a server's disk", 2, ownDisks, to(leaderOrServer, slow, late, onDisk("is full", (*lab.Disk).Fill, (*lab.Disk).Empty))},
	{plan.ReadOnlyDisk, "let nothing be written on a server's disk", 2, ownDisks, to(leaderOrServer, down, late, madeReadOnly)},
	{plan.FewFiles, "leave a server no file descriptors", 1, always, to(leaderOrServer, slow, late, fewFiles)},
	{plan.FlipBits, "change bits in a file of a server that is down", 1, always, damaging(flipBits)},
	{plan.CutFile, "cut the end of a file of a server that is down off", 1, always, damaging(cutFile)},
	{plan.OldFile, "put an older copy of a file, or of all files, of a server in its place", 2, always, putOldBack},
	{plan.WipeServer, "remove a server's data; it comes back empty", wipeCosts, always, spoiling(wipe)},
	{plan.StarveServer, "give a server little CPU time", 2, always, to(leaderOrServer, slow, late, starved)},
	{plan.SqueezeMemory, "give a server little more memory than it uses", 3, always, to(leaderOrServer, slow, late, squeezed)},
	{plan.KillForMemory, "give a server less memory than it needs, so that the kernel kills it", 1, always, to(leaderOrServer, down, late, killedForMemory)},
	{plan.KillAgent, "kill an agent, which its workloads survive", 0, anyAgents, to(anAgent, down, late, killed)},
	{plan.KillKeeper, "kill what is the parent of an agent's processes", 0, anyAgents, killKeeper},
	{plan.KillWorkload, "kill one workload", 0, anyAgents, killWorkload},
	{plan.CutAgent, "cut an agent off from everybody", 0, anyAgents, cutting(fromAll(anAgent))},
	{plan.KillPodman, "end the podman service and start it again", 0, podmanRuns, killPodman},
}

// All returns all faults.
func All() []Fault { return slices.Clone(table) }

// Of returns the fault of a kind.
func Of(kind plan.Kind) (Fault, bool) {
	i := slices.IndexFunc(table, func(f Fault) bool { return f.Kind == kind })
	if i < 0 {
		return Fault{}, false
	}
	return table[i], true
}
