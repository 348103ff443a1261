package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/chaos/ledger"
	"github.com/argosy-cluster/argosy/chaos/report"
)

// Run does trials until the time is over, something is found, or the context
// ends, and accounts for them. The account is returned also with an error.
func Run(ctx context.Context, config Config) (*ledger.Soak, error) {
	c, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	s := &soak{Config: c, began: time.Now(), account: newAccount(&c), seeds: rand.New(rand.NewPCG(c.Seed, 0))}
	fmt.Fprintf(c.Out, "soak %d: profile %s for %v, trials below %s\n", c.Seed, c.Profile, c.For, c.Dir)
	stopped := s.loop(ctx)
	line := s.account.line(time.Since(s.began))
	s.tell(line)
	return line, errors.Join(stopped, s.write(line), s.outcome())
}

// soak is one that is under way.
type soak struct {
	Config
	began   time.Time
	seeds   *rand.Rand
	account *account
	// longest is how long a trial took so far.
	longest time.Duration
	// violated and unjudged are the directories of trials that did not hold.
	violated, unjudged []string
}

// loop returns why it ended before its time, nil when it did not.
func (s *soak) loop(ctx context.Context) error {
	end := s.began.Add(s.For)
	bounded, cancel := context.WithDeadlineCause(ctx, end.Add(s.Overtime), fmt.Errorf("%v after the end of the soak", s.Overtime))
	defer cancel()
	inARow := 0
	for n := 1; ; n++ {
		// One that would end too late is not begun. The first one always is.
		if left := time.Until(end); left <= 0 || left < s.longest/2 {
			return nil
		}
		if err := s.room(); err != nil {
			return fmt.Errorf("soak: %w", err)
		}
		judgement, err := s.try(bounded, n)
		if ctx.Err() != nil {
			return fmt.Errorf("soak: broken off: %w", context.Cause(ctx))
		}
		if judgement == report.Violated && !s.KeepGoing {
			return nil
		}
		if inARow++; judgement != report.NotJudged {
			inARow = 0
		}
		if inARow == mostUnjudged {
			return fmt.Errorf("soak: %d trials in a row could not be judged: %w", inARow, err)
		}
	}
}

// try does one trial, accounts for it, and removes what it left when it held.
func (s *soak) try(ctx context.Context, n int) (report.Judgement, error) {
	// Short enough to be read out.
	seed := s.seeds.Uint64() % 1e9
	dir := filepath.Join(s.Dir, fmt.Sprintf("%d-%04d-%d", s.Seed, n, seed))
	fmt.Fprintf(s.Out, "trial %d: seed %d\n", n, seed)
	began := time.Now()
	summary, err := s.Try(ctx, seed, dir)
	took := time.Since(began)
	s.longest = max(s.longest, took)
	judgement := report.NotJudged
	if summary != nil {
		if judgement = summary.Judgement; judgement == report.NotJudged {
			err = errors.Join(err, errors.New(strings.Join(summary.Reasons, "; ")))
		}
	}
	switch {
	case judgement == report.Violated:
		s.account.add(summary)
		s.violated = append(s.violated, dir)
		fmt.Fprintf(s.Out, "trial %d: VIOLATED: %s: kept in %s\n", n, strings.Join(summary.Reasons, "; "), dir)
	case err != nil || judgement != report.Held:
		judgement = report.NotJudged
		// One that was broken off is not one that could not be judged.
		if ctx.Err() == nil {
			s.account.failed()
		}
		s.unjudged = append(s.unjudged, dir)
		fmt.Fprintf(s.Out, "trial %d: NOT JUDGED: %v: kept in %s\n", n, err, dir)
	default:
		s.account.add(summary)
		fmt.Fprintf(s.Out, "trial %d: held: %s in %v\n", n, s.account.last(), took.Round(100*time.Millisecond))
		if !s.Keep {
			err = os.RemoveAll(dir)
		}
	}
	return judgement, err
}

// write accounts for the soak. One in which nothing was judged is no soak.
func (s *soak) write(line *ledger.Soak) error {
	if s.Ledger == "" || line.Trials == 0 {
		return nil
	}
	if err := ledger.Append(s.Ledger, line); err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	fmt.Fprintf(s.Out, "accounted for in %s\n", s.Ledger)
	return nil
}

// outcome is the error of what was found, nil when everything held.
func (s *soak) outcome() error {
	switch {
	case len(s.violated) > 0:
		return fmt.Errorf("soak: %w: see %s", ErrViolated, strings.Join(s.violated, ", "))
	case len(s.unjudged) > 0:
		return fmt.Errorf("soak: %w: see %s", ErrUnjudged, strings.Join(s.unjudged, ", "))
	case s.account.trials == 0:
		return fmt.Errorf("soak: %w: there was no trial", ErrUnjudged)
	}
	return nil
}

func (s *soak) tell(line *ledger.Soak) {
	fmt.Fprintf(s.Out, "\nsoak %d: %d trials in %.1f min, %d more could not be judged\n", s.Seed, line.Trials, line.Minutes, line.Failed)
	if line.Trials > 0 {
		// It fails when the writer does, which nobody could be told of then.
		_ = ledger.Write(s.Out, []ledger.Soak{*line})
	}
}
