package plan

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// needing fails when a plan has all faults of some numbers, every so many tries.
type needing struct {
	numbers []int
	every   int
	tries   int
}

func (n *needing) fails(_ context.Context, p *Plan) (bool, error) {
	n.tries++
	for _, number := range n.numbers {
		if !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.N == number }) {
			return false, nil
		}
	}
	return n.tries%n.every == 0, nil
}

func numbers(p *Plan) []int {
	var numbers []int
	for _, step := range p.Steps {
		numbers = append(numbers, step.N)
	}
	return numbers
}

func TestShrinkLeavesWhatIsNeeded(t *testing.T) {
	for _, want := range [][]int{{1}, {35}, {17}, {3, 4}, {1, 35}, {5, 19, 30}, {2, 9, 20, 21, 34}} {
		n := &needing{numbers: want, every: 1}
		p := mustMake(t, 1, CI)
		before := numbers(p)
		small, err := Shrink(t.Context(), p, 1, n.fails)
		if err != nil {
			t.Fatal(err)
		}
		if got := numbers(small); !slices.Equal(got, want) {
			t.Errorf("needed %v, got %v", want, got)
		}
		last := small.Steps[len(small.Steps)-1]
		if small.DurationMs > max(last.AtMs+last.ForMs, small.Steps[0].AtMs+small.Steps[0].ForMs)+5000 {
			t.Errorf("it lasts %d ms, its last fault is at %d ms", small.DurationMs, last.AtMs)
		}
		if err := small.Validate(); err != nil {
			t.Errorf("what is left cannot be done: %v", err)
		}
		if !slices.Equal(numbers(p), before) {
			t.Error("the plan itself was changed")
		}
		if n.tries > 150 {
			t.Errorf("%v took %d tries", want, n.tries)
		}
	}
}

func TestShrinkLeavesNothingWhenNoFaultIsNeeded(t *testing.T) {
	small, err := Shrink(t.Context(), mustMake(t, 1, Smoke), 1, (&needing{every: 1}).fails)
	if err != nil || len(small.Steps) > 0 {
		t.Errorf("left %v, error %v", small.Steps, err)
	}
}

func TestShrinkTriesWhatFailsNowAndThenAgain(t *testing.T) {
	small, err := Shrink(t.Context(), mustMake(t, 1, CI), 3, (&needing{numbers: []int{5, 19}, every: 3}).fails)
	if err != nil || !slices.Equal(numbers(small), []int{5, 19}) {
		t.Errorf("got %v, error %v", numbers(small), err)
	}
}

func TestShrinkSaysThatAPlanHolds(t *testing.T) {
	n := &needing{numbers: []int{1000}, every: 1}
	p := mustMake(t, 1, Smoke)
	small, err := Shrink(t.Context(), p, 4, n.fails)
	if !errors.Is(err, ErrHolds) || n.tries != 4 || !slices.Equal(numbers(small), numbers(p)) {
		t.Errorf("got %v after %d tries, error %v", numbers(small), n.tries, err)
	}
}

func TestShrinkReturnsTheSmallestSoFarWhenItIsEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := &needing{numbers: []int{3}, every: 1}
	small, err := Shrink(ctx, mustMake(t, 1, CI), 1, func(ctx context.Context, p *Plan) (bool, error) {
		if n.tries == 4 {
			cancel()
		}
		return n.fails(ctx, p)
	})
	if !errors.Is(err, context.Canceled) || len(small.Steps) >= 35 || !slices.Contains(numbers(small), 3) {
		t.Errorf("got %v, error %v", numbers(small), err)
	}
	broken := errors.New("broken")
	if _, err := Shrink(t.Context(), mustMake(t, 1, CI), 1, func(context.Context, *Plan) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
