package evidence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
)

// ErrUnreadable is returned when there is something that should be there to read
// and is not.
var ErrUnreadable = errors.New("evidence cannot be read")

// Process is a server or an agent that has ended.
type Process struct {
	// Name is its name.
	Name string
	// Log is the file with what it printed over all its lives; empty for none.
	Log string
	// DataDir is the data directory of a server; empty for an agent.
	DataDir string
}

// Collect records what the processes of a trial have left: who led, what should
// not be in the logs, and what each replica has. The clock tells which time of the
// history a wall time was.
func Collect(ctx context.Context, to *history.Recorder, clock func(time.Time) history.Micros, processes []Process) error {
	var errs []error
	for _, p := range processes {
		if p.Log == "" {
			continue
		}
		found, err := ReadLog(p.Name, p.Log, clock)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, l := range found.Leaderships {
			to.Leadership(l)
		}
		for _, l := range found.Levels {
			to.Level(l)
		}
		for _, l := range found.Lines {
			to.Line(l)
		}
	}
	replicas, err := Replicas(ctx, processes)
	for _, r := range replicas {
		to.Replica(r)
	}
	return errors.Join(append(errs, err)...)
}

// Clock tells which time of a history a wall time was, by the moment at which the
// trial began. The clocks may not be set in between.
func Clock(meta history.Meta) (func(time.Time) history.Micros, error) {
	started, err := time.Parse(time.RFC3339Nano, meta.Started)
	if err != nil {
		return nil, fmt.Errorf("read when the trial began: %w: it says %q", ErrUnreadable, meta.Started)
	}
	return func(at time.Time) history.Micros { return meta.Began.Add(at.Sub(started)) }, nil
}
