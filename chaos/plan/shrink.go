package plan

import (
	"context"
	"fmt"
	"slices"
)

// Shrink makes a failing plan smaller while it still fails: first by leaving
// faults out, in ever smaller pieces, then by ending it after the last of them.
// What fails only now and then is tried so many times before it counts as a plan
// that holds. An error of fails, or the end of the context, ends the search;
// the smallest plan that failed until then is returned with it.
//
// The plan itself is tried first: one that does not fail is returned as it is,
// with ErrHolds.
func Shrink(ctx context.Context, p *Plan, tries int, fails func(context.Context, *Plan) (bool, error)) (*Plan, error) {
	s := &shrinker{smallest: p.Clone(), tries: max(tries, 1), fails: fails}
	failed, err := s.try(ctx, p)
	if err != nil {
		return s.smallest, fmt.Errorf("shrink plan: %w", err)
	}
	if !failed {
		return s.smallest, fmt.Errorf("shrink plan: %w: it was tried %d times", ErrHolds, s.tries)
	}
	if err := s.steps(ctx); err != nil {
		return s.smallest, fmt.Errorf("shrink plan: %w", err)
	}
	if err := s.end(ctx); err != nil {
		return s.smallest, fmt.Errorf("shrink plan: %w", err)
	}
	return s.smallest, nil
}

type shrinker struct {
	smallest *Plan
	tries    int
	fails    func(context.Context, *Plan) (bool, error)
}

// try tells whether a plan fails, and remembers it if so: only smaller ones than
// the smallest are tried.
func (s *shrinker) try(ctx context.Context, p *Plan) (bool, error) {
	for range s.tries {
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
		failed, err := s.fails(ctx, p)
		if err != nil {
			return false, err
		}
		if failed {
			s.smallest = p.Clone()
			return true, nil
		}
	}
	return false, nil
}

// steps is delta debugging (Zeller and Hildebrandt): the steps are cut into
// pieces, and each piece, then all but each piece, is tried alone.
func (s *shrinker) steps(ctx context.Context) error {
	for pieces := 2; len(s.smallest.Steps) > 1; {
		reduced, err := s.pieces(ctx, pieces)
		switch {
		case err != nil:
			return err
		case reduced > 0:
			pieces = reduced
		case pieces >= len(s.smallest.Steps):
			return nil
		default:
			pieces = min(2*pieces, len(s.smallest.Steps))
		}
	}
	if len(s.smallest.Steps) == 1 {
		// It may have nothing to do with faults.
		_, err := s.try(ctx, s.with(nil))
		return err
	}
	return nil
}

// pieces tries each piece and each complement of one; it returns into how many
// pieces what is left is to be cut next, 0 when everything was needed.
func (s *shrinker) pieces(ctx context.Context, pieces int) (int, error) {
	all := s.smallest.Steps
	size := (len(all) + pieces - 1) / pieces
	chunks := slices.Collect(slices.Chunk(all, size))
	for _, chunk := range chunks {
		if failed, err := s.try(ctx, s.with(chunk)); failed || err != nil {
			return 2, err
		}
	}
	if len(chunks) == 2 {
		// The complement of the one is the other.
		return 0, nil
	}
	for i := range chunks {
		rest := slices.Concat(slices.Concat(chunks[:i]...), slices.Concat(chunks[i+1:]...))
		if failed, err := s.try(ctx, s.with(rest)); failed || err != nil {
			return max(len(chunks)-1, 2), err
		}
	}
	return 0, nil
}

// end tries the plan with its time cut off after the last fault.
func (s *shrinker) end(ctx context.Context) error {
	last := int64(1)
	for _, step := range s.smallest.Steps {
		last = max(last, step.AtMs+step.ForMs)
	}
	if last >= s.smallest.DurationMs {
		return nil
	}
	shorter := s.smallest.Clone()
	shorter.DurationMs = last
	_, err := s.try(ctx, shorter)
	return err
}

func (s *shrinker) with(steps []Step) *Plan {
	p := s.smallest.Clone()
	p.Steps = slices.Clone(steps)
	return p
}
