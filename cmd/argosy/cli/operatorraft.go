package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func (a *app) raftTransferCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "transfer [SERVER]",
		Short: "Make another server lead",
		Long: `Transfer makes another server lead: the one that is named by its name or id, or
any that is level with the leader. Writes wait meanwhile and none is lost.`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				id := ""
				if len(args) == 1 {
					found, err := serverID(cmd.Context(), c, args[0])
					if err != nil {
						return err
					}
					id = found
				}
				response, err := c.TransferLeadership(cmd.Context(), id)
				if err != nil {
					return err
				}
				fmt.Fprintf(a.out, "leader is server %s at %s, term %d\n",
					response.GetHeader().GetLeaderId(), response.GetHeader().GetLeaderAddress(), response.GetHeader().GetTerm())
				return nil
			})
		},
	}
}

// serverID finds a server by its id or its name.
func serverID(ctx context.Context, c *client.Client, wanted string) (string, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, server := range status.GetServers() {
		if server.GetId() == wanted {
			return wanted, nil
		}
		if server.GetName() == wanted {
			ids = append(ids, server.GetId())
		}
	}
	switch len(ids) {
	case 0:
		return "", argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "find server %q: there is none of that name or id; see 'argosy get servers'", wanted)
	case 1:
		return ids[0], nil
	default:
		return "", usagef("find server %q: %d servers have that name: say which by its id, see 'argosy get servers -o wide'", wanted, len(ids))
	}
}
