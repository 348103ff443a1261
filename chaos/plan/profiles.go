package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Names of the profiles.
const (
	// Smoke is over in a moment: does anything work at all?
	Smoke = "smoke"
	// CI has every fault that a machine without special means can do.
	CI = "ci"
	// Soak has all faults, in the proportions in which they are to add up.
	Soak = "soak"
	// Long is Soak with containers.
	Long = "long"
)

// Profile says what plans are made of.
type Profile struct {
	// Name of the profile, and What it is for, in one line.
	Name, What string
	// Duration is for how long faults are done when nothing else is said.
	Duration time.Duration

	// every is the mean time from one fault to the next.
	every time.Duration
	// once are done once each before anything else, in any order.
	once []Kind
	// weights are how often each kind comes, compared to the others.
	weights map[Kind]int
	// larger lets there be five servers.
	larger bool
	// shaped is how many in 100 plans can delay and lose packets; slowed are the
	// faults that only those have.
	shaped int
	slowed []Kind
	podman bool
	load   Load
}

// usualLoad is what a cluster is asked meanwhile: a few hundred calls a second on
// a machine of two cores, most of which do the cluster's own work.
var usualLoad = Load{
	Writers: 4, Rivals: 3, Makers: 2, Appliers: 1, Readers: 3, StaleReaders: 3, Listers: 1, Watchers: 3,
	LogFollowers: 1, Probes: 4, Movers: 1, Configurers: 1, Subscribers: 1, Askers: 2, PauseUs: 10_000,
}

// ciLoad asks more: a trial of that profile is short, and has to show as much.
var ciLoad = Load{
	Writers: 4, Rivals: 3, Makers: 2, Appliers: 1, Readers: 5, StaleReaders: 6, Listers: 1, Watchers: 3,
	LogFollowers: 1, Probes: 4, Movers: 1, Configurers: 1, Subscribers: 1, Askers: 2, PauseUs: 6_000,
}

// sparseLoad leaves room for the containers.
var sparseLoad = Load{
	Writers: 3, Rivals: 2, Makers: 1, Appliers: 1, Readers: 3, StaleReaders: 2, Listers: 1, Watchers: 3,
	LogFollowers: 1, Probes: 6, Movers: 2, Configurers: 1, Subscribers: 1, Askers: 2, PauseUs: 20_000,
}

// ciFaults are those that every machine can do on which there is a lab at all.
var ciFaults = []Kind{
	KillLeader, KillServer, KillTwice, KillAll, StopLeader, TransferLeader, RollServers,
	PauseLeader, PauseFollower, PauseAgent,
	CutLeader, Halves, Bridge, Ring, CutIn, CutOut, CutPair, Isolate,
	PowerLeader, PowerServer, PowerAll, PowerAgent, StallDisk,
	FlipBits, CutFile, OldFile, KillAgent, KillKeeper, KillWorkload, CutAgent,
}

var ciWeights = map[Kind]int{
	KillLeader: 4, KillServer: 2, PauseLeader: 2, CutLeader: 2, CutIn: 1, CutOut: 1, CutPair: 1,
	PowerAll: 1, PowerLeader: 1, StallDisk: 1, FlipBits: 1, KillAgent: 1,
}

// soakWeights are made for sums: of 3,000 faults 600 are kills of the leader,
// 300 partitions, a third of them one way, 150 losses of power, a third of
// them of all, 100 disks that do not answer or err, and 60 flips of bits.
var soakWeights = map[Kind]int{
	KillLeader: 44, KillServer: 10, KillTwice: 5, KillAll: 4, StopLeader: 5, TransferLeader: 5, RollServers: 2,
	PauseLeader: 8, PauseFollower: 4, PauseAgent: 3,
	CutLeader: 6, Halves: 5, Bridge: 3, Ring: 3, CutIn: 4, CutOut: 4, CutPair: 3, Isolate: 3, Swizzle: 2,
	Flap: 2, ResetAll: 3,
	PowerLeader: 5, PowerServer: 4, PowerAll: 5, PowerAgent: 3,
	StallDisk: 6, SlowDisk: 2, BreakDisk: 4, FillDisk: 2, ReadOnlyDisk: 2, FewFiles: 2,
	FlipBits: 6, CutFile: 3, OldFile: 3, WipeServer: 3,
	StarveServer: 2, SqueezeMemory: 1, KillForMemory: 2,
	KillAgent: 4, KillKeeper: 2, KillWorkload: 4, CutAgent: 4,
}

var slowed = []Kind{SlowNetwork, BlackHole, NarrowNetwork}

var profiles = []Profile{
	{
		Name: Smoke, What: "a few faults on three servers: does anything work at all?", Duration: 20 * time.Second,
		every: 2500 * time.Millisecond,
		once:  []Kind{KillLeader, CutLeader, PauseLeader, KillAgent},
		weights: map[Kind]int{
			KillLeader: 3, KillServer: 1, PauseFollower: 1, CutIn: 1, CutOut: 1, CutPair: 1, Isolate: 1, CutAgent: 1, KillWorkload: 1,
		},
		load: usualLoad,
	},
	{
		Name: CI, What: "every fault that needs no special means, once at least", Duration: 42 * time.Second,
		every: 1200 * time.Millisecond, once: ciFaults, weights: ciWeights, larger: true, shaped: 25, slowed: slowed[:1], load: ciLoad,
	},
	{
		Name: Soak, What: "all faults, as often as they are to add up", Duration: 2 * time.Minute,
		every: 1250 * time.Millisecond, weights: soakWeights, larger: true, shaped: 25, slowed: slowed, load: usualLoad,
	},
	{
		Name: Long, What: "as soak, with containers beside processes", Duration: 5 * time.Minute,
		every: 2500 * time.Millisecond, once: []Kind{KillPodman}, weights: soakWeights, larger: true, shaped: 25, slowed: slowed,
		podman: true, load: sparseLoad,
	},
}

// Profiles returns all profiles.
func Profiles() []Profile { return slices.Clone(profiles) }

func profileOf(name string) (*Profile, error) {
	var names []string
	for _, p := range profiles {
		if p.Name == name {
			return &p, nil
		}
		names = append(names, p.Name)
	}
	return nil, fmt.Errorf("make plan: %w: %q: there are %s", ErrProfile, name, strings.Join(names, ", "))
}
