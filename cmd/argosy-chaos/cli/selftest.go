package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/chaos/selftest"
	"github.com/argosy-cluster/argosy/planted"
)

func (a *app) selftestCommand() *cobra.Command {
	var config selftest.Config
	var only []string
	var controls, list, keep, verbose bool
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Plant bugs in the product, one after the other, and demand that each is found",
		Long: `Selftest runs trials and simulations of programs in which bugs can be turned on,
and demands of each bug that an invariant which it breaks is found broken. They
were built with the tag "planted": 'make planted' makes both. Some of the plans,
others for every commit, are carried out without a bug, too, and nothing may be
wrong then. It needs root.`,
		Example: `  argosy-chaos selftest
  argosy-chaos selftest --only stale-read,no-flush --controls
  argosy-chaos selftest --list`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if config.Cases, err = casesOf(only); err != nil {
				return err
			}
			if list {
				for _, c := range config.Cases {
					how := "trial"
					if c.Simulated {
						how = "simulation"
					}
					fmt.Fprintf(a.out, "%-16s %-7s %-11s %s\n", c.Bug, strings.Join(c.Invariants, ", "), how, c.What)
				}
				return nil
			}
			config.Out, config.Controls = a.out, selftest.SomeControls
			if controls {
				config.Controls = selftest.AllControls
			}
			if !cmd.Flags().Changed("seed") {
				config.Seed = seedOf(commit(cmd.Context()))
			}
			if verbose {
				config.Logger = slog.New(slog.NewTextHandler(a.err, nil))
			}
			return a.selftest(cmd.Context(), config, keep)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config.Binary, "binary", "bin/argosy-planted", "the argosy program with bugs that can be turned on")
	flags.StringVar(&config.Simulator, "simulator", "bin/argosy-chaos-planted", "the argosy-chaos program with bugs that can be turned on")
	flags.StringVar(&config.Dir, "dir", "", "directory to make those of trials in (default: a temporary one, removed when all were found)")
	flags.StringSliceVar(&only, "only", nil, "the bugs to plant (default: all)")
	flags.IntVar(&config.Tries, "tries", 8, "how often a bug is provoked until it is found")
	flags.IntVar(&config.Parallel, "parallel", 2, "how many trials and simulations run at once")
	flags.BoolVar(&controls, "controls", false, "carry out all plans without a bug, too, instead of a few")
	flags.Uint64Var(&config.Seed, "seed", 0, "the number that chooses those few (default: made of the commit)")
	flags.BoolVar(&list, "list", false, "list the bugs, and what has to find them")
	flags.BoolVar(&keep, "keep", false, "keep the directory in any case")
	flags.BoolVar(&verbose, "verbose", false, "log every step to standard error")
	return cmd
}

func casesOf(names []string) ([]selftest.Case, error) {
	all := selftest.Cases()
	if len(names) == 0 {
		return all, nil
	}
	var cases []selftest.Case
	for _, name := range names {
		c, ok := selftest.Of(planted.Bug(name))
		if !ok {
			var known []string
			for _, c := range all {
				known = append(known, string(c.Bug))
			}
			slices.Sort(known)
			return nil, fmt.Errorf("choose bugs: there is no bug %q: there are %s", name, strings.Join(known, ", "))
		}
		cases = append(cases, c)
	}
	return cases, nil
}

func (a *app) selftest(ctx context.Context, config selftest.Config, keep bool) error {
	temporary := config.Dir == ""
	if temporary {
		var err error
		if config.Dir, err = os.MkdirTemp("", "argosy-selftest-"); err != nil {
			return fmt.Errorf("make directory for trials: %w", err)
		}
	} else if err := os.MkdirAll(config.Dir, 0o755); err != nil {
		return fmt.Errorf("make directory for trials: %w", err)
	}
	began := time.Now()
	report, err := selftest.Run(ctx, config)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%d of %d bugs were found, and %d plans carried out without any, in %v\n",
		report.Found(), len(report.Outcomes), len(report.Controls), time.Since(began).Round(time.Second))
	if report.Good() && temporary && !keep {
		return os.RemoveAll(config.Dir)
	}
	fmt.Fprintf(a.out, "what was done is in %s\n", config.Dir)
	if !report.Good() {
		return errTold
	}
	return nil
}

// seedOf makes a number of a commit, so that each has another sample; 0 when it is
// not known.
func seedOf(commit string) uint64 {
	const digits = 8
	seed, err := strconv.ParseUint(commit[:min(len(commit), digits)], 16, 64)
	if err != nil {
		return 0
	}
	return seed
}
