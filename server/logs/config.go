package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/argosy-cluster/argosy/server/observed"
)

// Config tunes a Relay.
type Config struct {
	// AnswerTimeout is how long an agent may take to open the stream of an
	// instance's lines. Default 10 s.
	AnswerTimeout time.Duration
	// MaxLine is the size in bytes at which a line is cut, which is marked by "
	// [truncated]" at its end. Default 2 MiB, which has to stay below the largest
	// message that users take.
	MaxLine int
	// MaxMessage is the size in bytes at which lines are spread over several
	// messages. Default 1 MiB.
	MaxMessage int
	// MaxInstances is how many instances one call may ask for. Default 1,000.
	MaxInstances int
}

// DefaultConfig returns the defaults named at the fields.
func DefaultConfig() Config {
	return Config{AnswerTimeout: 10 * time.Second, MaxLine: 2 << 20, MaxMessage: 1 << 20, MaxInstances: 1000}
}

// Validate checks the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.AnswerTimeout <= 0 {
		errs = append(errs, fmt.Errorf("AnswerTimeout is %s: want more than 0", c.AnswerTimeout))
	}
	if c.MaxLine < 1 || c.MaxLine > 3<<20 {
		errs = append(errs, fmt.Errorf("MaxLine is %d: want 1 to %d", c.MaxLine, 3<<20))
	}
	if c.MaxMessage < 1 {
		errs = append(errs, fmt.Errorf("MaxMessage is %d: want at least 1", c.MaxMessage))
	}
	if c.MaxInstances < 1 {
		errs = append(errs, fmt.Errorf("MaxInstances is %d: want at least 1", c.MaxInstances))
	}
	return errors.Join(errs...)
}

// Deps are what a Relay works with.
type Deps struct {
	// Agents has the sessions.
	Agents Agents
	// Store knows the instances.
	Store *observed.Store
	// PeerNames returns the names in the verified certificate of who called,
	// false without TLS: identity.PeerNames.
	PeerNames func(ctx context.Context) (names []string, ok bool)
	// Logger gets one line per event; nil discards.
	Logger *slog.Logger
}

func (d Deps) validate() error {
	if d.Agents == nil || d.Store == nil || d.PeerNames == nil {
		return errors.New("configure logs: Agents, Store and PeerNames must be set")
	}
	return nil
}
