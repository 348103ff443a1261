package consensus

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/network"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// Config says where a node keeps its data, where it is reached, and how it
// waits.
type Config struct {
	// DataDir is the directory that makes this server the one it is: its id,
	// its cluster's id and Raft's state. One process may use it at a time.
	DataDir string
	// RaftAddress is the address to listen on, host:port.
	RaftAddress string
	// AdvertiseAddress is the address that the other servers dial, host:port.
	// Default: what is listened on. Needed when RaftAddress names no host.
	AdvertiseAddress string
	// Timing is how the servers wait for each other. Default LAN.
	Timing Timing
	// LogStore is the kind of the log store. Default storage.BoltDB.
	LogStore storage.Kind
	// LogSegmentBytes is how large each file of a WAL is. Default 16 MiB; see
	// storage.Config for why nobody need choose.
	LogSegmentBytes int
	// SnapshotThreshold is how many entries make a snapshot worthwhile. Default
	// 8192: fewer shorten the replay after a restart, at the price of writing
	// the whole state more often.
	SnapshotThreshold uint64
	// SnapshotInterval is how often that is looked at. Default 30 s.
	SnapshotInterval time.Duration
	// TrailingLogs is how many entries are kept beyond a snapshot for followers
	// that lag. Default 10240: too few send a slow follower snapshot after
	// snapshot.
	TrailingLogs uint64
	// TLS is what the servers know each other by. Default nil: plain TCP.
	TLS *identity.Identity
	// DiskStall is how long one write to the log may take before a leader lets
	// go, beside a second for each 10 MB of it. Default 500 ms, so that writes go
	// on within a second of a stall. A leader that was only slow loses nothing by
	// it: its writes have waited for longer than an election takes. A follower
	// that stalls is not taken for dead.
	DiskStall time.Duration
	// CommitStall is how long a leader may commit nothing of what waits before
	// it steps down. Default 10 s.
	CommitStall time.Duration
	// FeatureLevel is the highest feature level that this binary knows. Default
	// argosyv1.FeatureLevel.
	FeatureLevel uint32
	// Network is by what the servers talk to each other. Default nil: the
	// system's.
	Network network.Streams
	// Disk is put around the files of the log, so that a simulation and tests have
	// disks that hang and fail. Default nil: nothing is.
	Disk func(raft.LogStore) raft.LogStore
	// Logger takes the log. Default nil: none.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults for a data directory and an address.
func DefaultConfig(dataDir, raftAddress string) Config {
	return Config{
		DataDir:           dataDir,
		RaftAddress:       raftAddress,
		Timing:            LAN(),
		LogStore:          storage.BoltDB,
		LogSegmentBytes:   storage.DefaultConfig("").SegmentBytes,
		SnapshotThreshold: 8192,
		SnapshotInterval:  30 * time.Second,
		TrailingLogs:      10240,
		DiskStall:         500 * time.Millisecond,
		CommitStall:       10 * time.Second,
		FeatureLevel:      argosyv1.FeatureLevel,
	}
}

// Validate checks the configuration.
func (c Config) Validate() error {
	switch {
	case c.DataDir == "":
		return fmt.Errorf("configure consensus: no data directory")
	case c.RaftAddress == "":
		return fmt.Errorf("configure consensus: no Raft address to listen on")
	case c.LogStore != storage.BoltDB && c.LogStore != storage.WAL:
		return fmt.Errorf("configure consensus: log store %q is not known, use %q or %q", c.LogStore, storage.BoltDB, storage.WAL)
	case c.SnapshotThreshold == 0:
		return fmt.Errorf("configure consensus: snapshot threshold 0, use 1 or more")
	case c.SnapshotInterval < 5*time.Millisecond:
		return fmt.Errorf("configure consensus: snapshot interval %v, use 5ms or more", c.SnapshotInterval)
	case c.DiskStall <= 0:
		return fmt.Errorf("configure consensus: disk stall limit %v, use more than 0", c.DiskStall)
	case c.CommitStall <= 0:
		return fmt.Errorf("configure consensus: commit stall limit %v, use more than 0", c.CommitStall)
	}
	return c.Timing.Validate()
}

// Machine is the replicated state machine, as much of it as Raft needs. When
// it is a raft.ConfigurationStore too, entries of the configuration reach it
// and count as applied.
type Machine interface {
	raft.FSM
	// Applied returns the index of the last entry that reached it.
	Applied() uint64
	// WaitApplied waits until that is at least index.
	WaitApplied(ctx context.Context, index uint64) error
	// Failed returns why the machine cannot go on, nil when it can.
	Failed() error
	// FailedC is closed when it fails.
	FailedC() <-chan struct{}
}

// Deps is what a node needs of others.
type Deps struct {
	// Machine is the state machine.
	Machine Machine
	// Contact asks another server whether it, too, has not heard from a leader.
	// Without it a frozen leader is found by Raft's timers alone.
	Contact func(ctx context.Context, serverID string, request *argosyv1.ContactRequest) (*argosyv1.ContactResponse, error)
	// RaftAddress returns where a server is reached now, empty when that is not
	// known. It goes before the address in Raft's configuration, so that a
	// cluster whose servers all have new addresses finds itself again. May be
	// nil.
	RaftAddress func(serverID string) string
	// Meter counts what the node does. May be nil.
	Meter Meter
}

// Meter counts what a node does. It is called on hot paths and must not block.
type Meter interface {
	// Stored is called after each write to the log, with its flush.
	Stored(entries int, took time.Duration)
	// Stalled is called when a write to the log does not come back in time.
	Stalled()
	// Applied is called after each entry that the machine applied.
	Applied(took time.Duration)
	// SnapshotTaken is called when the machine has been asked for a snapshot,
	// which it can do nothing else beside.
	SnapshotTaken(paused time.Duration)
	// SnapshotWritten is called when a snapshot was written, or could not be.
	SnapshotWritten(took time.Duration, err error)
	// Restored is called when the machine has taken over a state.
	Restored(took time.Duration)
}

// unmetered counts nothing.
type unmetered struct{}

func (unmetered) Stored(int, time.Duration)            {}
func (unmetered) Stalled()                             {}
func (unmetered) Applied(time.Duration)                {}
func (unmetered) SnapshotTaken(time.Duration)          {}
func (unmetered) SnapshotWritten(time.Duration, error) {}
func (unmetered) Restored(time.Duration)               {}
