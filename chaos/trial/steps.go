package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
)

// injector does a fault of a step. It is that of the step's kind, but for tests.
type injector func(kind plan.Kind) (fault.Fault, bool)

// performance carries the steps of a plan out.
type performance struct {
	plan     *plan.Plan
	world    fault.World
	find     injector
	recorder *history.Recorder
	clock    history.Clock
	patience time.Duration
	tell     func(format string, args ...any)

	mu sync.Mutex
	// wrongs are faults that could not be done or undone, which ends the trial.
	wrongs []error
	broken chan struct{}
}

// run does every fault at its time and heals it at its time, each by itself. It
// returns when all are healed and the plan's time is over. One that could not be
// done, for another reason than that it was not to be, or not be healed, ends it:
// what would be seen after that could not be judged.
func (p *performance) run(ctx context.Context) error {
	p.broken = make(chan struct{})
	began := time.Now()
	var group sync.WaitGroup
	for _, step := range p.plan.Steps {
		if !p.wait(ctx, time.Until(began.Add(step.At()))) {
			break
		}
		group.Go(func() { p.step(ctx, began, step) })
	}
	p.wait(ctx, time.Until(began.Add(p.plan.Duration())))
	group.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		p.wrongs = append(p.wrongs, context.Cause(ctx))
	}
	return errors.Join(p.wrongs...)
}

// wait tells whether the plan still goes on after so long.
func (p *performance) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return false
	case <-p.broken:
		return false
	}
	return true
}

func (p *performance) wrong(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wrongs == nil {
		close(p.broken)
	}
	p.wrongs = append(p.wrongs, err)
}

// step does one fault, waits, and undoes it, also when the trial is broken off
// meanwhile.
func (p *performance) step(ctx context.Context, began time.Time, step plan.Step) {
	ledger := p.world.Ledger
	losses, had := ledger.Losses(), ledger.Quorum()
	record := history.Fault{Step: step.N, Kind: string(step.Fault), Begun: p.clock()}
	defer func() {
		// The quorum was kept when it was there before and after, and was never lost
		// in between.
		record.Quorum = had && ledger.Quorum() && ledger.Losses() == losses
		p.recorder.Fault(record)
		p.told(time.Since(began), step, record)
	}()
	active, err := p.inject(ctx, step, &record)
	if err != nil {
		record.Error = err.Error()
		record.Skipped = errors.Is(err, fault.ErrUnavailable) || errors.Is(err, fault.ErrNoTarget) || errors.Is(err, fault.ErrBudget)
		if !record.Skipped && ctx.Err() == nil {
			p.wrong(fmt.Errorf("step %d, %s: %w", step.N, step.Fault, err))
		}
		return
	}
	record.Struck = p.clock()
	record.Targets, record.Leader, record.Detail = active.Targets, active.Leader, active.Detail
	p.wait(ctx, step.For())
	record.Healing = p.clock()
	if err := p.heal(ctx, active); err != nil {
		record.Error = err.Error()
		p.wrong(fmt.Errorf("step %d, %s on %s: heal: %w", step.N, step.Fault, strings.Join(active.Targets, ", "), err))
		return
	}
	record.Healed = p.clock()
}

func (p *performance) inject(ctx context.Context, step plan.Step, record *history.Fault) (*fault.Active, error) {
	f, found := p.find(step.Fault)
	if !found {
		return nil, fmt.Errorf("%w: this program does not know how", fault.ErrUnavailable)
	}
	record.Changes = f.Changes
	world := p.world
	world.Rand = rand.New(rand.NewPCG(p.plan.Seed, uint64(step.N)))
	if f.Available != nil {
		if err := f.Available(&world); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	return f.Inject(ctx, &world, step)
}

// heal undoes a fault, whatever has become of the trial.
func (p *performance) heal(ctx context.Context, active *fault.Active) error {
	if active.Heal == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.patience)
	defer cancel()
	return active.Heal(ctx)
}

// told says what became of a step.
func (p *performance) told(after time.Duration, step plan.Step, record history.Fault) {
	lasted := ""
	if record.Healed > 0 {
		lasted = fmt.Sprintf(" for %v", record.Healed.Sub(record.Struck).Round(time.Millisecond))
	}
	switch {
	case record.Skipped:
		p.tell("%6.1fs  %3d %-17s left out: %s", after.Seconds(), step.N, step.Fault, record.Error)
	case record.Error != "":
		p.tell("%6.1fs  %3d %-17s FAILED: %s", after.Seconds(), step.N, step.Fault, record.Error)
	default:
		p.tell("%6.1fs  %3d %-17s %s%s", after.Seconds(), step.N, step.Fault, strings.Join(record.Targets, ", "), lasted)
	}
}
