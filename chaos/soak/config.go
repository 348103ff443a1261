package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/argosy-cluster/argosy/chaos/ledger"
	"github.com/argosy-cluster/argosy/chaos/report"
)

var (
	// ErrViolated is returned when a trial found something wrong.
	ErrViolated = errors.New("an invariant did not hold")
	// ErrUnjudged is returned when nothing was found wrong, and a trial could not be
	// judged, or there was none.
	ErrUnjudged = errors.New("not everything was judged")
	// ErrDisk is returned when there is too little room to go on.
	ErrDisk = errors.New("too little room on the disk")
)

// Config says what to try, for how long.
type Config struct {
	// For is how long trials are begun. The last one may end later. Required.
	For time.Duration
	// Overtime is how much later at most; then it is broken off. Default
	// DefaultOvertime.
	Overtime time.Duration
	// Seed that the seeds of the trials are drawn by, and their Profile. Required.
	Seed    uint64
	Profile string
	// Commit of the source that is tried. Required with a ledger.
	Commit string
	// Try does one trial and returns what came of it. Its directory does not exist
	// yet; what it leaves there is removed when it held. Required.
	Try func(ctx context.Context, seed uint64, dir string) (*report.Summary, error)
	// Dir is where trials are kept. Required.
	Dir string
	// Ledger is the file to account in; empty for none.
	Ledger string
	// KeepGoing goes on after a violation, Keep keeps trials that held.
	KeepGoing, Keep bool
	// Room is how much must be free on the disk of Dir, Kept how much may be kept
	// there, in bytes. Defaults DefaultRoom and DefaultKept.
	Room, Kept int64
	// Out is told, for people, what happens. Default: nobody.
	Out io.Writer
}

// Defaults of a Config.
const (
	DefaultOvertime = 5 * time.Minute
	DefaultRoom     = 3 << 30
	DefaultKept     = 8 << 30
)

// mostUnjudged trials in a row end a soak: what cannot be tried now can hardly be
// tried the next time.
const mostUnjudged = 3

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.For <= 0:
		return c, fmt.Errorf("a soak of %v: say for how long, such as 1h", c.For)
	case c.Profile == "":
		return c, errors.New("no profile was given")
	case c.Dir == "":
		return c, errors.New("no directory was given")
	case c.Try == nil:
		return c, errors.New("no trial was given")
	}
	if c.Overtime == 0 {
		c.Overtime = DefaultOvertime
	}
	if c.Room == 0 {
		c.Room = DefaultRoom
	}
	if c.Kept == 0 {
		c.Kept = DefaultKept
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Ledger == "" {
		return c, nil
	}
	// Better now than after an hour.
	if _, err := ledger.Read(c.Ledger); err != nil {
		return c, err
	}
	line := ledger.Soak{Commit: c.Commit, Profile: c.Profile}
	if err := line.Validate(); err != nil {
		return c, fmt.Errorf("the ledger would not take it: %w", err)
	}
	return c, nil
}
