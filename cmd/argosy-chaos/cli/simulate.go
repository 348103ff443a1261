package cli

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/ledger"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/sim"
	"github.com/argosy-cluster/argosy/chaos/trial"
)

// simulateOptions say what is simulated.
type simulateOptions struct {
	hours    float64
	seed     uint64
	seeds    int
	parallel int
	file     string
	dir      string
	ledger   string
}

func (a *app) simulateCommand() *cobra.Command {
	var o simulateOptions
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Run the whole system in virtual time, and do faults to it by the thousand",
		Long: `Simulate runs real servers, agents and clients in virtual time, joined by a network
in memory, does faults to them, and judges the record as that of a trial. Hours
pass in seconds; it needs no root. The hours are shared by several seeds, each of
which is a cluster of its own in a process of its own. What did not hold is kept.`,
		Example: `  argosy-chaos simulate
  argosy-chaos simulate --hours 24 --seeds 24
  argosy-chaos simulate --seed 7 --seeds 1 --hours 1
  argosy-chaos simulate --plan sim-7/plan.json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("seed") {
				o.seed = randomSeed()
			}
			for _, name := range []string{"seed", "seeds", "hours"} {
				if o.file != "" && cmd.Flags().Changed(name) {
					return fmt.Errorf("--plan and --%s contradict each other: the file says all", name)
				}
			}
			return a.simulate(cmd.Context(), &o)
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&o.hours, "hours", 6, "virtual hours in which faults are done, of all seeds together")
	flags.Uint64Var(&o.seed, "seed", 0, "the first seed; the others follow it (default: a random one)")
	flags.IntVar(&o.seeds, "seeds", 6, "how many seeds share the hours")
	flags.IntVar(&o.parallel, "parallel", runtime.NumCPU(), "how many are simulated at the same time")
	flags.StringVar(&o.file, "plan", "", "file of a plan, instead of seeds and hours")
	flags.StringVar(&o.dir, "dir", "", "directory to keep in what did not hold (default: a temporary one)")
	flags.StringVar(&o.ledger, "ledger", "", "file to account in (default: none)")
	return cmd
}

// plans are those of the seeds, or the one of the file.
func (o *simulateOptions) plans() ([]*plan.Plan, error) {
	if o.file != "" {
		p, err := plan.Read(o.file)
		return []*plan.Plan{p}, err
	}
	if o.seeds < 1 || o.parallel < 1 {
		return nil, fmt.Errorf("--seeds %d and --parallel %d must be above 0", o.seeds, o.parallel)
	}
	var plans []*plan.Plan
	for i := range o.seeds {
		p := sim.MakePlan(o.seed+uint64(i), time.Duration(o.hours*float64(time.Hour)/float64(o.seeds)))
		if err := p.Validate(); err != nil {
			return nil, fmt.Errorf("simulate %g hours over %d seeds: %w", o.hours, o.seeds, err)
		}
		plans = append(plans, p)
	}
	return plans, nil
}

func (a *app) simulate(ctx context.Context, o *simulateOptions) error {
	_, err := a.simulateTotal(ctx, o)
	return err
}

// simulateTotal simulates all and returns what it adds up to, which is nil when
// nothing was begun.
func (a *app) simulateTotal(ctx context.Context, o *simulateOptions) (*ledger.Soak, error) {
	plans, err := o.plans()
	if err != nil {
		return nil, err
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "argosy-sim-"); err != nil {
			return nil, fmt.Errorf("make directory for simulations: %w", err)
		}
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory for simulations: %w", err)
	}
	// It stays when something is in it.
	defer func() { _ = os.Remove(o.dir) }()
	began := time.Now()
	total := &ledger.Soak{
		Commit: commit(ctx), Seed: plans[0].Seed, Profile: sim.Profile, Started: began.Format(time.RFC3339),
		Faults: map[string]int64{}, Violations: map[string]int64{}, OutageMs: map[string]ledger.Outage{},
	}
	a.simulateAll(ctx, o, plans, total)
	total.Minutes = time.Since(began).Minutes()
	faults := int64(0)
	for _, n := range total.Faults {
		faults += n
	}
	fmt.Fprintf(a.out, "%.2f virtual hours in %.0f s: %d faults, %d operations checked, %d of %d seeds judged, violations %v\n",
		total.VirtualHours, time.Since(began).Seconds(), faults, total.Operations, total.Trials, len(plans), total.Violations)
	if o.ledger != "" && total.Trials > 0 {
		if err := ledger.Append(o.ledger, total); err != nil {
			return total, err
		}
	}
	switch {
	case len(total.Violations) > 0:
		return total, errViolated
	case ctx.Err() != nil:
		return total, fmt.Errorf("simulate: %w", context.Cause(ctx))
	case total.Trials < int64(len(plans)):
		return total, errTold
	}
	return total, nil
}

// simulateAll simulates as many plans at a time as it may, and adds up.
func (a *app) simulateAll(ctx context.Context, o *simulateOptions, plans []*plan.Plan, total *ledger.Soak) {
	var mu sync.Mutex
	var all sync.WaitGroup
	places := make(chan struct{}, o.parallel)
	for _, p := range plans {
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-places }()
			dir := filepath.Join(o.dir, fmt.Sprint("sim-", p.Seed))
			s, err := sim.Apart{}.Simulate(ctx, p, dir)
			mu.Lock()
			defer mu.Unlock()
			a.account(total, p, s, err, dir)
		})
	}
	all.Wait()
}

// account adds what came of a simulation to all of them, and tells people.
func (a *app) account(total *ledger.Soak, p *plan.Plan, s *sim.Summary, err error, dir string) {
	again := fmt.Sprintf("  kept in %s, again: argosy-chaos simulate --plan %s", dir, filepath.Join(dir, history.PlanFile))
	if err != nil {
		total.Failed++
		fmt.Fprintf(a.out, "seed %d: NOT JUDGED: %v\n%s\n", p.Seed, err, again)
		return
	}
	fmt.Fprintf(a.out, "seed %d: %.2f virtual hours in %.1f s, %d faults, %d operations checked\n", s.Seed, s.VirtualHours, s.RealSeconds, s.FaultCount(), s.Operations)
	if s.Error != "" || len(s.Unjudged) > 0 && len(s.Violations) == 0 {
		total.Failed++
	} else {
		total.Trials++
		total.VirtualHours += s.VirtualHours
		total.Operations += s.Operations
		for kind, n := range s.Faults {
			total.Faults[kind] += n
		}
	}
	for invariant, n := range s.Violations {
		total.Violations[invariant] += n
	}
	if len(s.Violations) > 0 {
		a.tellSimulated(s, dir)
	}
	for _, invariant := range slices.Sorted(maps.Keys(s.Unjudged)) {
		fmt.Fprintf(a.out, "  NOT JUDGED %s: %s\n", invariant, s.Unjudged[invariant])
	}
	if s.Error != "" {
		fmt.Fprintf(a.out, "  NOT JUDGED: %s\n", s.Error)
	}
	if s.Held() {
		// What is left is of no use to anybody.
		_ = os.RemoveAll(dir)
		return
	}
	fmt.Fprintln(a.out, again)
}

// tellSimulated prints each violation of a simulation, from the record that it
// left; the first ones alone when that cannot be read.
func (a *app) tellSimulated(s *sim.Summary, dir string) {
	if result, err := trial.Judge(dir); err == nil {
		a.tellViolations(result.Verdict, dir)
		return
	}
	for _, invariant := range slices.Sorted(maps.Keys(s.Violations)) {
		fmt.Fprintf(a.out, "  VIOLATED %s, %d times: %s\n", invariant, s.Violations[invariant], s.First[invariant])
	}
}

func (a *app) simulateOneCommand() *cobra.Command {
	var verbose bool
	var scratch string
	cmd := &cobra.Command{
		Use:    sim.Command + " PLAN DIR",
		Short:  "Simulate one plan, and leave in a directory what came of it",
		Hidden: true,
		Args:   usageArgs(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := plan.Read(args[0])
			if err != nil {
				return err
			}
			cfg := sim.Config{Plan: p, Dir: scratch, Stuck: func(stacks string) {
				fmt.Fprintf(a.err, "no virtual time has passed for %v\n%s\n", sim.StuckAfter, stacks)
				os.Exit(ExitUnjudged)
			}}
			if verbose {
				cfg.Log = slog.NewTextHandler(a.err, nil)
			}
			_, err = sim.Simulate(cfg, args[1])
			return err
		},
	}
	cmd.Flags().StringVar(&scratch, "scratch", "", "directory for files that are removed in the end (default: in memory)")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "print what the processes log")
	return cmd
}
