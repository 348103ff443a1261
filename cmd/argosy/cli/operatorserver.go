package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) operatorServerCommand() *cobra.Command {
	list := a.getServersCommand()
	list.Use, list.Aliases, list.Short = "list", []string{"ls"}, "Show the servers of the cluster"
	return group("server", "Choose which servers belong to the cluster",
		`A new server joins by itself: start it with --join and the gossip address of any
server. It gets its vote once it has caught up.

To replace a machine that is lost, let the new one join, then remove the old one;
the cluster also does that by itself after a while (see 'argosy operator settings').`,
		list, a.removeServerCommand(), a.promoteServerCommand())
}

func (a *app) removeServerCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "remove SERVER",
		Aliases: []string{"rm"},
		Short:   "Take a server out of the cluster for good",
		Long: `Remove takes a server out of the cluster, by its name or id. One that leads hands
leadership over first. A server that still runs stops by itself; to let it join
again, empty its data directory, for it will be another one.

It is refused when too few voters would be reachable to go on without the server.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				response, err := c.RemoveServer(cmd.Context(), &argosyv1.RemoveServerRequest{Server: args[0], Force: force})
				if err != nil {
					return err
				}
				fmt.Fprintf(a.out, "server %s was removed\n", response.GetServerId())
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "remove it even if that may leave the cluster without a quorum")
	return cmd
}

func (a *app) promoteServerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "promote SERVER",
		Short: "Give a server its vote without waiting until it counts as stable",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				response, err := c.PromoteServer(cmd.Context(), &argosyv1.PromoteServerRequest{Server: args[0]})
				if err != nil {
					return err
				}
				fmt.Fprintf(a.out, "server %s votes\n", response.GetServerId())
				return nil
			})
		},
	}
}
