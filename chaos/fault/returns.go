package fault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// returnLimit is how long a server may take to come back while there is a
	// quorum: many times what it needs on a busy machine.
	returnLimit = 90 * time.Second
	// lookEvery is how often it is looked whether one is back.
	lookEvery = 50 * time.Millisecond
)

// returns are servers on their way back after what was done to them: what was
// taken of them is given back when they are as good as the others again.
type returns struct {
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu sync.Mutex
	// settling is set when nothing more shall be begun.
	settling bool
	pending  map[string]int
	done     chan struct{} // closed and made anew whenever one has ended
	stuck    []error
	group    sync.WaitGroup
}

func (r *returns) begin() {
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	r.pending, r.done = map[string]int{}, make(chan struct{})
}

// await waits in the background until something is true of a server, and calls
// then. A server that does not come back while there is a quorum is stuck, and
// then is not called: what was taken of it is gone.
func (l *Ledger) await(what string, is func(ctx context.Context) error, then func()) {
	r := &l.returns
	r.enter(what)
	r.group.Go(func() {
		err := l.wait(r.ctx, is)
		if err == nil {
			then()
		} else {
			err = fmt.Errorf("wait for %s: %w: %w", what, ErrStuck, err)
		}
		r.leave(what, err)
	})
}

// later does something in the background that Settle does not wait for.
func (l *Ledger) later(do func(ctx context.Context)) {
	l.returns.group.Go(func() { do(l.returns.ctx) })
}

// operate does something that Settle waits for, unless Settle was called already:
// what is left alone then is. It tells whether it was done.
func (l *Ledger) operate(what string, do func() error) bool {
	r := &l.returns
	r.mu.Lock()
	if r.settling {
		r.mu.Unlock()
		return false
	}
	r.pending[what]++
	r.mu.Unlock()
	err := do()
	if err != nil {
		err = fmt.Errorf("%s: %w: %w", what, ErrStuck, err)
	}
	r.leave(what, err)
	return true
}

func (r *returns) enter(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending[what]++
}

func (r *returns) leave(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[what]--; r.pending[what] == 0 {
		delete(r.pending, what)
	}
	if err != nil {
		r.stuck = append(r.stuck, err)
	}
	close(r.done)
	r.done = make(chan struct{})
}

// wait waits until something is true. Time in which faults leave no quorum does not
// count: nothing can be expected then. Time in which only those who are on their way
// back are missing does, or two of them would wait for each other for ever.
func (l *Ledger) wait(ctx context.Context, is func(ctx context.Context) error) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for left := returnLimit; left > 0; {
		begun := time.Now()
		err := is(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		}
		if l.Due() {
			left -= time.Since(begun)
		}
		if left <= 0 {
			return fmt.Errorf("not within %v: %w", returnLimit, err)
		}
	}
	return nil
}

// Settle waits until every server that something was done to is as good as the
// others again, and returns which were not (ErrStuck). A server that has not
// noticed that its data is damaged is as good as the others: it is left as it is.
func (l *Ledger) Settle(ctx context.Context) error {
	r := &l.returns
	for {
		r.mu.Lock()
		r.settling = true
		left, done, stuck := len(r.pending), r.done, errors.Join(r.stuck...)
		var names []string
		for what := range r.pending {
			names = append(names, what)
		}
		r.mu.Unlock()
		if left == 0 || stuck != nil {
			return stuck
		}
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("wait for %v: %w: %w", names, ErrStuck, context.Cause(ctx))
		}
	}
}

// Close gives up what Settle waits for. It may be called twice.
func (l *Ledger) Close() {
	l.returns.cancel(errors.New("the ledger was closed"))
	l.returns.group.Wait()
}
