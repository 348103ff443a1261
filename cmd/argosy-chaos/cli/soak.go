package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/argosy-cluster/argosy/chaos/ledger"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/report"
	"github.com/argosy-cluster/argosy/chaos/soak"
	"github.com/argosy-cluster/argosy/chaos/trial"
)

// soakOptions say what a soak tries, and for how long.
type soakOptions struct {
	trials    trialOptions
	length    time.Duration
	each      time.Duration
	seed      uint64
	profile   string
	ledger    string
	keepGoing bool
}

func (o *soakOptions) addFlags(flags *pflag.FlagSet) {
	flags.DurationVar(&o.length, "for", time.Hour, "for how long trials are begun")
	flags.DurationVar(&o.each, "each", 0, "for how long faults are done in each trial (default: as long as the profile says)")
	flags.Uint64Var(&o.seed, "seed", 0, "number that the seeds of the trials are drawn by (default: a random one)")
	flags.StringVar(&o.profile, "profile", plan.Soak, "profile of the plans")
	flags.StringVar(&o.ledger, "ledger", ledger.File, "file to account in; empty for none")
	flags.BoolVar(&o.keepGoing, "keep-going", false, "go on after a violation")
	o.trials.addFlags(flags)
}

func (a *app) soakCommand() *cobra.Command {
	var options soakOptions
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Run one trial after the other, and account for them in the ledger",
		Long: `Soak runs trials of ever new seeds for a given time, and adds one line to the
ledger in the end, also when it is broken off with Ctrl-C. It stops at the first
violation unless told to go on. Trials that held are removed, others are kept. It
needs root.`,
		Example: `  argosy-chaos soak --for 60m
  argosy-chaos soak --for 8h --keep-going --dir /var/tmp/chaos`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("seed") {
				options.seed = randomSeed()
			}
			// Better now than in every trial.
			if _, err := plan.MakeFor(options.seed, options.profile, options.each); err != nil {
				return err
			}
			return a.withTrials(&options.trials, func() error { return a.soak(cmd.Context(), &options) })
		},
	}
	options.addFlags(cmd.Flags())
	return cmd
}

func (a *app) soak(ctx context.Context, o *soakOptions) error {
	tried := commit(ctx)
	_, err := soak.Run(ctx, soak.Config{
		For: o.length, Seed: o.seed, Profile: o.profile, Commit: tried, Dir: o.trials.dir, Ledger: o.ledger,
		KeepGoing: o.keepGoing, Keep: o.trials.keep, Out: a.out,
		Try: func(ctx context.Context, seed uint64, dir string) (*report.Summary, error) {
			return a.soakTrial(ctx, o, tried, seed, dir)
		},
	})
	if errors.Is(err, soak.ErrViolated) {
		fmt.Fprintln(a.err, "error:", err)
		return errViolated
	}
	return err
}

func (a *app) soakTrial(ctx context.Context, o *soakOptions, tried string, seed uint64, dir string) (*report.Summary, error) {
	p, err := plan.MakeFor(seed, o.profile, o.each)
	if err != nil {
		return nil, err
	}
	config := trial.Config{Plan: p, Dir: dir, Binary: o.trials.binary, Commit: tried, Keep: o.trials.keep, Quiet: o.trials.quiet}
	if o.trials.verbose {
		config.Out, config.Logger = a.out, slog.New(slog.NewTextHandler(a.err, nil))
	}
	result, err := trial.Run(ctx, config)
	if err != nil {
		return nil, err
	}
	return result.Summary, result.Err
}
