// Package rebuild runs a server again after its data was found damaged.
//
// The invariant it protects: what a server that was damaged has acknowledged or
// voted never counts again. Its id is given up for good; the same process goes
// on as a new server with nothing, which the leader adds in the place of the
// old one and fills (see consensus.GiveUp).
//
// What is damage is decided by the error alone. Not being able to write is
// none, and neither is an entry that this version does not know: those end the
// server. Damage of memory alone needs no new id: the server is opened again
// from its disk.
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/argosy-cluster/argosy/server/consensus"
)

// ErrTooOften is returned when data was found damaged again and again: then it
// is the machine, and to fetch everything once more does not help.
var ErrTooOften = errors.New("its data was found damaged too often: check disk and memory of this machine")

// Replica is an open server.
type Replica interface {
	// Run serves until the context ends or the server cannot go on.
	Run(ctx context.Context) error
}

// Config says what to run and how often to try.
type Config struct {
	// DataDir is the server's data directory.
	DataDir string
	// Open opens the server.
	Open func() (Replica, error)
	// Spared returns nil when it is certain that the others can do without this
	// server: it is asked where the data directory alone does not tell. Default:
	// it never is.
	Spared func(ctx context.Context) error
	// Limit is after how many rebuilds within Window it is given up. Default 3
	// in 10 minutes. They are remembered in the data directory: a supervisor
	// that starts the process again does not reset them.
	Limit  int
	Window time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Logger gets one line per event. Default: none.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults for a server.
func DefaultConfig(dataDir string, open func() (Replica, error)) Config {
	return Config{DataDir: dataDir, Open: open, Limit: 3, Window: 10 * time.Minute, Now: time.Now}
}

// Validate checks the configuration.
func (c Config) Validate() error {
	switch {
	case c.DataDir == "":
		return errors.New("configure rebuild: no data directory")
	case c.Open == nil || c.Now == nil:
		return errors.New("configure rebuild: nothing to open, or no clock")
	case c.Limit < 1 || c.Window <= 0:
		return fmt.Errorf("configure rebuild: %d times in %v, both must be positive", c.Limit, c.Window)
	}
	return nil
}

// Run opens the server and runs it until the context ends or it cannot go on,
// and once more whenever damage ended it.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	for {
		replica, err := cfg.Open()
		if err == nil {
			err = replica.Run(ctx)
		}
		found := Judge(err)
		if ctx.Err() != nil || found == Sound {
			return err
		}
		if mendErr := mend(ctx, cfg, found, err); mendErr != nil {
			return errors.Join(mendErr, err)
		}
	}
}

// mend makes the data directory one that can be opened again.
func mend(ctx context.Context, cfg Config, found Verdict, reason error) error {
	now := cfg.Now()
	history, err := History(cfg.DataDir)
	if err != nil {
		return err
	}
	if history.since(now.Add(-cfg.Window)) >= cfg.Limit {
		return fmt.Errorf("rebuild server: %w (%d times in %v, see %s)", ErrTooOften, cfg.Limit, cfg.Window, historyPath(cfg.DataDir))
	}
	one := Rebuild{Time: now.UTC(), Reason: reason.Error()}
	if found == MemoryDamaged {
		cfg.Logger.Error("memory of the server was damaged: opening it again from its disk", "err", reason)
	} else {
		given, err := consensus.GiveUp(cfg.DataDir, reason, now, consensus.AsFarAsKnown)
		if errors.Is(err, consensus.ErrLastCopy) && cfg.Spared != nil {
			if askErr := cfg.Spared(ctx); askErr != nil {
				err = errors.Join(err, askErr)
			} else {
				given, err = consensus.GiveUp(cfg.DataDir, reason, now, consensus.Spared)
			}
		}
		if err != nil {
			return fmt.Errorf("rebuild server: %w", err)
		}
		one.Old, one.New, one.Quarantine = given.Old, given.New, given.Quarantine
		cfg.Logger.Error("data of the server was found damaged: joining again as a new server, to be filled by the leader",
			"given_up", given.Old, "id", given.New, "damaged_data", given.Quarantine, "err", reason)
	}
	if err := history.add(one).write(cfg.DataDir); err != nil {
		// It is only the limit that needs it, and a disk that is full.
		cfg.Logger.Warn("rebuild was not noted down", "err", err)
	}
	return nil
}
