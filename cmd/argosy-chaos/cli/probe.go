package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/chaos/traffic/probe"
)

// probeCommand is what workloads of a trial run.
func (a *app) probeCommand() *cobra.Command {
	config := probe.Config{Binary: os.Args[0], Out: a.out}
	cmd := &cobra.Command{
		Use:    probe.Name,
		Short:  "Give signs of life until told to end: a workload of a trial",
		Hidden: true,
		Args:   usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return probe.Run(cmd.Context(), config)
		},
	}
	config.AddFlags(cmd.Flags())
	return cmd
}
