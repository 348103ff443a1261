package cli

import (
	"github.com/spf13/cobra"
)

func (a *app) operatorCommand() *cobra.Command {
	return group("operator", "Look after the servers of a cluster",
		`Operator commands are for those who run a cluster. They talk to any server; what
only the leader can do is passed on to it.`,
		a.operatorServerCommand(), a.operatorRaftCommand(), a.operatorSettingsCommand(),
		a.operatorSnapshotCommand(), a.operatorRecoverCommand(),
	)
}

func (a *app) operatorRaftCommand() *cobra.Command {
	return group("raft", "Look into the servers' agreement on who leads", "", a.raftHistoryCommand(), a.raftTransferCommand())
}

// group is a command that only has commands.
func group(name, short, long string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name + " COMMAND",
		Short: short,
		Long:  long,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usagef("unknown command %q for %q: see '%s --help'", args[0], cmd.CommandPath(), cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return &usageError{errFailed}
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}
