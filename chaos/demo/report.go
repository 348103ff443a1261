package demo

import (
	"context"
	"fmt"
	"io"
	"time"
)

// report tells the steps and counts what was checked.
type report struct {
	out            io.Writer
	number         int
	passed, failed int
}

// step is one step that is under way.
type step struct{ report *report }

// step runs one step. An error ends the demonstration; a failed check does not.
func (r *report) step(ctx context.Context, name string, run func(context.Context, *step) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.number++
	fmt.Fprintf(r.out, "%d. %s\n", r.number, name)
	before := r.failed
	err := run(ctx, &step{r})
	switch {
	case err != nil:
		r.failed++
		fmt.Fprintf(r.out, "   FAILED: %v\n", err)
	case r.failed == before:
		r.passed++
	}
	return err
}

// note tells something that is no promise.
func (s *step) note(format string, args ...any) {
	fmt.Fprintf(s.report.out, "   "+format+"\n", args...)
}

// check tells something that was promised.
func (s *step) check(kept bool, format string, args ...any) {
	mark := "ok     "
	if kept {
		s.report.passed++
	} else {
		s.report.failed++
		mark = "FAILED "
	}
	fmt.Fprintf(s.report.out, "   "+mark+format+"\n", args...)
}

func (r *report) cleanUp(what string, err error) {
	if err != nil {
		r.failed++
		fmt.Fprintf(r.out, "FAILED to %s: %v\n", what, err)
	}
}

// close writes the last line.
func (r *report) close() {
	fmt.Fprintf(r.out, "\n%d passed, %d failed\n", r.passed, r.failed)
}

func round(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}
