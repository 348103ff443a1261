package asks

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/argosy-cluster/argosy/network"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Workloads are those that this agent is to run.
type Workloads interface {
	// Workload returns one as it was assigned last, nil when it is not to run here.
	// What it returns never changes; another version is another message.
	Workload(name string) *argosyv1.Workload
}

// Config of a Handler.
type Config struct {
	// Servers returns the API addresses of the servers that are known at the
	// moment, host:port. Required.
	Servers func() []string
	// TLS is how servers are dialled, with the agent's certificate; nil means
	// without TLS.
	TLS *tls.Config
	// Network is by what servers are dialled. Default nil: the system's.
	Network network.Streams
	// Workloads have the rules by which requests are judged. Required.
	Workloads Workloads
	// Timeout is how long a request waits for servers; of logs and events only
	// the first answer does. Default 3.5 s: shorter than a control interface
	// waits (control.Config.RequestTimeout), so that the reason is told.
	Timeout time.Duration
	// MaxAtOnce limits the requests for and changes of the state that are under
	// way, of all workloads together; others wait. Each may need the memory of a
	// whole state. Default 16.
	MaxAtOnce int
	// MaxEvents limits the events that wait for one subscription; when there are
	// more, they become one. Default 64.
	MaxEvents int
	// CheckEvery is how long events may stay away before it is asked whether the
	// server that would send them still hears of any. Default 10 s; it costs a
	// leader one question.
	CheckEvery time.Duration
	// Logger gets what happens; nil discards it.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults, without what is required.
func DefaultConfig() Config {
	return Config{Timeout: 3500 * time.Millisecond, MaxAtOnce: 16, MaxEvents: 64, CheckEvery: 10 * time.Second}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	var problems []error
	if c.Servers == nil || c.Workloads == nil {
		problems = append(problems, errors.New("servers or workloads are missing"))
	}
	if c.Timeout <= 0 || c.CheckEvery <= 0 {
		problems = append(problems, fmt.Errorf("times %v and %v must be positive", c.Timeout, c.CheckEvery))
	}
	if c.MaxAtOnce < 1 || c.MaxEvents < 1 {
		problems = append(problems, fmt.Errorf("limits %d and %d must be 1 at least", c.MaxAtOnce, c.MaxEvents))
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: requests of workloads: %w", ErrConfig, errors.Join(problems...))
	}
	return nil
}
