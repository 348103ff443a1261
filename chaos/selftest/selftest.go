package selftest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/planted"
)

// ErrNoBugs is returned for a program that has no bugs that could be turned on.
var ErrNoBugs = errors.New("the program has no planted bugs")

// Config says what to try.
type Config struct {
	// Binary is the argosy program, built with the tag "planted", of which the
	// servers and agents of trials are, Simulator the argosy-chaos program built
	// with it, which has its own ones. Required.
	Binary, Simulator string
	// Dir is where the directories of trials and simulations are made. Required.
	Dir string
	// Cases are those to try. Default: all.
	Cases []Case
	// Tries is how often a bug is provoked until it is found: most need some luck.
	// Default 8.
	Tries int
	// Parallel is how many plans are carried out at once. Default 1.
	Parallel int
	// Controls says which plans are carried out without their bugs, too. Default
	// none.
	Controls Controls
	// Seed chooses those of a sample.
	Seed uint64
	// Prober is the program that has the command "probe". Default: the running
	// program.
	Prober string
	// Out is told, for people, what happens. Default: nobody.
	Out io.Writer
	// Logger is told every step of trials. Default: nobody.
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
	// Dir is the directory of the last try.
	Dir string
	// Err is why it could not be tried.
	Err error
}

// Good tells whether the bug was found.
func (o Outcome) Good() bool { return o.Err == nil && o.Found }

// Report is what came of all.
type Report struct {
	// Outcomes of the cases, in their order.
	Outcomes []Outcome
	// Controls that were made.
	Controls []Control
}

// Good tells whether every bug was found, and nothing where there is none.
func (r *Report) Good() bool {
	if r.Found() < int64(len(r.Outcomes)) {
		return false
	}
	for _, c := range r.Controls {
		if c.Err != nil {
			return false
		}
	}
	return true
}

// Found is how many bugs were found.
func (r *Report) Found() int64 {
	var n int64
	for _, o := range r.Outcomes {
		if o.Good() {
			n++
		}
	}
	return n
}

func (c Config) withDefaults() (Config, error) {
	if c.Binary == "" || c.Simulator == "" || c.Dir == "" {
		return c, errors.New("two programs and a directory are needed")
	}
	if c.Cases == nil {
		c.Cases = Cases()
	}
	if c.Tries == 0 {
		c.Tries = 8
	}
	if c.Parallel == 0 {
		c.Parallel = 1
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	return c, nil
}

// Run tries the cases, and the controls. The error says that it could not be done
// at all.
func Run(ctx context.Context, config Config) (*Report, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("try the suite: %w", err)
	}
	for _, program := range []string{config.Binary, config.Simulator} {
		if err := hasBugs(ctx, program); err != nil {
			return nil, fmt.Errorf("try the suite: %w", err)
		}
	}
	report := &Report{Outcomes: make([]Outcome, len(config.Cases)), Controls: controlsOf(config.Cases, config.Controls, config.Seed)}
	var telling sync.Mutex
	tell := func(text string) {
		telling.Lock()
		defer telling.Unlock()
		fmt.Fprintln(config.Out, text)
	}
	var work jobs
	for i, of := range config.Cases {
		work.add(of.Simulated, func() {
			report.Outcomes[i] = config.try(ctx, of)
			tell(report.Outcomes[i].text())
		})
	}
	for i := range report.Controls {
		control := &report.Controls[i]
		work.add(control.Simulated, func() {
			config.control(ctx, control)
			tell(control.text())
		})
	}
	work.do(config.Parallel)
	return report, nil
}

// jobs are what there is to do. Trials wait most of their time, and simulations
// never do: half of the workers begin with the ones, half with the others.
type jobs struct {
	mu                  sync.Mutex
	trials, simulations []func()
}

func (j *jobs) add(simulated bool, job func()) {
	if simulated {
		j.simulations = append(j.simulations, job)
	} else {
		j.trials = append(j.trials, job)
	}
}

// take takes the next job, nil when there is none; of two kinds the one that is
// preferred.
func (j *jobs) take(simulated bool) func() {
	j.mu.Lock()
	defer j.mu.Unlock()
	first, second := &j.trials, &j.simulations
	if simulated {
		first, second = second, first
	}
	for _, of := range []*[]func(){first, second} {
		if len(*of) > 0 {
			job := (*of)[0]
			*of = (*of)[1:]
			return job
		}
	}
	return nil
}

// do does all with so many workers.
func (j *jobs) do(workers int) {
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			for job := j.take(i%2 == 1); job != nil; job = j.take(i%2 == 1) {
				job()
			}
		})
	}
	group.Wait()
}

// hasBugs asks a program for a bug that does not exist: one that can have bugs
// refuses.
func hasBugs(ctx context.Context, program string) error {
	cmd := exec.CommandContext(ctx, program, "--help")
	cmd.Env = append(os.Environ(), planted.Variable+"=none-of-this-name")
	text, err := cmd.CombinedOutput()
	if err == nil {
		return fmt.Errorf("%w: %s: build it with the tag \"planted\", as 'make planted' does", ErrNoBugs, program)
	}
	if !strings.Contains(string(text), planted.Variable) {
		return fmt.Errorf("run %s: %w: %s", program, err, strings.TrimSpace(string(text)))
	}
	return nil
}

// try provokes a bug until it is found.
func (c Config) try(ctx context.Context, of Case) Outcome {
	if ctx.Err() != nil {
		return Outcome{Case: of, Err: context.Cause(ctx)}
	}
	o := Outcome{Case: of}
	began := time.Now()
	for o.Tries < c.Tries && !o.Found && o.Err == nil {
		o.Tries++
		p := of.Plan.Clone()
		p.Seed += uint64(o.Tries - 1)
		var seen *sighting
		if seen, o.Err = c.carryOut(ctx, p, of.Simulated, of.Bug, fmt.Sprintf("%s-%d", of.Bug, p.Seed)); o.Err != nil {
			break
		}
		o.Dir, o.Violations = seen.dir, seen.violations
		if o.First, o.Found = seen.of(of.Invariants); !o.Found && o.Tries == c.Tries {
			o.Err = seen.failed
		}
		if ctx.Err() != nil {
			o.Err = context.Cause(ctx)
		}
	}
	o.Took = time.Since(began)
	return o
}

func (o Outcome) text() string {
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
		text += fmt.Sprintf("  FAILED: %v (violated: %v)", o.Err, o.Violations)
	}
	return text
}
