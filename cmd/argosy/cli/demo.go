package cli

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/chaos/demo"
)

func (a *app) demoCommand() *cobra.Command {
	config := demo.Config{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Kill the leader of a cluster on this machine and see that nothing is lost",
		Long: `Demo starts three servers and two agents on loopback addresses, runs containers
and processes on them, kills the leader under load, and checks what was promised.
On a terminal the cluster stays up until Ctrl-C. Its last line is "N passed, N failed".`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find own program: %w", err)
			}
			config.Binary = binary
			config.Out = a.out
			if !cmd.Flags().Changed("stay") {
				config.Stay = isTerminal(a.out) && isTerminal(a.in)
			}
			err = demo.Run(cmd.Context(), config)
			if errors.Is(err, demo.ErrStepFailed) {
				return errFailed
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&config.NoPodman, "no-podman", false, "use plain processes alone")
	cmd.Flags().BoolVar(&config.Stay, "stay", false, "keep the cluster up until interrupted (default: on a terminal)")
	cmd.Flags().DurationVar(&config.Load, "load", 2*time.Second, "how long to write before and after the kill")
	return cmd
}
