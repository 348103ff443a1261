package plan

import "time"

// Version is that of the file of a plan. One of another version is refused.
const Version = 1

// Kind is the name of a fault. Package fault has what each of them does.
type Kind string

// The faults. The numbers are those of the table of nemeses that the suite was
// designed by.
const (
	// KillLeader kills the leader's process and starts it again (1).
	KillLeader Kind = "kill-leader"
	// KillServer kills a server, KillTwice one after the other within moments (2),
	// KillAll all of them (3).
	KillServer Kind = "kill-server"
	KillTwice  Kind = "kill-twice"
	KillAll    Kind = "kill-all"
	// StopLeader stops the leader as an operator would, TransferLeader has it give
	// leadership away, RollServers restarts one server after the other (4).
	StopLeader     Kind = "stop-leader"
	TransferLeader Kind = "transfer-leader"
	RollServers    Kind = "roll-servers"
	// UpgradeServers restarts one server after the other as one of the newest version
	// (31).
	UpgradeServers Kind = "upgrade-servers"
	// PauseLeader, PauseFollower and PauseAgent freeze a process (5).
	PauseLeader   Kind = "pause-leader"
	PauseFollower Kind = "pause-follower"
	PauseAgent    Kind = "pause-agent"
	// CutLeader cuts the leader off from everybody (6).
	CutLeader Kind = "cut-leader"
	// Halves cuts the cluster in two, clients and agents too (7).
	Halves Kind = "halves"
	// Bridge leaves one server as the only one that reaches both of the others,
	// Ring gives each server a majority of its own (8).
	Bridge Kind = "bridge"
	Ring   Kind = "ring"
	// CutIn and CutOut drop what a server is sent, or what it sends, CutPair what
	// one server sends another (9).
	CutIn   Kind = "cut-in"
	CutOut  Kind = "cut-out"
	CutPair Kind = "cut-pair"
	// Isolate cuts every server off from every other: no quorum (10).
	Isolate Kind = "isolate-all"
	// Swizzle cuts links one by one and heals them in another order (11).
	Swizzle Kind = "swizzle"
	// SlowNetwork delays, loses, repeats and reorders packets (12).
	SlowNetwork Kind = "slow-network"
	// BlackHole lets small packets pass and drops large ones, Flap takes a link
	// down and up, ResetAll breaks all connections (13).
	BlackHole Kind = "black-hole"
	Flap      Kind = "flap"
	ResetAll  Kind = "reset-connections"
	// NarrowNetwork bounds the rate of a server's link (14).
	NarrowNetwork Kind = "narrow-network"
	// PowerLeader, PowerServer and PowerAll cut the power of the leader, of any
	// server, of all of them at once; PowerAgent kills an agent with everything
	// that runs on its machine (15).
	PowerLeader Kind = "power-leader"
	PowerServer Kind = "power-server"
	PowerAll    Kind = "power-all"
	PowerAgent  Kind = "power-agent"
	// StallDisk lets a server's disk answer nothing (16).
	StallDisk Kind = "stall-disk"
	// SlowDisk lets it answer slowly (17).
	SlowDisk Kind = "slow-disk"
	// BreakDisk lets flushes or writes of a server fail (18).
	BreakDisk Kind = "break-disk"
	// FillDisk fills it, ReadOnlyDisk lets nothing be written, FewFiles leaves the
	// process no file descriptors (19).
	FillDisk     Kind = "fill-disk"
	ReadOnlyDisk Kind = "read-only-disk"
	FewFiles     Kind = "few-files"
	// FlipBits changes bits in the files of a server that is down, CutFile cuts
	// the end of one off, OldFile puts an older copy of one in its place (20).
	FlipBits Kind = "flip-bits"
	CutFile  Kind = "cut-file"
	OldFile  Kind = "old-file"
	// WipeServer removes a server's data; it comes back empty, under the same or
	// another name (21).
	WipeServer Kind = "wipe-server"
	// StarveServer gives a process little CPU time, SqueezeMemory little memory,
	// and KillForMemory less than it needs (23).
	StarveServer  Kind = "starve-server"
	SqueezeMemory Kind = "squeeze-memory"
	KillForMemory Kind = "kill-for-memory"
	// KillAgent kills an agent, which its workloads survive; KillKeeper what is
	// the parent of its processes; KillWorkload one workload; CutAgent cuts an
	// agent off; KillPodman ends the podman service.
	KillAgent    Kind = "kill-agent"
	KillKeeper   Kind = "kill-keeper"
	KillWorkload Kind = "kill-workload"
	CutAgent     Kind = "cut-agent"
	KillPodman   Kind = "kill-podman"
)

// The stores of the log that a server has.
const (
	BoltDB = "boltdb"
	WAL    = "wal"
)

// Plan is everything that a trial leaves to chance.
type Plan struct {
	// Version of the file.
	Version int `json:"version"`
	// Seed and Profile that it was made of.
	Seed    uint64 `json:"seed"`
	Profile string `json:"profile"`
	// Settings of the cluster.
	Settings Settings `json:"settings"`
	// Load on it.
	Load Load `json:"load"`
	// Duration is for how long faults are done, in milliseconds. What is in effect
	// then is healed, and the cluster left alone for a while.
	DurationMs int64 `json:"duration_ms"`
	// Steps are the faults, by time.
	Steps []Step `json:"steps"`
}

// Duration is for how long faults are done.
func (p *Plan) Duration() time.Duration { return time.Duration(p.DurationMs) * time.Millisecond }

// Step is one fault.
type Step struct {
	// N is its number, from 1. It stays the same when other steps are left out.
	N int `json:"n"`
	// AtMs is when it is done, in milliseconds from the beginning.
	AtMs int64 `json:"at_ms"`
	// Fault is what is done.
	Fault Kind `json:"fault"`
	// ForMs is for how long it is in effect, in milliseconds; for a process that is
	// ended, for how long it stays down.
	ForMs int64 `json:"for_ms"`
	// Choice decides between targets that are alike: the one of number Choice
	// modulo how many there are. Who they are is known only at that moment.
	Choice uint64 `json:"choice"`
	// Strength is how bad it is, from 0 to 1, for faults that may be worse or
	// better.
	Strength float64 `json:"strength,omitempty"`
}

// At is when it is done.
func (s Step) At() time.Duration { return time.Duration(s.AtMs) * time.Millisecond }

// For is for how long it is in effect.
func (s Step) For() time.Duration { return time.Duration(s.ForMs) * time.Millisecond }

// Settings are those of a cluster.
type Settings struct {
	// Servers (3 or 5) and Agents.
	Servers int `json:"servers"`
	Agents  int `json:"agents"`
	// SnapshotThreshold and TrailingLogs of Raft.
	SnapshotThreshold uint64 `json:"snapshot_threshold"`
	TrailingLogs      uint64 `json:"trailing_logs"`
	// TimingMultiplier stretches the profile "lan".
	TimingMultiplier float64 `json:"timing_multiplier"`
	// LogStore is BoltDB or WAL.
	LogStore string `json:"log_store"`
	// TLS turns mutual TLS on.
	TLS bool `json:"tls"`
	// Shaped joins the hosts by a switch in user space, which can delay and lose
	// packets, instead of by the kernel's router.
	Shaped bool `json:"shaped"`
	// DiskMB is the size of each server's disk in MiB.
	DiskMB int64 `json:"disk_mb"`
	// OldLevel is the feature level that servers know until they are upgraded, as if
	// they were of an older version; 0 for servers that are all of the newest.
	OldLevel uint32 `json:"old_level,omitempty"`
	// Podman lets agents run containers beside processes.
	Podman bool `json:"podman,omitempty"`
}

// Load is what is asked of a cluster meanwhile. Each number is one of clients.
type Load struct {
	// Writers change objects of their own by compare-and-set, Rivals all the same
	// few objects.
	Writers int `json:"writers"`
	Rivals  int `json:"rivals"`
	// Makers create and delete objects.
	Makers int `json:"makers"`
	// Appliers write several objects at once.
	Appliers int `json:"appliers"`
	// Readers read linearizably, StaleReaders what a server has, Listers
	// everything.
	Readers      int `json:"readers"`
	StaleReaders int `json:"stale_readers"`
	Listers      int `json:"listers"`
	// Watchers watch, each at another server.
	Watchers int `json:"watchers"`
	// Subscribers are told of what changes by events.
	Subscribers int `json:"subscribers,omitempty"`
	// LogFollowers follow what workloads print.
	LogFollowers int `json:"log_followers"`
	// Probes are workloads that give signs of life, Movers clients that change and
	// move some of them.
	Probes int `json:"probes"`
	Movers int `json:"movers"`
	// Couples are clients that each create and delete two workloads together, over and
	// over, of which one depends on the other.
	Couples int `json:"couples,omitempty"`
	// Configurers are clients that each write two configs and a workload whose
	// templates use both, together and one without the other.
	Configurers int `json:"configurers,omitempty"`
	// Askers are workloads that read and change an object of their own by their control
	// interface, are told of its changes, and follow their own logs there.
	Askers int `json:"askers,omitempty"`
	// PauseUs is how long each client waits between two calls, in microseconds, on
	// average.
	PauseUs int64 `json:"pause_us"`
}
