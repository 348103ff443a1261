package keeper

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// Config of a keeper.
type Config struct {
	// Dir holds socket, lock, journal and logs. Absolute. Required.
	Dir string
	// Idle is how long a keeper with no running process and no client stays.
	// Default: 1 minute. Shorter saves memory, longer saves start-ups of 20 ms.
	Idle time.Duration
	// SegmentBytes is the size of a log segment, in bytes; two are kept for each
	// instance. Default: 8 MiB. It trades disk for history.
	SegmentBytes int64
	// BacklogBytes is how far a process may be ahead of the copying of its output,
	// in bytes, before lines are dropped. Default: 8 MiB. It trades disk for lines.
	BacklogBytes int64
	// Logger gets what happens; nil discards it.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults, without a directory.
func DefaultConfig() Config {
	return Config{Idle: time.Minute, SegmentBytes: 8 << 20, BacklogBytes: 8 << 20}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	var problems []error
	if !filepath.IsAbs(c.Dir) {
		problems = append(problems, fmt.Errorf("directory %q is not absolute", c.Dir))
	}
	if c.Idle <= 0 {
		problems = append(problems, fmt.Errorf("idle time %v is not positive", c.Idle))
	}
	if c.SegmentBytes < 1<<20 || c.BacklogBytes < 1<<20 {
		problems = append(problems, fmt.Errorf("segment of %d and backlog of %d bytes: less than 1 MiB", c.SegmentBytes, c.BacklogBytes))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("check keeper configuration: %w", err)
	}
	return nil
}
