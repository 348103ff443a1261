package observed

import (
	"errors"
	"fmt"
	"log/slog"
)

// Config bounds a Store.
type Config struct {
	// MaxStatesPerAgent is how many instances one agent may have; states beyond
	// are dropped with a log line. Default 65,536. It trades the largest agent
	// against the memory that one broken agent can take.
	MaxStatesPerAgent int
	// RingBatches is how many batches of changes are kept for subscribers.
	// Default 4,096. More lets slow watchers and followers lag longer before
	// they need a full copy, for memory.
	RingBatches int
	// RingStates is how many changes of states are kept in all batches together.
	// Default 32,768. The newest batch is always kept, whatever its size.
	RingStates int
	// Logger gets one line per event; nil discards.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults named at the fields.
func DefaultConfig() Config {
	return Config{MaxStatesPerAgent: 65536, RingBatches: 4096, RingStates: 32768}
}

// Validate checks the bounds.
func (c Config) Validate() error {
	var errs []error
	for _, field := range []struct {
		name  string
		value int
	}{
		{"MaxStatesPerAgent", c.MaxStatesPerAgent},
		{"RingBatches", c.RingBatches},
		{"RingStates", c.RingStates},
	} {
		if field.value < 1 {
			errs = append(errs, fmt.Errorf("%s is %d: want at least 1", field.name, field.value))
		}
	}
	return errors.Join(errs...)
}
