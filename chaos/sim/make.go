package sim

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/argosy-cluster/argosy/chaos/plan"
)

// Profile is the name of the plans of simulations.
const Profile = "sim"

// thresholds are the times of a cluster at which what it does about a fault
// changes, for a multiplier of 1.
var thresholds = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, 1500 * time.Millisecond}

// weights are how often each fault comes, compared to the others.
var weights = map[plan.Kind]int{
	plan.KillLeader: 6, plan.KillServer: 3, plan.KillTwice: 2, plan.KillAll: 1, plan.PowerLeader: 3, plan.PowerServer: 2, plan.PowerAll: 1,
	plan.StopLeader: 2, plan.TransferLeader: 3, plan.RollServers: 1,
	plan.CutLeader: 5, plan.CutIn: 3, plan.CutOut: 3, plan.CutPair: 3, plan.Halves: 4, plan.Bridge: 2, plan.Ring: 2, plan.Isolate: 2,
	plan.Swizzle: 2, plan.Flap: 2, plan.ResetAll: 2, plan.SlowNetwork: 3, plan.BlackHole: 2,
	plan.StallDisk: 3, plan.SlowDisk: 2, plan.BreakDisk: 2,
	plan.FlipBits: 2, plan.CutFile: 1, plan.OldFile: 2, plan.WipeServer: 2,
	plan.KillAgent: 4, plan.PowerAgent: 2, plan.CutAgent: 4, plan.KillWorkload: 3,
}

// every is the mean time between two faults.
const every = 8 * time.Second

// MakePlan makes the plan of a seed whose faults are done for so long.
func MakePlan(seed uint64, duration time.Duration) *plan.Plan {
	random := rand.New(rand.NewPCG(seed, 0))
	p := &plan.Plan{
		Version: plan.Version, Seed: seed, Profile: Profile, DurationMs: duration.Milliseconds(),
		Settings: plan.Settings{
			Servers: 3, Agents: 2 + random.IntN(3),
			SnapshotThreshold: pick(random, uint64(50), 200, 1000), TrailingLogs: 10_000_000,
			TimingMultiplier: pick(random, 5.0, 10, 10, 15), LogStore: pick(random, plan.BoltDB, plan.WAL), DiskMB: 512,
		},
		Load: plan.Load{
			Writers: 2, Rivals: 2, Makers: 1, Appliers: 1, Readers: 3, StaleReaders: 2, Listers: 1, Watchers: 3, LogFollowers: 0,
			Probes: 4, Movers: 1, Couples: 1, Configurers: 1, Subscribers: 1, PauseUs: int64(4 * time.Second / time.Microsecond),
		},
	}
	if random.IntN(4) == 0 {
		p.Settings.Servers = 5
	}
	var deck []plan.Kind
	for _, kind := range Kinds() {
		for range weights[kind] {
			deck = append(deck, kind)
		}
	}
	for at := time.Duration(0); ; {
		at += time.Duration(random.ExpFloat64() * float64(every))
		if at >= duration {
			plan.Mix(p)
			return p
		}
		kind := deck[random.IntN(len(deck))]
		p.Steps = append(p.Steps, plan.Step{
			N: len(p.Steps) + 1, AtMs: at.Milliseconds(), Fault: kind,
			ForMs:    lasts(random, p.Settings.TimingMultiplier).Milliseconds(),
			Choice:   uint64(random.Uint32()),
			Strength: float64(random.IntN(101)) / 100,
		})
	}
}

// lasts draws for how long a fault is in effect: about one of the thresholds
// mostly, sometimes much longer.
func lasts(random *rand.Rand, pace float64) time.Duration {
	if random.IntN(4) == 0 {
		return time.Duration(float64(time.Second) * pace * math.Pow(5, random.Float64()))
	}
	return time.Duration(float64(pick(random, thresholds...)) * pace * pick(random, 0.5, 1, 2) * (0.9 + 0.2*random.Float64()))
}

func pick[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }
