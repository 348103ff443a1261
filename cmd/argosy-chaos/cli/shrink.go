package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/report"
)

// shrunkFile is the smaller plan, in the directory in which it was searched for.
const shrunkFile = "shrunk.json"

func (a *app) shrinkCommand() *cobra.Command {
	var options trialOptions
	var invariants []string
	var within time.Duration
	tries := 2
	cmd := &cobra.Command{
		Use:   "shrink PLAN|DIR",
		Short: "Find the fewest faults of a plan that still show a violation",
		Long: `Shrink runs smaller and smaller parts of a plan while they show what the whole one
showed, and writes the smallest to ` + shrunkFile + ` in the directory of the trials.
It takes as many trials as there are faults, or a few times more; each is run up
to --tries times before it counts as one that holds.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := planOf(args[0])
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if within > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, within, errEnough)
				defer cancel()
			}
			return a.withTrials(&options, func() error { return a.shrink(ctx, &options, p, tries, invariants) })
		},
	}
	cmd.Flags().StringSliceVar(&invariants, "invariant", nil, "only a violation of one of these counts, such as S4 (default: of any)")
	cmd.Flags().IntVar(&tries, "tries", tries, "how often a smaller plan is tried before it counts as one that holds")
	cmd.Flags().DurationVar(&within, "within", 0, "end the search after so long, with the smallest plan so far (default: when there is no smaller one)")
	options.addFlags(cmd.Flags())
	return cmd
}

// errEnough ends a search for a smaller plan when its time is over.
var errEnough = errors.New("the time for the search is over")

func (a *app) shrink(ctx context.Context, options *trialOptions, p *plan.Plan, tries int, invariants []string) error {
	small, err := plan.Shrink(ctx, p, tries, func(ctx context.Context, p *plan.Plan) (bool, error) {
		fmt.Fprintf(a.out, "trying %d faults: ", len(p.Steps))
		result, err := a.trial(ctx, options, p)
		if err != nil {
			return false, err
		}
		if err := a.conclude(result); errors.Is(err, errTold) && ctx.Err() == nil {
			return false, fmt.Errorf("a trial could not be judged, see %s", filepath.Join(result.Dir, report.PageFile))
		}
		return shows(result.Summary, invariants), nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	path := filepath.Join(options.dir, shrunkFile)
	if err := small.Write(path); err != nil {
		return err
	}
	var steps []string
	for _, step := range small.Steps {
		steps = append(steps, fmt.Sprintf("%d %s", step.N, step.Fault))
	}
	fmt.Fprintf(a.out, "%d of %d faults are left: %s\nthey are in %s\n", len(small.Steps), len(p.Steps), strings.Join(steps, ", "), path)
	// What is left shows a violation.
	return errViolated
}

// shows tells whether a trial showed a violation of one of some invariants, of
// any when none is named.
func shows(s *report.Summary, invariants []string) bool {
	for _, invariant := range slices.Sorted(maps.Keys(s.Violations)) {
		if len(invariants) == 0 || slices.Contains(invariants, invariant) {
			return true
		}
	}
	return false
}
