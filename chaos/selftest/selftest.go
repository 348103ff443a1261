package selftest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/trial"
	"github.com/argosy-cluster/argosy/planted"
)

// ErrNoBugs is returned for a program that has no bugs that could be turned on.
var ErrNoBugs = errors.New("the program has no planted bugs")

// Config says what to try.
type Config struct {
	// Binary is the argosy program, built with the tag "planted". Required.
	Binary string
	// Dir is where the trials' directories are made. Required.
	Dir string
	// Cases are those to try. Default: all.
	Cases []Case
	// Tries is how often a bug is provoked until it is found: most need some luck.
	// Default 5.
	Tries int
	// Parallel is how many trials run at once. Default 1.
	Parallel int
	// Control has each plan run without its bug, too.
	Control bool
	// Prober is the program that has the command "probe". Default: the running
	// program.
	Prober string
	// Out is told, for people, what happens. Default: nobody.
	Out io.Writer
	// Logger is told every step. Default: nobody.
	Logger *slog.Logger
}

// Outcome is what came of a case.
type Outcome struct {
	Case Case
	// Found tells whether the bug was found, at which try and after how long.
	Found bool
	Tries int
	Took  time.Duration
	// Violations are what was found broken in the last try, by invariant.
	Violations map[string]int64
	// First is the first violation that was to be found.
	First check.Violation
	// Clean is set when the plan was run without the bug and nothing was wrong.
	Clean bool
	// Dir is the directory of the last trial.
	Dir string
	// Err is why it could not be tried.
	Err error
}

// good tells whether the suite did as it must.
func (o Outcome) good(control bool) bool { return o.Err == nil && o.Found && (o.Clean || !control) }

func (c Config) withDefaults() (Config, error) {
	if c.Binary == "" || c.Dir == "" {
		return c, errors.New("a program and a directory are needed")
	}
	if c.Cases == nil {
		c.Cases = Cases()
	}
	if c.Tries == 0 {
		c.Tries = 5
	}
	if c.Parallel == 0 {
		c.Parallel = 1
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	return c, nil
}

// Run tries the cases, and returns what came of each, in their order. The error
// says that it could not be done at all.
func Run(ctx context.Context, config Config) ([]Outcome, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("try the suite: %w", err)
	}
	if err := hasBugs(ctx, config.Binary); err != nil {
		return nil, fmt.Errorf("try the suite: %w", err)
	}
	outcomes := make([]Outcome, len(config.Cases))
	next := make(chan int)
	var group sync.WaitGroup
	var telling sync.Mutex
	for range config.Parallel {
		group.Go(func() {
			for i := range next {
				outcomes[i] = config.try(ctx, config.Cases[i])
				telling.Lock()
				fmt.Fprintln(config.Out, outcomes[i].text(config.Control))
				telling.Unlock()
			}
		})
	}
	for i := range config.Cases {
		next <- i
	}
	close(next)
	group.Wait()
	return outcomes, nil
}

// hasBugs asks a program for a bug that does not exist: one that can have bugs
// refuses.
func hasBugs(ctx context.Context, binary string) error {
	cmd := exec.CommandContext(ctx, binary, "version")
	cmd.Env = append(os.Environ(), planted.Variable+"=none-of-this-name")
	text, err := cmd.CombinedOutput()
	if err == nil {
		return fmt.Errorf("%w: %s: build it with the tag \"planted\", as 'make planted' does", ErrNoBugs, binary)
	}
	if !strings.Contains(string(text), planted.Variable) {
		return fmt.Errorf("run %s: %w: %s", binary, err, strings.TrimSpace(string(text)))
	}
	return nil
}

// try provokes a bug until it is found, and shows that it is it that was found.
func (c Config) try(ctx context.Context, of Case) Outcome {
	if ctx.Err() != nil {
		return Outcome{Case: of, Err: context.Cause(ctx)}
	}
	o := Outcome{Case: of}
	began := time.Now()
	for o.Tries < c.Tries && !o.Found && o.Err == nil {
		o.Tries++
		var result *trial.Result
		if result, o.Err = c.trial(ctx, of, of.Bug, of.Plan.Seed+uint64(o.Tries-1)); o.Err != nil {
			break
		}
		var verdict *check.Verdict
		if verdict, o.Err = judge(result.Dir, true); o.Err != nil {
			break
		}
		o.Dir, o.Violations = result.Dir, verdict.Violations
		if o.First, o.Found = of.found(verdict); o.Found {
			break
		} else if result.Err != nil && o.Tries == c.Tries {
			o.Err = result.Err
		}
		if ctx.Err() != nil {
			o.Err = context.Cause(ctx)
		}
	}
	o.Took = time.Since(began)
	if !c.Control || !o.Found {
		return o
	}
	if err := c.control(ctx, of, of.Plan.Seed+uint64(o.Tries-1)); err != nil {
		o.Err = fmt.Errorf("without the bug: %w", err)
	}
	o.Clean = o.Err == nil
	return o
}

// control runs the plan of a case without the bug, of which nothing must come.
func (c Config) control(ctx context.Context, of Case, seed uint64) error {
	result, err := c.trial(ctx, of, "", seed)
	if err != nil {
		return err
	}
	if result.Err != nil {
		return result.Err
	}
	// What is found by being strict must not be found without the bug by being as
	// strict; nothing at all may be found otherwise.
	strictly, err := judge(result.Dir, true)
	if err != nil {
		return err
	}
	verdict, err := judge(result.Dir, false)
	if err != nil {
		return err
	}
	for invariant, times := range verdict.Violations {
		return fmt.Errorf("%s was violated %d times, too (%s), in %s", invariant, times, verdict.Results[invariant].Violations[0].What, result.Dir)
	}
	if first, found := of.found(strictly); found {
		return fmt.Errorf("%s was violated, too (%s), in %s", first.Invariant, first.What, result.Dir)
	}
	return nil
}

// found returns a violation that shows the bug.
func (c Case) found(verdict *check.Verdict) (check.Violation, bool) {
	for _, invariant := range c.Invariants {
		if all := verdict.Results[invariant].Violations; len(all) > 0 {
			return all[0], true
		}
	}
	return check.Violation{}, false
}

// judge returns what the checkers say of a trial. A strict one makes no allowance
// for what else the machine had to do: it would have to be waited for.
func judge(dir string, strict bool) (*check.Verdict, error) {
	h, err := history.Read(dir)
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	if strict {
		h.Meta.Load = 0
	}
	return check.Judge(h), nil
}

// Patience of a trial. With a bug in it a cluster may never be whole again, which
// need not be waited for.
const (
	patience        = 8 * time.Second
	controlPatience = time.Minute
	quiet           = time.Second
)

func (c Config) trial(ctx context.Context, of Case, bug planted.Bug, seed uint64) (*trial.Result, error) {
	p := of.Plan.Clone()
	p.Seed = seed
	name := string(bug)
	if bug == "" {
		name = "without-" + string(of.Bug)
	}
	config := trial.Config{
		Plan: p, Binary: c.Binary, Prober: c.Prober, Planted: string(bug), Environment: []string{planted.Variable + "=" + string(bug)},
		Dir: filepath.Join(c.Dir, fmt.Sprintf("%s-%d", name, seed)), Patience: patience, Quiet: quiet, Logger: c.Logger,
	}
	if bug == "" {
		config.Patience = controlPatience
	}
	return trial.Run(ctx, config)
}

func (o Outcome) text(control bool) string {
	text := fmt.Sprintf("%-16s %5.1fs", o.Case.Bug, o.Took.Seconds())
	switch {
	case o.Found:
		text += "  " + o.First.Invariant + " found broken"
		if o.Tries > 1 {
			text += fmt.Sprintf(" at try %d", o.Tries)
		}
		text += ": " + o.First.What
	case o.Err == nil:
		text += fmt.Sprintf("  NOT FOUND in %d tries (violated: %v)", o.Tries, o.Violations)
	}
	if o.Err != nil {
		text += fmt.Sprintf("  FAILED: %v", o.Err)
	}
	if control && o.Clean {
		text += "; nothing is wrong without it"
	}
	return text
}

// Wanting are the outcomes that show that the suite does not do as it must.
func Wanting(outcomes []Outcome, control bool) []Outcome {
	var wanting []Outcome
	for _, o := range outcomes {
		if !o.good(control) {
			wanting = append(wanting, o)
		}
	}
	return wanting
}
