package plan

import "slices"

// kinds are all faults, in the order of the constants.
var kinds = []Kind{
	KillLeader, KillServer, KillTwice, KillAll,
	StopLeader, TransferLeader, RollServers, UpgradeServers,
	PauseLeader, PauseFollower, PauseAgent,
	CutLeader, Halves, Bridge, Ring, CutIn, CutOut, CutPair, Isolate, Swizzle,
	SlowNetwork, BlackHole, Flap, ResetAll, NarrowNetwork,
	PowerLeader, PowerServer, PowerAll, PowerAgent,
	StallDisk, SlowDisk, BreakDisk, FillDisk, ReadOnlyDisk, FewFiles,
	FlipBits, CutFile, OldFile, WipeServer,
	StarveServer, SqueezeMemory, KillForMemory,
	KillAgent, KillKeeper, KillWorkload, CutAgent, KillPodman,
}

// Kinds returns the names of all faults.
func Kinds() []Kind { return slices.Clone(kinds) }

// Known tells whether there is a fault of the name.
func (k Kind) Known() bool { return slices.Contains(kinds, k) }

// fits tells whether a fault can be done to a cluster at all.
func (k Kind) fits(s Settings) bool {
	switch {
	case k == Ring:
		// Of three servers, each that reaches a majority reaches all.
		return s.Servers >= 5
	case k == UpgradeServers:
		return s.OldLevel > 0
	case k == KillPodman:
		return s.Podman
	case k.needsShaping():
		return s.Shaped
	}
	return true
}

// needsShaping tells whether a fault needs hosts that are joined by a switch
// which can delay and lose packets.
func (k Kind) needsShaping() bool { return k == SlowNetwork || k == BlackHole || k == NarrowNetwork }
