package reconcile

import (
	"errors"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"time"
)

// ErrConfig is returned when a configuration cannot work.
var ErrConfig = errors.New("invalid configuration")

// Config is how a Manager works.
type Config struct {
	// Agent is the name of this agent. Required.
	Agent string
	// Resync is how often each runtime is listed for what its events may have
	// missed. Default 30 s. Shorter finds a missed change sooner and costs CPU
	// on an idle node.
	Resync time.Duration
	// ListTimeout is how long a list may take before the runtime counts as
	// unavailable. Default 60 s.
	ListTimeout time.Duration
	// Starts is how many instances a runtime may be starting at once. Default 2
	// a CPU, at least 4: starting is work, and more at once only adds memory.
	Starts int
	// Removals is how many instances a runtime may be removing at once. Default
	// 4 times Starts: removing is mostly waiting.
	Removals int
	// SlowAfter is how long an operation counts against Starts or Removals.
	// One that lasts longer waits for something (an image, a process that does
	// not want to end) and must not hold up the others. Default 1 s.
	SlowAfter time.Duration
	// Operations bounds all operations of a runtime, slow ones included.
	// Default 256.
	Operations int
	// QuickRun is the length of a run below which its end counts as a quick
	// failure and slows the next restart down. Default 10 s.
	QuickRun time.Duration
	// LongestPause is how long a restart waits at most after runs that ended
	// quickly. 0 restarts at once, for ever. Default 5 min.
	LongestPause time.Duration
	// StartingPatience is how long an instance may stay created without
	// running after it was started before it is started again. Default 30 s.
	StartingPatience time.Duration
	// StopGrace is how long Run waits at its end for operations in flight.
	// Default 3 s. An operation that is cut off is found and finished by the
	// agent's next life.
	StopGrace time.Duration
	// QueueLimit is how many changes of state are kept for the session before
	// they are replaced by one full report. Default 4096.
	QueueLimit int
	// Rebooted says that the machine was started anew since the agent's life before
	// this one: what ran or had finished then is started again.
	Rebooted bool
	// PresumeAfter is after how long without a leader's word, when the machine was
	// started anew, what was last assigned is started all the same. 0 waits for a
	// leader. Default 3 s: a leader that can be reached has spoken by then.
	PresumeAfter time.Duration
	// Neighbours tells of workloads that others run. Nil knows of none.
	Neighbours Neighbours
	// Preparer makes what instances are shown of the host. Nil makes nothing, and
	// shows nothing.
	Preparer Preparer
	// Logger gets one line an event. Nil discards.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	starts := max(4, 2*goruntime.GOMAXPROCS(0))
	return Config{
		Resync:           30 * time.Second,
		ListTimeout:      time.Minute,
		Starts:           starts,
		Removals:         4 * starts,
		SlowAfter:        time.Second,
		Operations:       256,
		QuickRun:         10 * time.Second,
		LongestPause:     delayCap,
		StartingPatience: 30 * time.Second,
		StopGrace:        3 * time.Second,
		QueueLimit:       4096,
		PresumeAfter:     3 * time.Second,
	}
}

// Validate tells what cannot work.
func (c Config) Validate() error {
	switch {
	case c.Agent == "":
		return fmt.Errorf("reconcile: the name of the agent is missing: %w", ErrConfig)
	case c.Resync <= 0 || c.ListTimeout <= 0 || c.SlowAfter <= 0 || c.QuickRun <= 0 || c.StartingPatience <= 0 || c.StopGrace < 0 || c.PresumeAfter < 0 || c.LongestPause < 0:
		return fmt.Errorf("reconcile: times must be above zero: %w", ErrConfig)
	case c.Starts <= 0 || c.Removals <= 0 || c.Operations <= 0 || c.QueueLimit <= 0:
		return fmt.Errorf("reconcile: limits must be above zero: %w", ErrConfig)
	}
	return nil
}

func (c *Config) pace() pace { return pace{quick: c.QuickRun, longest: c.LongestPause} }
