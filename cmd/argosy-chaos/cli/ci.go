package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/argosy-cluster/argosy/chaos/gate"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/report"
	"github.com/argosy-cluster/argosy/chaos/selftest"
	"github.com/argosy-cluster/argosy/planted"
)

// What must be done at least on real processes. How much is simulated and planted
// the options say.
const (
	leastFaults     = 50
	leastOperations = 30_000
)

// knownSeed is that of the trial which is the same for every change.
const knownSeed = 1

// keepWhole is how many times are kept whole that did not hold: of further ones only
// what people read, or weeks of them would fill the disk.
const keepWhole = 5

// bugsAtOnce is how many trials with bugs run at the same time: they mostly wait.
const bugsAtOnce = 2

// ciOptions say what every change has to pass.
type ciOptions struct {
	trials    trialOptions
	planted   string
	simulator string
	seed      uint64
	hours     float64
	times     int
	// bare keeps of what did not hold no more than what people read.
	bare bool
}

func (o *ciOptions) addFlags(flags *pflag.FlagSet) {
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the second trial, and the first one of the simulation (default: a random one)")
	flags.Float64Var(&o.hours, "hours", 6, "virtual hours to simulate")
	flags.StringVar(&o.planted, "planted", "", "the argosy program with bugs that can be turned on (default: argosy-planted beside this program)")
	flags.StringVar(&o.simulator, "planted-chaos", "", "the argosy-chaos program with bugs that can be turned on (default: argosy-chaos-planted beside this program)")
	flags.IntVar(&o.times, "times", 1, "how often to do all of it, each time with another seed")
	o.trials.addFlags(flags)
}

func (a *app) ciCommand() *cobra.Command {
	var o ciOptions
	cmd := &cobra.Command{
		Use:   "ci",
		Short: "Do what every change has to pass: trials, a simulation, and the planted bugs",
		Long: fmt.Sprintf(`Ci runs two trials of the profile %q, one of seed %d and one of another seed, then a
simulation, and trials with planted bugs, each of which must be found. It says
"held" only of %d faults and %d operations on real processes, of all virtual
hours, and of all planted bugs. What did not hold is kept, and printed in full:
violations, plan, and the last lines of every log. It needs root.`, plan.CI, knownSeed, leastFaults, leastOperations),
		Example: `  argosy-chaos ci
  argosy-chaos ci --seed 7 --dir /var/tmp/chaos
  argosy-chaos ci --times 50`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.times < 1 {
				return fmt.Errorf("--times %d: it must be 1 or more", o.times)
			}
			if !cmd.Flags().Changed("seed") {
				o.seed = randomSeed()
			}
			if err := o.resolve(); err != nil {
				return err
			}
			return a.withTrials(&o.trials, func() error { return a.ciTimes(cmd.Context(), &o) })
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// resolve finds the programs with bugs, and looks what can be simulated: better
// now than after the trials.
func (o *ciOptions) resolve() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	for _, bugs := range []struct {
		program    *string
		name, flag string
	}{{&o.planted, "argosy-planted", "planted"}, {&o.simulator, "argosy-chaos-planted", "planted-chaos"}} {
		if *bugs.program == "" {
			*bugs.program = filepath.Join(filepath.Dir(self), bugs.name)
		}
		if _, err := os.Stat(*bugs.program); err != nil {
			return fmt.Errorf("find the program with bugs: %w: build it with 'make planted', or name it with --%s", err, bugs.flag)
		}
	}
	_, err = o.simulation("").plans()
	return err
}

// simulation says what is simulated, below a directory.
func (o *ciOptions) simulation(dir string) *simulateOptions {
	// An hour each, mostly: the more there are the more differ.
	return &simulateOptions{hours: o.hours, seed: o.seed, seeds: max(1, int(o.hours)), parallel: runtime.NumCPU(), dir: dir}
}

// ciTimes does all of it as often as it shall, and tells how often it held.
func (a *app) ciTimes(ctx context.Context, o *ciOptions) error {
	if o.times == 1 {
		return a.ciOnce(ctx, o)
	}
	seeds := rand.New(rand.NewPCG(o.seed, 0))
	var told []string
	var worst error
	began, held := time.Now(), 0
	for n := range o.times {
		once := *o
		once.seed = seeds.Uint64() % 1e9
		once.bare = n-held >= keepWhole
		fmt.Fprintf(a.out, "\n%d of %d, seed %d\n", n+1, o.times, once.seed)
		err := a.ciOnce(ctx, &once)
		switch {
		case err == nil:
			held++
		case ctx.Err() == nil:
			told = append(told, fmt.Sprintf("  %d, seed %d: %v", n+1, once.seed, err))
		}
		if worst == nil || errors.Is(err, errViolated) {
			worst = err
		}
		if ctx.Err() != nil || errors.Is(err, lab.ErrUnable) {
			break
		}
	}
	fmt.Fprintf(a.out, "\n%d of %d held in %v\n", held, o.times, time.Since(began).Round(time.Second))
	for _, line := range told {
		fmt.Fprintln(a.out, line)
	}
	return worst
}

// ciOnce does all of it once.
func (a *app) ciOnce(ctx context.Context, o *ciOptions) error {
	began := time.Now()
	account := &gate.Account{Demand: gate.Demand{
		Faults: leastFaults, Operations: leastOperations, VirtualHours: o.hours, Bugs: int64(len(selftest.Cases())),
	}}
	// One thing after the other: what is judged by time, and bugs that are found by
	// good timing, need the machine for themselves.
	for _, seed := range []uint64{knownSeed, o.seed} {
		part, err := a.ciTrial(ctx, o, seed)
		if errors.Is(err, lab.ErrUnable) {
			return err
		}
		account.Add(part)
	}
	account.Add(a.ciSimulation(ctx, o))
	account.Add(a.ciBugs(ctx, o))
	account.Took = time.Since(began)
	if o.bare {
		for _, part := range account.Parts {
			if err := strip(part.Kept); err != nil {
				return err
			}
		}
	}
	fmt.Fprintln(a.out)
	if err := account.Write(a.out); err != nil {
		return err
	}
	switch account.Judgement() {
	case report.Held:
		return nil
	case report.Violated:
		return errViolated
	}
	if ctx.Err() != nil {
		return fmt.Errorf("broken off: %w", context.Cause(ctx))
	}
	return errTold
}

// ciTrial runs a trial of a seed. The error says that there is nothing to be
// judged, as the part does.
func (a *app) ciTrial(ctx context.Context, o *ciOptions, seed uint64) (gate.Part, error) {
	began := time.Now()
	part := gate.Part{Kind: gate.Trial, Name: fmt.Sprintf("trial of seed %d", seed), Judgement: report.NotJudged}
	if ctx.Err() != nil {
		part.Reasons = []string{"it was not begun"}
		return part, ctx.Err()
	}
	part.Again = fmt.Sprintf("argosy-chaos run --profile %s --seed %d", plan.CI, seed)
	p, err := plan.Make(seed, plan.CI)
	if err != nil {
		part.Reasons = []string{err.Error()}
		return part, err
	}
	result, err := a.trial(ctx, &o.trials, p)
	part.Took = time.Since(began)
	if err != nil {
		part.Reasons = []string{err.Error()}
		return part, err
	}
	s := result.Summary
	part.Judgement, part.Reasons, part.Operations = s.Judgement, s.Reasons, s.Checked
	for _, n := range s.Faults {
		part.Faults += n
	}
	if result.Err != nil && !result.Violated() {
		part.Judgement = report.NotJudged
		if len(part.Reasons) == 0 {
			part.Reasons = []string{result.Err.Error()}
		}
	}
	// The error is that which the part says.
	_ = a.conclude(result)
	if part.Judgement == report.Held {
		part.Again = ""
		if !o.trials.keep {
			return part, os.RemoveAll(result.Dir)
		}
		return part, nil
	}
	part.Kept = result.Dir
	if ctx.Err() == nil {
		a.tellAll(result)
	}
	return part, nil
}

// ciSimulation simulates.
func (a *app) ciSimulation(ctx context.Context, o *ciOptions) gate.Part {
	began := time.Now()
	part := gate.Part{Kind: gate.Simulation, Name: "simulation", Judgement: report.NotJudged}
	if ctx.Err() != nil {
		part.Reasons = []string{"it was not begun"}
		return part
	}
	options := o.simulation(filepath.Join(o.trials.dir, fmt.Sprint("simulation-", o.seed)))
	part.Again = fmt.Sprintf("argosy-chaos simulate --seed %d --seeds %d --hours %g", options.seed, options.seeds, options.hours)
	total, err := a.simulateTotal(ctx, options)
	part.Took = time.Since(began)
	if total != nil {
		part.VirtualHours, part.Operations = total.VirtualHours, total.Operations
		for _, n := range total.Faults {
			part.Faults += n
		}
	}
	switch {
	case err == nil:
		part.Judgement, part.Again = report.Held, ""
		return part
	case errors.Is(err, errViolated):
		part.Judgement = report.Violated
		part.Reasons = []string{fmt.Sprintf("violated: %v", total.Violations)}
	case errors.Is(err, errTold):
		part.Reasons = []string{"not every seed was judged, see above"}
	default:
		part.Reasons = []string{err.Error()}
	}
	part.Kept = options.dir
	return part
}

// ciBugs plants bugs.
func (a *app) ciBugs(ctx context.Context, o *ciOptions) gate.Part {
	began := time.Now()
	part := gate.Part{Kind: gate.Bugs, Name: "planted bugs", Judgement: report.NotJudged}
	if ctx.Err() != nil {
		part.Reasons = []string{"they were not planted"}
		return part
	}
	dir, err := os.MkdirTemp(o.trials.dir, "selftest-")
	if err != nil {
		part.Reasons = []string{fmt.Sprintf("make directory for trials: %v", err)}
		return part
	}
	done, err := selftest.Run(ctx, selftest.Config{
		Binary: o.planted, Simulator: o.simulator, Dir: dir, Parallel: bugsAtOnce, Controls: selftest.SomeControls, Seed: o.seed, Out: a.out,
	})
	part.Took = time.Since(began)
	if err != nil {
		part.Reasons = []string{err.Error()}
		return part
	}
	part.Found = done.Found()
	if done.Good() {
		part.Judgement = report.Held
		if !o.trials.keep {
			err = os.RemoveAll(dir)
		}
		if err != nil {
			part.Reasons = []string{err.Error()}
		}
		return part
	}
	for _, outcome := range done.Outcomes {
		if !outcome.Good() {
			part.Reasons = append(part.Reasons, fmt.Sprintf("%s (%s) was not found in %d tries: violated were %v, error: %v; its last one is in %s",
				outcome.Case.Bug, outcome.Case.What, outcome.Tries, outcome.Violations, outcome.Err, outcome.Dir))
			part.Again = o.again(outcome.Case.Bug)
		}
	}
	for _, control := range done.Controls {
		if control.Err != nil {
			part.Reasons = append(part.Reasons, fmt.Sprintf("the plan of %v does not hold without them: %v; it is in %s", control.Bugs, control.Err, control.Dir))
			part.Again = o.again(control.Bugs[0]) + " --controls"
		}
	}
	part.Kept = dir
	return part
}

// again is how a bug is planted once more.
func (o *ciOptions) again(bug planted.Bug) string {
	return fmt.Sprintf("argosy-chaos selftest --binary %s --simulator %s --only %s", o.planted, o.simulator, bug)
}
