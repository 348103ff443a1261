// Package runtime says what an agent asks of the thing that runs workloads
// (podman, plain processes). It protects one invariant: an instance is known by
// its name alone (workload, id, agent), so that whoever starts an agent again
// finds what its predecessor left running.
package runtime

import (
	"context"
	"errors"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

var (
	// ErrInvalidConfig is returned when a runtime configuration cannot work as
	// it is written; trying again is of no use.
	ErrInvalidConfig = errors.New("invalid runtime configuration")
	// ErrUnavailable is returned when the runtime itself does not answer (its
	// service is down or hangs); nothing is known of its instances then.
	ErrUnavailable = errors.New("runtime unavailable")
	// ErrLineTooLong is returned when a log has a line that is longer than
	// MaxLineRead; its beginning was emitted.
	ErrLineTooLong = errors.New("line too long")
	// ErrPlaceGone is returned when a log does not have the line any more after
	// which it was to be read.
	ErrPlaceGone = errors.New("place in the log gone")
	// ErrNotFound is returned when an instance does not exist.
	ErrNotFound = errors.New("instance not found")
)

// Status is what a runtime says of an instance.
type Status uint8

const (
	// StatusUnknown is a state that means nothing to us (paused, for example).
	StatusUnknown Status = iota
	// StatusStarting is created, not running yet.
	StatusStarting
	// StatusRunning is running.
	StatusRunning
	// StatusStopping is being stopped or removed.
	StatusStopping
	// StatusExited has ended; ExitCode says how.
	StatusExited
)

// Instance is what a runtime has.
type Instance struct {
	// Name of the instance.
	Name *argosyv1.InstanceName
	// RuntimeID is the id at the runtime (container id, pid), for people.
	RuntimeID string
	// Status is its state.
	Status Status
	// ExitCode is set when Status is StatusExited. An end by signal N is 128+N.
	ExitCode int32
	// Detail is text of the runtime for people; may be empty.
	Detail string
	// StartedAt is when it was last started; zero when it was not.
	StartedAt time.Time
}

// Event says that an instance may have changed.
type Event struct {
	// Instance as it is now. Name is nil when Resync is set.
	Instance Instance
	// Gone is set when the instance does not exist any more.
	Gone bool
	// Resync asks to list everything again: events may have been missed.
	Resync bool
}

// StartOptions tell how to start an instance.
type StartOptions struct {
	// Reuse starts an ended instance again as it is (same container, same id)
	// where the runtime can; without it an ended instance of the name is
	// removed and made anew.
	Reuse bool
	// Mounts are what the instance is shown of the host, beside what its
	// configuration asks for. One that runs keeps what it was started with, one
	// that is started again as it is has the same.
	Mounts []Mount
}

// Limits of lines in bytes, which are those of Ankaios.
const (
	// MaxLine is how much is emitted of one line.
	MaxLine = 2_000_000
	// MaxLineRead is how long a line may be before a log ends at it.
	MaxLineRead = 50_000_000
)

// LogOptions tell which lines are wanted.
type LogOptions struct {
	// Follow goes on with new lines until the context ends, or until the
	// instance has ended or is gone and everything it printed was emitted.
	Follow bool
	// Tail is the number of last lines wanted; negative means all.
	Tail int
	// Since and Until limit the time; zero means no limit.
	Since, Until time.Time
	// After is a place that an earlier reading told: only what comes after it is
	// wanted. Zero means no limit. Only runtimes that tell places know it.
	After LogPlace
}

// LogPlace is the place of a line in the log of an instance.
type LogPlace struct {
	// Position is higher than that of every line before; zero when the runtime has
	// no such thing.
	Position uint64
	// Time is that of the line.
	Time time.Time
}

// LogLine is one line of an instance.
type LogLine struct {
	// Line without its end, MaxLine bytes of it at the most.
	Line []byte
	// Truncated is set when the line was longer.
	Truncated bool
	// Stderr is set when it came from standard error.
	Stderr bool
	// Time it was printed; zero when not known.
	Time time.Time
	// Position is that of its LogPlace.
	Position uint64
}

// Starter starts and removes instances. Every call is idempotent by name.
type Starter interface {
	// Info tells the runtime's name, version and present problem. It does not
	// block for long: it answers from what is known.
	Info(ctx context.Context) *argosyv1.RuntimeInfo
	// Start creates and starts the instance. One that runs already is left
	// alone and returned. ErrInvalidConfig when it can never work.
	Start(ctx context.Context, workload *argosyv1.Workload, options StartOptions) (Instance, error)
	// Remove stops the instance and removes it. One that does not exist counts
	// as removed.
	Remove(ctx context.Context, name *argosyv1.InstanceName) error
}

// Creator is a Starter that can create an instance ahead of its start, while an
// older one of its workload still runs.
type Creator interface {
	// Create creates the instance and does not start it: Start with the same
	// workload and mounts starts what was created. What takes long, such as pulling an
	// image, is done when it returns. An instance that exists is left alone and
	// returned. errors.ErrUnsupported when this one cannot be created beside
	// another; any other error is one that Start may return too. What another life of
	// the agent has created is made anew by Start.
	Create(ctx context.Context, workload *argosyv1.Workload, options StartOptions) (Instance, error)
}

// Observer tells what is there.
type Observer interface {
	// List returns all instances of this agent that the runtime has.
	List(ctx context.Context) ([]Instance, error)
	// Watch calls emit for every change until the context ends; it reconnects
	// by itself and emits Resync whenever it may have missed something, also
	// once at the start. It returns the context's cause.
	Watch(ctx context.Context, emit func(Event)) error
}

// LogReader reads what instances print.
type LogReader interface {
	// Logs calls emit for each line in order; the line's bytes are only valid
	// during the call. It returns nil at the end, ErrNotFound when there is no
	// such instance, the cause of a context that ended, or emit's error.
	Logs(ctx context.Context, name *argosyv1.InstanceName, options LogOptions, emit func(LogLine) error) error
}

// Runtime is all of it.
type Runtime interface {
	Starter
	Observer
	LogReader
}
