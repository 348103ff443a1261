package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/agent"
	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/kube"
	"github.com/argosy-cluster/argosy/agent/runtime/podman"
	"github.com/argosy-cluster/argosy/agent/runtime/process"
	"github.com/argosy-cluster/argosy/agent/runtime/process/keeper"
	"github.com/argosy-cluster/argosy/membership"
	"github.com/argosy-cluster/argosy/membership/identity"
)

// agentOptions are the flags of an agent.
type agentOptions struct {
	cluster, gossip, advertise, keyring string
	join, runtimes                      []string
	podmanSocket                        string
	logs                                logOptions
}

func (a *app) agentCommand() *cobra.Command {
	config := agent.DefaultConfig()
	var o agentOptions
	cmd := &cobra.Command{
		Use:   "agent --name NAME --data-dir DIR",
		Short: "Run the agent of one node",
		Long: `Agent runs what the cluster assigns to this node. It finds the leader by itself,
from the servers it is given and by gossip. When it ends, what it runs goes on;
when it is started again, it takes over what it finds.`,
		Example: "  argosy agent --name a1 --data-dir /var/lib/argosy-agent --server s1,s2,s3 --join s1,s2,s3",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.options.resolve(); err != nil {
				return err
			}
			logger, err := o.logs.logger(a.err)
			if err != nil {
				return err
			}
			config.Version, config.Logger = a.version, logger
			config.Servers = withDefaultPort(a.options.servers, "25551")
			return a.runAgent(cmd.Context(), config, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config.Name, "name", "", "name of the agent, unique in the cluster (required)")
	flags.StringVar(&config.DataDir, "data-dir", "", "directory for what the agent must remember (required)")
	flags.StringVarP(&config.RunFolder, "run-folder", "r", filepath.Join(os.TempDir(), "argosy"), "directory for the files and control interfaces of workloads")
	flags.StringToStringVar(&config.Tags, "tag", nil, "tag, key=value; may be given several times")
	flags.DurationVar(&config.Reconcile.LongestPause, "restart-pause-max", config.Reconcile.LongestPause, "how long the restart of a workload that ends again and again waits at most; 0 for not at all")
	flags.DurationVar(&config.Reconcile.PresumeAfter, "start-without-servers", config.Reconcile.PresumeAfter, "after how long without a server what was last assigned is started when the machine was started anew; 0 for never")
	flags.StringSliceVar(&o.runtimes, "runtimes", []string{podman.Name, kube.Name}, "runtimes to offer: podman, podman-kube, process (which runs commands on this machine)")
	flags.StringVar(&o.podmanSocket, "podman-socket", "", "address of the podman service (default: podman's own)")
	flags.StringVar(&o.cluster, "cluster", "argosy", "name of the cluster; others are not heard")
	flags.StringVar(&o.gossip, "gossip-address", "127.0.0.1:0", "address for gossip, TCP and UDP; off for none")
	flags.StringVar(&o.advertise, "advertise", "", "host by which others reach this agent (default: where it listens)")
	flags.StringSliceVar(&o.join, "join", nil, "gossip addresses of servers, host[:port] (default: the hosts of --server)")
	flags.StringVar(&o.keyring, "keyring-file", "", "keys of gossip, a JSON list of base64 texts")
	o.logs.addFlags(flags)
	cmd.AddCommand(a.listAgentsCommand(), a.removeAgentCommand())
	return cmd
}

// runAgent wires an agent's parts and runs it.
func (a *app) runAgent(ctx context.Context, config agent.Config, o agentOptions) (err error) {
	switch {
	case config.Name == "":
		return usagef("name the agent with --name; its workloads are assigned to that name")
	case config.DataDir == "":
		return usagef("say with --data-dir where agent %s keeps what it must remember", config.Name)
	}
	if err := config.ValidateName(); err != nil {
		return &usageError{err}
	}
	if config.TLS, err = a.agentTLS(config.Name); err != nil {
		return err
	}
	if err := a.options.checkReach(config.Servers, config.TLS != nil); err != nil {
		return err
	}
	if config.Runtimes, err = o.makeRuntimes(config); err != nil {
		return err
	}
	if o.gossip != "off" {
		gossip, err := o.openGossip(config, a.options.insecure)
		if err != nil {
			return err
		}
		defer func() { _ = gossip.Close() }()
		config.Gossip = agent.FromMembership(gossip)
	}
	if err := config.Validate(); err != nil {
		return &usageError{err}
	}
	node, err := agent.New(config)
	if err != nil {
		return err
	}
	// Not before it has its directories for itself: until then it may yet refuse.
	ended := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		select {
		case <-node.Ready():
			notify(daemon.SdNotifyReady)
		case <-ended:
		}
	})
	err = node.Run(ctx)
	close(ended)
	telling.Wait()
	return err
}

// agentTLS loads the agent's certificate; nil without one.
func (a *app) agentTLS(name string) (*tls.Config, error) {
	if a.options.tls.Empty() {
		return nil, nil
	}
	own, err := identity.Load(a.options.tls)
	if err != nil {
		return nil, err
	}
	if err := own.CheckAgent(name); err != nil {
		return nil, err
	}
	return own.ClientTLS(identity.ServerName), nil
}

func (o *agentOptions) makeRuntimes(config agent.Config) ([]runtime.Runtime, error) {
	var runtimes []runtime.Runtime
	for _, name := range o.runtimes {
		made, err := o.makeRuntime(name, config)
		if err != nil {
			return nil, err
		}
		runtimes = append(runtimes, made)
	}
	return runtimes, nil
}

func (o *agentOptions) makeRuntime(name string, config agent.Config) (runtime.Runtime, error) {
	switch name {
	case podman.Name:
		settings := podman.DefaultConfig(config.Name)
		settings.Logger = config.Logger.With("runtime", name)
		if o.podmanSocket != "" {
			settings.Service = o.podmanSocket
		}
		return podman.New(settings)
	case kube.Name:
		settings := kube.DefaultConfig(config.Name)
		settings.Logger = config.Logger.With("runtime", name)
		if o.podmanSocket != "" {
			settings.Service = o.podmanSocket
		}
		return kube.New(settings)
	case process.Name:
		binary, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find own program for the keeper: %w", err)
		}
		dir, err := filepath.Abs(filepath.Join(config.DataDir, "processes"))
		if err != nil {
			return nil, fmt.Errorf("find directory for processes: %w", err)
		}
		settings := process.DefaultConfig()
		settings.Dir, settings.AgentName, settings.Version = dir, config.Name, config.Version
		settings.KeeperCommand = []string{binary, "keeper"}
		settings.Logger = config.Logger.With("runtime", name)
		return process.New(settings)
	default:
		return nil, usagef("runtime '%s' is not known: use podman, podman-kube or process", name)
	}
}

func (o *agentOptions) openGossip(config agent.Config, insecure bool) (*membership.Membership, error) {
	// Gossip has a keyring, no certificates.
	if err := identity.CheckBind(o.gossip, o.keyring != "", insecure || config.TLS != nil); err != nil {
		return nil, usagef("--gossip-address: %w", err)
	}
	settings := membership.DefaultConfig()
	settings.Cluster = o.cluster
	settings.Self = membership.Member{ID: config.Name, Name: config.Name, Role: membership.RoleAgent, Version: config.Version}
	settings.BindAddress, settings.AdvertiseAddress = o.gossip, o.advertise
	settings.KeyringFile = o.keyring
	settings.Logger = config.Logger.With("part", "gossip")
	settings.Join = o.join
	if len(settings.Join) == 0 {
		for _, server := range config.Servers {
			host, _, err := net.SplitHostPort(server)
			if err != nil {
				return nil, usagef("read server address %q: %w", server, err)
			}
			settings.Join = append(settings.Join, host)
		}
	}
	return membership.Open(settings)
}

func withDefaultPort(addresses []string, port string) []string {
	var complete []string
	for _, address := range addresses {
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(strings.Trim(address, "[]"), port)
		}
		complete = append(complete, address)
	}
	return complete
}

// keeperCommand is what an agent starts beside itself to be the parent of its
// processes.
func (a *app) keeperCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:    "keeper --dir DIR",
		Short:  "Be the parent of an agent's processes",
		Hidden: true,
		Args:   usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("say with --dir where the processes are kept; agents start keepers by themselves")
			}
			return keeper.Main(cmd.Context(), dir, slog.New(slog.NewTextHandler(a.err, nil)))
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the processes")
	return cmd
}
