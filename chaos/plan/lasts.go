package plan

import (
	"math"
	"time"
)

// thresholds are the times of a cluster at which what it does about a fault
// changes, with the profile "lan": silence that followers ask each other about,
// Raft's own timers and the leader's lease, the disk's watchdog, and the time
// after which an agent's silence is noticed.
var thresholds = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, 1500 * time.Millisecond}

// lasts draws for how long a fault of a kind is in effect.
func (m *maker) lasts(kind Kind) time.Duration {
	switch kind {
	case TransferLeader, ResetAll, KillWorkload, KillKeeper:
		return 0
	case KillLeader, KillServer, KillTwice, KillAll, StopLeader, KillAgent, KillForMemory:
		return m.between(100*time.Millisecond, 2*time.Second)
	case RollServers, UpgradeServers, FlipBits, CutFile, OldFile, WipeServer:
		// The process is down for that long, once or a few times.
		return m.between(50*time.Millisecond, 500*time.Millisecond)
	case PowerLeader, PowerServer, PowerAll, PowerAgent:
		return m.between(100*time.Millisecond, 1500*time.Millisecond)
	case Isolate, Halves, Bridge, Ring, CutAgent, PauseAgent:
		return m.between(500*time.Millisecond, 5*time.Second)
	case Swizzle, SlowNetwork, BlackHole, NarrowNetwork, SlowDisk, StarveServer, SqueezeMemory:
		return m.between(1500*time.Millisecond, 5*time.Second)
	case BreakDisk, FillDisk, ReadOnlyDisk, FewFiles, KillPodman:
		return m.between(500*time.Millisecond, 3*time.Second)
	}
	return m.around()
}

// between draws a time, of which each order of magnitude is as likely.
func (m *maker) between(least, most time.Duration) time.Duration {
	return time.Duration(float64(least) * math.Pow(float64(most)/float64(least), m.rand.Float64()))
}

// around draws a time about one of the thresholds: half of it, as long, or twice
// as long, a little more or less.
func (m *maker) around() time.Duration {
	threshold := float64(pick(m.rand, thresholds...)) * m.pace * pick(m.rand, 0.5, 1, 2)
	return time.Duration(threshold * (0.9 + 0.2*m.rand.Float64()))
}
