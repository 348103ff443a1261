package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/ledger"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/trial"
)

// trialOptions say how trials are run.
type trialOptions struct {
	binary, dir   string
	keep, verbose bool
	quiet         time.Duration
}

func (o *trialOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.binary, "binary", "", "the argosy program (default: the one beside this program)")
	flags.StringVar(&o.dir, "dir", "", "directory to make those of trials in (default: a temporary one; removed when the trial held)")
	flags.BoolVar(&o.keep, "keep", false, "keep data directories and whole logs also of what held")
	flags.BoolVar(&o.verbose, "verbose", false, "log every step to standard error")
	flags.DurationVar(&o.quiet, "quiet", trial.DefaultQuiet, "for how long a cluster is watched after its last fault")
}

// resolve finds the program that is tried.
func (o *trialOptions) resolve() error {
	if o.binary != "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	o.binary = filepath.Join(filepath.Dir(self), "argosy")
	if _, err := os.Stat(o.binary); err != nil {
		return fmt.Errorf("find the program to try: %w: build it with 'make build', or name it with --binary", err)
	}
	return nil
}

func (a *app) runCommand() *cobra.Command {
	var planned planOptions
	var options trialOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Try to break one cluster by a plan, and judge what came of it",
		Long: `Run builds a cluster on hosts and disks of its own, does the faults of a plan to it
while clients use it, and judges the record. It prints the seed, which makes the
same plan again. It needs root.`,
		Example: `  argosy-chaos run
  argosy-chaos run --profile smoke --seed 7
  argosy-chaos run --plan plan.json --dir /var/tmp/chaos`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := planned.plan(cmd.Flags())
			if err != nil {
				return err
			}
			return a.withTrials(&options, func() error { return a.runOne(cmd.Context(), &options, p) })
		},
	}
	planned.addFlags(cmd.Flags())
	options.addFlags(cmd.Flags())
	return cmd
}

// withTrials finds the program and a directory for trials, and removes the
// directory when nobody asked for it and all trials held.
func (a *app) withTrials(options *trialOptions, run func() error) error {
	if err := options.resolve(); err != nil {
		return err
	}
	temporary := options.dir == ""
	if temporary {
		dir, err := os.MkdirTemp("", "argosy-chaos-")
		if err != nil {
			return fmt.Errorf("make directory for the trial: %w", err)
		}
		options.dir = dir
	}
	err := run()
	if temporary && err == nil && !options.keep {
		return os.RemoveAll(options.dir)
	}
	return err
}

// runOne runs one plan in a directory of its own and says what came of it.
func (a *app) runOne(ctx context.Context, options *trialOptions, p *plan.Plan) error {
	result, err := a.trial(ctx, options, p)
	if err != nil {
		return err
	}
	return a.conclude(result)
}

// trial runs one plan in a directory of its own.
func (a *app) trial(ctx context.Context, options *trialOptions, p *plan.Plan) (*trial.Result, error) {
	config := trial.Config{
		Plan: p, Binary: options.binary, Commit: cmp.Or(commit(ctx), a.version), Keep: options.keep, Quiet: options.quiet, Out: a.out,
	}
	if options.verbose {
		config.Logger = slog.New(slog.NewTextHandler(a.err, nil))
	}
	if err := os.MkdirAll(options.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory for trials: %w", err)
	}
	var err error
	if config.Dir, err = os.MkdirTemp(options.dir, fmt.Sprintf("%s-%d-", cmp.Or(p.Profile, "plan"), p.Seed)); err != nil {
		return nil, fmt.Errorf("make directory for the trial: %w", err)
	}
	// Only this user may enter what MkdirTemp makes, and a report is for others.
	if err := os.Chmod(config.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory for the trial: %w", err)
	}
	fmt.Fprintf(a.out, "seed %d, profile %s, in %s\n", p.Seed, p.Profile, config.Dir)
	return trial.Run(ctx, config)
}

// conclude says what came of a trial. The error has its exit code.
func (a *app) conclude(result *trial.Result) error {
	s := result.Summary
	fmt.Fprintf(a.out, "%s: %s, %d operations checked, %d leaders\n", strings.ToUpper(string(s.Judgement)), faults(s.Faults, s.Skipped), s.Checked, s.Leaders)
	for _, reason := range s.Reasons {
		fmt.Fprintf(a.out, "  %s\n", reason)
	}
	if !result.Held() {
		fmt.Fprintf(a.out, "  again: argosy-chaos replay %s\n", filepath.Join(result.Dir, history.PlanFile))
	}
	switch {
	case result.Violated():
		return errViolated
	case result.Err != nil && len(s.Reasons) == 0:
		return result.Err
	case !result.Held():
		return errTold
	}
	return nil
}

// faults says how many faults were done, and left out.
func faults(done, skipped map[string]int64) string {
	sum := func(of map[string]int64) (n int64) {
		for _, count := range of {
			n += count
		}
		return n
	}
	text := fmt.Sprintf("%d faults", sum(done))
	if n := sum(skipped); n > 0 {
		text += fmt.Sprintf(" (%d left out)", n)
	}
	return text
}

// commit is that of the source in the working directory; empty outside of one. What
// soaks themselves add to it, and pages, change no program.
func commit(ctx context.Context) string {
	text, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	commit := strings.TrimSpace(string(text))
	if changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(top,exclude)"+ledger.File, ":(top,exclude,glob)**/*.md").Output(); err != nil || len(changed) > 0 {
		commit += "-dirty"
	}
	return commit
}
