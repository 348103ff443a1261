package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/membership/identity"
	"github.com/argosy-cluster/argosy/network"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/audit"
	"github.com/argosy-cluster/argosy/server/backup"
	"github.com/argosy-cluster/argosy/server/consensus"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
	"github.com/argosy-cluster/argosy/server/diskspace"
	"github.com/argosy-cluster/argosy/server/forward"
	"github.com/argosy-cluster/argosy/server/limits"
	"github.com/argosy-cluster/argosy/server/observed"
	"github.com/argosy-cluster/argosy/server/reader"
	"github.com/argosy-cluster/argosy/server/sessions"
	"github.com/argosy-cluster/argosy/server/writer"
)

// Config is everything that a user can say about a server.
type Config struct {
	// DataDir is where the server keeps its id and everything that must survive
	// a restart. Required; one process at a time may use it.
	DataDir string
	// Name is for people. Default: the host name.
	Name string
	// Version is that of the binary, for people.
	Version string
	// Cluster is the name of the cluster. Servers and agents of another name are
	// not heard. Default "argosy".
	Cluster string

	// APIAddress, RaftAddress and GossipAddress are where to listen, host:port;
	// port 0 takes any free one. Defaults 127.0.0.1:25551, :25552 and :25553.
	APIAddress, RaftAddress, GossipAddress string
	// HTTPAddress is where health and metrics are served. Default
	// 127.0.0.1:25554; empty means nowhere.
	HTTPAddress string
	// Advertise is the host by which others reach this server. Default: the one
	// it listens on. Required when it listens on all addresses.
	Advertise string

	// BootstrapExpect is how many servers found a new cluster together. Default
	// 0: this server founds none. All of them must be given the same number. It
	// is ignored once there is a cluster.
	BootstrapExpect int
	// Join are gossip addresses, host or host:port, of servers to begin with.
	Join []string
	// StartupManifest is a manifest file with the state that an empty cluster
	// starts from. Default none.
	StartupManifest string

	// TLS are the files for mutual TLS on every connection. Default none: then
	// only loopback addresses are listened on, unless Insecure.
	TLS identity.Files
	// Insecure allows addresses that other machines reach without TLS.
	Insecure bool
	// KeyringFile holds the keys of gossip. Default none.
	KeyringFile string

	// Timing is "lan" or "wan": how fast a dead leader is replaced against how
	// slow a network is borne. Default "lan".
	Timing string
	// TimingMultiplier stretches all times of the profile. Default 1.
	TimingMultiplier float64
	// LogStore is "boltdb" or "wal": a store that is proven against one that is
	// faster. Default "boltdb".
	LogStore storage.Kind
	// LogSegmentBytes is how large each file of a WAL is. Default 16 MiB; see
	// storage.Config for why nobody need choose.
	LogSegmentBytes int
	// SnapshotThreshold is after how many log entries a snapshot is taken.
	// Default 8192.
	SnapshotThreshold uint64
	// TrailingLogs is how many entries are kept after a snapshot, for followers
	// that lag. Default 10240.
	TrailingLogs uint64

	// DiskFloor is how many bytes must stay free below the data directory, or a
	// twentieth of the file system where that is less, for users' writes to be
	// taken. Default 256 MiB; 0 lets the disk become full.
	DiskFloor uint64

	// FeatureLevel is the highest feature level that this binary knows. Default
	// argosyv1.FeatureLevel; tests lower and raise it.
	FeatureLevel uint32

	// Backup says where and how often this server saves the state by itself.
	// Default: nowhere.
	Backup backup.ScheduleConfig

	// Writer, Forward, Reader, Observed and Sessions tune those parts.
	Writer   writer.Config
	Forward  forward.Config
	Reader   reader.Config
	Observed observed.Config
	Sessions sessions.Config
	// Audit says how often the states of the servers are compared.
	Audit audit.Config

	// Limits bound what clients can take.
	Limits limits.Config

	// Network is by what the server talks to everybody. Default nil: the system's.
	Network network.Network
	// Disk is put around the files of the log, so that a simulation has disks that
	// hang and fail. Default nil: nothing is.
	Disk func(raft.LogStore) raft.LogStore

	// measureDisk is set by tests; nil means diskspace.Of.
	measureDisk func(dir string) (diskspace.Usage, error)

	// Logger gets one line per event. Default: none.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	raft := consensus.DefaultConfig("", "")
	return Config{
		Cluster:           "argosy",
		APIAddress:        "127.0.0.1:25551",
		RaftAddress:       "127.0.0.1:25552",
		GossipAddress:     "127.0.0.1:25553",
		HTTPAddress:       "127.0.0.1:25554",
		Timing:            "lan",
		TimingMultiplier:  1,
		LogStore:          raft.LogStore,
		LogSegmentBytes:   raft.LogSegmentBytes,
		SnapshotThreshold: raft.SnapshotThreshold,
		TrailingLogs:      raft.TrailingLogs,
		DiskFloor:         diskspace.DefaultConfig().Floor,
		FeatureLevel:      argosyv1.FeatureLevel,
		Backup:            backup.DefaultScheduleConfig(),
		Limits:            limits.DefaultConfig(),
		Writer:            writer.DefaultConfig(),
		Forward:           forward.DefaultConfig(),
		Reader:            reader.DefaultConfig(),
		Observed:          observed.DefaultConfig(),
		Sessions:          sessions.DefaultConfig(),
		Audit:             audit.DefaultConfig(),
	}
}

// Validate says what is wrong with the configuration, without looking at disk
// or network.
func (c Config) Validate() error {
	var problems []error
	if c.DataDir == "" {
		problems = append(problems, errors.New("a data directory is needed (--data-dir)"))
	}
	if c.BootstrapExpect < 0 {
		problems = append(problems, fmt.Errorf("--bootstrap-expect is %d, it must not be negative", c.BootstrapExpect))
	}
	if c.BootstrapExpect > maxServers {
		problems = append(problems, fmt.Errorf("--bootstrap-expect is %d, at most %d servers found a cluster (3 or 5 are usual)", c.BootstrapExpect, maxServers))
	}
	if c.FeatureLevel < argosyv1.FeatureBase {
		problems = append(problems, fmt.Errorf("feature level %d, every server knows %d", c.FeatureLevel, argosyv1.FeatureBase))
	}
	if _, _, err := net.SplitHostPort(c.Advertise); err == nil {
		problems = append(problems, fmt.Errorf("--advertise %q must be a host without a port", c.Advertise))
	}
	for _, listen := range []struct{ flag, address string }{
		{"--api-address", c.APIAddress},
		{"--raft-address", c.RaftAddress},
		{"--gossip-address", c.GossipAddress},
		{"--http-address", c.HTTPAddress},
	} {
		if listen.address == "" && listen.flag == "--http-address" {
			continue
		}
		if err := c.checkListen(listen.flag, listen.address); err != nil {
			problems = append(problems, err)
		}
	}
	if _, err := consensus.TimingProfile(c.Timing, c.TimingMultiplier); err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, c.Writer.Validate(), c.Forward.Validate(), c.Reader.Validate(), c.Sessions.Validate(), c.Audit.Validate(), c.Limits.Validate(), c.Observed.Validate(), c.Backup.Validate())
	return errors.Join(problems...)
}

// maxServers bounds the servers of a cluster: each write waits for a majority.
const maxServers = 15

func (c Config) checkListen(flag, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s %q is not host:port", flag, address)
	}
	if ip := net.ParseIP(host); c.Advertise == "" && (host == "" || ip != nil && ip.IsUnspecified()) && flag != "--http-address" {
		return fmt.Errorf("%s %q listens on all addresses: say with --advertise by which of them others reach this server", flag, address)
	}
	// Gossip has no TLS, its keyring is checked by its own room.
	secured := !c.TLS.Empty() && flag != "--http-address"
	if err := identity.CheckBind(address, secured, c.Insecure); err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

// advertisedHost is the host that others are told, "" for the one listened on.
func (c Config) advertisedHost() string {
	return strings.Trim(c.Advertise, "[]")
}

// advertised is the address that others are told: the port that is listened on
// at the host that is advertised.
func (c Config) advertised(listening net.Addr) string {
	_, port, err := net.SplitHostPort(listening.String())
	if err != nil || c.Advertise == "" {
		return listening.String()
	}
	return net.JoinHostPort(c.advertisedHost(), port)
}

func (c Config) name() string {
	if c.Name != "" {
		return c.Name
	}
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return filepath.Base(c.DataDir)
}
