package libpod

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

func TestLongLinesAreCutAndTheLongestEndTheLog(t *testing.T) {
	const at = "2026-01-02T03:04:05Z "
	var got []runtime.LogLine
	r := &logReader{options: runtime.LogOptions{Tail: -1}, emit: func(line runtime.LogLine) error {
		line.Line = []byte(string(line.Line))
		got = append(got, line)
		return nil
	}}
	piece := strings.Repeat("x", 1_000_000)
	add := func(stream, pieces int, end string) error {
		for range pieces {
			if err := r.add(stream, at+piece); err != nil {
				return err
			}
		}
		return r.add(stream, at+end)
	}
	if err := errors.Join(add(0, 2, "\n"), add(0, 0, "\n"), add(1, 3, "tail\n"), add(0, 0, "short\n")); err != nil {
		t.Fatal(err)
	}
	if err := add(0, 60, "\n"); !errors.Is(err, runtime.ErrLineTooLong) {
		t.Fatalf("line of 60 MB: %v", err)
	}
	want := []struct {
		length    int
		truncated bool
	}{{2_000_000, false}, {0, false}, {2_000_000, true}, {5, false}, {2_000_000, true}}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i, line := range got {
		if len(line.Line) != want[i].length || line.Truncated != want[i].truncated || line.Time.IsZero() {
			t.Errorf("line %d has %d bytes, truncated %v, time %v, want %v", i, len(line.Line), line.Truncated, line.Time, want[i])
		}
	}
}

func TestNothingIsToldToWhoHasRefusedALine(t *testing.T) {
	refused := errors.New("refused")
	calls := 0
	r := &logReader{options: runtime.LogOptions{Tail: -1}, emit: func(runtime.LogLine) error {
		if calls++; calls == 1 {
			return refused
		}
		return nil
	}}
	err := r.readFrom(t.Context(), func(_ context.Context, stdout, stderr chan string) error {
		stderr <- "2026-01-02T03:04:05Z without an end"
		stdout <- "2026-01-02T03:04:06Z a line\n"
		return nil
	})
	if calls != 1 || !errors.Is(r.failure, refused) || err != nil {
		t.Errorf("%d calls, failure %v, error %v", calls, r.failure, err)
	}
}
