package cli

import (
	"context"
	"slices"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
	"github.com/argosy-cluster/argosy/server/rebuild"
)

func (a *app) serverCommand() *cobra.Command {
	config := server.DefaultConfig()
	var logs logOptions
	logStore := string(config.LogStore)
	cmd := &cobra.Command{
		Use:   "server --data-dir DIR",
		Short: "Run one server replica",
		Long: `Server runs one replica of the control side. Three servers that are each given
--bootstrap-expect 3 and --join with the addresses of all found a cluster; a
server that is given --join alone joins one.`,
		Example: `  argosy server --data-dir /var/lib/argosy --bootstrap-expect 1
  argosy server --data-dir /var/lib/argosy --bootstrap-expect 3 --join s1,s2,s3 \
    --api-address 192.0.2.1:25551 --raft-address 192.0.2.1:25552 --gossip-address 192.0.2.1:25553 \
    --ca-pem ca.pem --crt-pem s1.pem --key-pem s1-key.pem`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.options.resolve(); err != nil {
				return err
			}
			config.TLS, config.Insecure = a.options.tls, a.options.insecure
			config.Version = a.version
			config.LogStore = storage.Kind(logStore)
			if !slices.Contains([]storage.Kind{storage.BoltDB, storage.WAL}, config.LogStore) {
				return usagef("--log-store %q is not known: use %s or %s", logStore, storage.BoltDB, storage.WAL)
			}
			if config.HTTPAddress == "off" {
				config.HTTPAddress = ""
			}
			if config.FeatureLevel > argosyv1.FeatureLevel {
				return usagef("--feature-level %d is more than this program knows: it knows %d", config.FeatureLevel, argosyv1.FeatureLevel)
			}
			logger, err := logs.logger(a.err)
			if err != nil {
				return err
			}
			config.Logger = logger
			if err := config.Validate(); err != nil {
				return &usageError{err}
			}
			tolerateGarbage()
			keep := rebuild.DefaultConfig(config.DataDir, func() (rebuild.Replica, error) {
				s, err := server.Open(config)
				if err != nil {
					return nil, err
				}
				notify(daemon.SdNotifyReady)
				return s, nil
			})
			keep.Logger = logger
			keep.Spared = func(ctx context.Context) error { return server.Spared(ctx, config) }
			return rebuild.Run(cmd.Context(), keep)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config.DataDir, "data-dir", "", "directory for the server's id, log and snapshots (required)")
	flags.StringVar(&config.Name, "name", "", "name for people (default: the host name)")
	flags.StringVar(&config.Cluster, "cluster", config.Cluster, "name of the cluster; others are not heard")
	flags.StringVar(&config.APIAddress, "api-address", config.APIAddress, "address of the API")
	flags.StringVar(&config.RaftAddress, "raft-address", config.RaftAddress, "address for the other servers")
	flags.StringVar(&config.GossipAddress, "gossip-address", config.GossipAddress, "address for gossip, TCP and UDP")
	flags.StringVar(&config.HTTPAddress, "http-address", config.HTTPAddress, "address for health and metrics; off for none")
	flags.StringVar(&config.Advertise, "advertise", "", "host by which others reach this server (default: where it listens)")
	flags.IntVar(&config.BootstrapExpect, "bootstrap-expect", 0, "found a cluster together with so many servers in all")
	flags.StringSliceVar(&config.Join, "join", nil, "gossip addresses of servers to begin with, host[:port]")
	flags.StringVar(&config.StartupManifest, "startup-manifest", "", "manifest that an empty cluster starts from")
	flags.StringVar(&config.KeyringFile, "keyring-file", "", "keys of gossip, a JSON list of base64 texts")
	flags.StringVar(&config.Timing, "timing", config.Timing, "timing profile: lan or wan")
	flags.Float64Var(&config.TimingMultiplier, "timing-multiplier", config.TimingMultiplier, "stretches all times of the profile")
	flags.StringVar(&logStore, "log-store", logStore, "store of the log: boltdb or wal")
	flags.Uint64Var(&config.SnapshotThreshold, "snapshot-threshold", config.SnapshotThreshold, "log entries between snapshots")
	flags.Uint64Var(&config.TrailingLogs, "trailing-logs", config.TrailingLogs, "log entries kept after a snapshot")
	flags.Uint32Var(&config.FeatureLevel, "feature-level", config.FeatureLevel, "use no more than this feature level, so that servers of an older version can take over again")
	flags.Var((*byteSize)(&config.DiskFloor), "disk-floor", "free space below which users' writes are refused, or 5% of the disk if that is less; 0 for never")
	flags.StringVar(&config.Backup.Dir, "backup-dir", "", "save the state to this directory by itself (default: not)")
	flags.DurationVar(&config.Backup.Interval, "backup-interval", config.Backup.Interval, "how long after a backup the next is taken, when anything has changed")
	flags.IntVar(&config.Backup.Keep, "backup-keep", config.Backup.Keep, "how many backups are kept")
	logs.addFlags(flags)
	return cmd
}

// notify tells systemd, where there is one.
func notify(state string) {
	// Without systemd there is nobody to tell.
	_, _ = daemon.SdNotify(false, state)
}
