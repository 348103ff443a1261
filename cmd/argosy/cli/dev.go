package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/chaos/cluster"
)

func (a *app) devCommand() *cobra.Command {
	config := cluster.Config{FixedAddresses: true, HTTP: true, AgentName: "agent-%d"}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole cluster on this machine",
		Long: `Dev runs three servers (127.0.0.1, 127.0.0.2, 127.0.0.3) and two agents, each a
process of its own, until Ctrl-C. The command line of the same machine finds it
without any flag.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if config.Servers < 1 || config.Agents < 0 {
				return usagef("a cluster of %d servers and %d agents cannot be: give at least one server", config.Servers, config.Agents)
			}
			if config.Dir == "" {
				if config.Dir, err = os.MkdirTemp("", "argosy-dev-"); err != nil {
					return fmt.Errorf("make directory for the cluster: %w", err)
				}
				defer func() { err = errors.Join(err, os.RemoveAll(config.Dir)) }()
			}
			return a.dev(cmd.Context(), config)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config.Dir, "data-dir", "", "keep the cluster's data there (default: a temporary directory)")
	flags.IntVar(&config.Servers, "servers", 3, "number of servers")
	flags.IntVar(&config.Agents, "agents", 2, "number of agents")
	flags.StringSliceVar(&config.Runtimes, "runtimes", []string{"process"}, "runtimes of the agents: process, podman")
	flags.StringVar(&config.PodmanSocket, "podman-socket", "", "address of the podman service")
	return cmd
}

func (a *app) dev(ctx context.Context, config cluster.Config) (err error) {
	if err := os.MkdirAll(config.Dir, 0o755); err != nil {
		return fmt.Errorf("make directory for the cluster: %w", err)
	}
	c, err := cluster.New(config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.Start(ctx); err != nil {
		return err
	}
	for _, p := range append(append([]*cluster.Process{}, c.Servers...), c.Agents...) {
		fmt.Fprintf(a.out, "%-10s pid %-8d log %s\n", p.Name, p.PID(), p.LogPath)
	}
	fmt.Fprintf(a.out, "\nready: servers %s\ntry 'argosy status'; Ctrl-C ends it\n", strings.Join(c.Endpoints(), ", "))
	<-ctx.Done()
	fmt.Fprintln(a.out, "ending")
	return nil
}
