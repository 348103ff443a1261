package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/lab"
	"github.com/argosy-cluster/argosy/chaos/report"
)

// VerdictFile is what the checkers said, below the directory of a trial.
const VerdictFile = "verdict.json"

// Result is what came of a trial.
type Result struct {
	// Dir is where its record is.
	Dir string
	// Verdict is what the checkers said of it, Summary what that comes to.
	Verdict *check.Verdict
	Summary *report.Summary
	// Err is why the trial could not be carried out as planned; it wraps ErrFailed.
	Err error
}

// Held tells whether everything was done and checked, and nothing was wrong.
func (r *Result) Held() bool { return r.Err == nil && r.Summary.Judgement == report.Held }

// Violated tells whether something was wrong, whatever else became of the trial.
func (r *Result) Violated() bool { return r.Summary.Judgement == report.Violated }

// slack is what a trial may take beside the time of its plan: to be built, to
// become quiet, to be read and judged.
const slack = 5 * time.Minute

// Run carries a plan out and judges it. The error says that there is nothing to
// be judged: the trial could not even begin, or its record cannot be read. The
// end of the context breaks the trial off: what is broken is healed, everything
// is taken down, and what was recorded until then is judged.
func Run(ctx context.Context, config Config) (*Result, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("run trial: %w", err)
	}
	t, err := begin(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("run trial: %w", err)
	}
	limit := config.Plan.Duration() + slack
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: more than %v", ErrSlow, limit))
	defer cancel()
	failed := t.run(ctx)
	if errors.Is(failed, lab.ErrUnable) {
		// Nothing was tried, and nothing will be here.
		return nil, fmt.Errorf("run trial: %w", errors.Join(failed, t.end(false)))
	}
	result, err := Judge(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("run trial: %w", errors.Join(failed, err, t.end(true)))
	}
	result.Err = failed
	if err := t.end(config.Keep || !result.Held()); err != nil {
		result.Err = errors.Join(failed, fmt.Errorf("%w: take it down: %w", ErrFailed, err))
	}
	return result, nil
}

// run plays, reads what is left, and closes the record. The stage stands when it
// returns, and nothing runs on it.
func (t *trial) run(ctx context.Context) error {
	failed := t.perform(ctx)
	// Who has come meanwhile was there for a part of it.
	load := busy(context.WithoutCancel(ctx))
	t.recorder.Update(func(m *history.Meta) {
		m.Ended, m.Load = t.clock(), max(m.Load, load)
		if failed != nil {
			m.Error = failed.Error()
		}
	})
	_, err := t.recorder.Close()
	if failed = errors.Join(failed, err); failed != nil {
		return fmt.Errorf("%w: %w", ErrFailed, failed)
	}
	return nil
}

func (t *trial) perform(ctx context.Context) error {
	began := time.Now()
	stage, err := build(ctx, t.config)
	if err != nil {
		return fmt.Errorf("build the cluster: %w", err)
	}
	t.stage = stage
	t.tell("the cluster stands after %v: %s", time.Since(began).Round(10*time.Millisecond), describe(t.config.Plan))
	played := t.play(ctx)
	return errors.Join(played, t.stage.stop(), t.collect(context.WithoutCancel(ctx)))
}

// Judge judges the record of a trial, any number of times, and writes down what
// was found.
func Judge(dir string) (*Result, error) {
	h, err := history.Read(dir)
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	result := &Result{Dir: dir, Verdict: check.Judge(h)}
	if h.Meta.Error != "" {
		result.Err = fmt.Errorf("%w: %s", ErrFailed, h.Meta.Error)
	}
	text, err := json.MarshalIndent(result.Verdict, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, VerdictFile), append(text, '\n'), 0o644); err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	if result.Summary, err = report.Write(dir, h, result.Verdict); err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	return result, nil
}
