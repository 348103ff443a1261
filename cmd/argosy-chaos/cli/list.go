package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/chaos/plan"
)

func (a *app) listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what the suite knows",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return errTold
		},
	}
	cmd.AddCommand(a.listProfilesCommand())
	return cmd
}

func (a *app) listProfilesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "profiles",
		Short: "List the profiles that plans are made of",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			table := tabwriter.NewWriter(a.out, 0, 8, 3, ' ', 0)
			fmt.Fprintln(table, "NAME\tFOR\tWHAT")
			for _, profile := range plan.Profiles() {
				fmt.Fprintf(table, "%s\t%v\t%s\n", profile.Name, profile.Duration, profile.What)
			}
			return table.Flush()
		},
	}
}
