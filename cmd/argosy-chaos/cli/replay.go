package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

func (a *app) replayCommand() *cobra.Command {
	var options trialOptions
	times := 1
	cmd := &cobra.Command{
		Use:   "replay PLAN|DIR",
		Short: "Do what a plan says again, one or many times",
		Long: `Replay does what the plan of a file, or of the directory of a trial, says. With
--times it does so until a trial does not hold, at most so many times: what shows
itself now and then is found like that.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if times < 1 {
				return fmt.Errorf("--times %d: it must be 1 or more", times)
			}
			p, err := planOf(args[0])
			if err != nil {
				return err
			}
			return a.withTrials(&options, func() error { return a.replay(cmd.Context(), &options, p, times) })
		},
	}
	cmd.Flags().IntVar(&times, "times", 1, "how often at most")
	options.addFlags(cmd.Flags())
	return cmd
}

func (a *app) replay(ctx context.Context, options *trialOptions, p *plan.Plan, times int) error {
	for n := range times {
		if times > 1 {
			fmt.Fprintf(a.out, "%d of %d: ", n+1, times)
		}
		if err := a.runOne(ctx, options, p); err != nil {
			return err
		}
	}
	return nil
}

// planOf reads the plan of a file, or of the directory of a trial.
func planOf(path string) (*plan.Plan, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("find plan: %w: name the file of a plan, or the directory of a trial", err)
	}
	if info.IsDir() {
		path = filepath.Join(path, history.PlanFile)
	}
	return plan.Read(path)
}
