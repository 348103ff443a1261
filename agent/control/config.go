package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/argosy-cluster/argosy/agent/runfolder"
	"github.com/argosy-cluster/argosy/proto/ankaios"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Handler does what workloads ask for. Handle is called in a goroutine of its own
// for each request, cancel requests excepted: those end the context of what they
// cancel.
//
// The context ends when the request's time is over (ErrTimeout), when the workload
// cancels it (ErrCancelled), does not read (ErrNotRead), or is gone (ErrEnded).
// Logs and subscriptions to events run until Handle returns; only their first
// response has to come in time. Requests come in order in so far as that one
// begins after every change of the state that was asked for before it has ended.
//
// reply may be called as often as the request has responses; it sets the request's
// id, keeps the message, and waits while the workload does not read. Its error is
// the reason to stop. An error of Handle is told to the workload as the request's
// last response: its text is for the workload's user, ErrDenied has the text that
// Ankaios gives. Handle has to return soon after its context has ended, since
// Manager.Close waits for it.
type Handler interface {
	Handle(ctx context.Context, instance *argosyv1.InstanceName, request *ankaios.Request, reply func(*ankaios.Response) error) error
}

// Config of a Manager.
type Config struct {
	// Dir is the run folder, an absolute path. It is made if it does not exist;
	// it has to be the agent's alone. Required.
	Dir string
	// Agent is the name of the agent. Required.
	Agent string
	// Handler does what workloads ask for. Required.
	Handler Handler
	// MaxMessageBytes limits a message of a workload. Default: 4 MiB less 256
	// bytes, as in Ankaios.
	MaxMessageBytes int
	// MaxElements limits the parts of a message (sub-messages, items of lists),
	// which take many times the memory of the two bytes that suffice to send
	// one. Default: 262144, some 20 for each of 10,000 workloads.
	MaxElements int
	// MaxRequests limits how many requests of one workload are under way,
	// subscriptions excepted; the next one waits in the pipe. It waits too
	// when all of them would have more than MaxMessageBytes, where an element
	// counts for 16 bytes at least. Default: 16.
	MaxRequests int
	// MaxSubscriptions limits how many logs and subscriptions to events one
	// workload has; one more is refused, and so is one of more than 128 KiB.
	// Default: 32.
	MaxSubscriptions int
	// MaxQueueMessages and MaxQueueBytes limit what waits for one workload to
	// read it. Defaults: 1024, and 8 MiB: twice what a request may bring.
	MaxQueueMessages, MaxQueueBytes int
	// RequestTimeout is how long a request may take. Default: 4 s, so that
	// the reason is there before SDKs give up, which is after 5 s.
	RequestTimeout time.Duration
	// SubscriptionPause is the time between the first response to a
	// subscription and the next: SDKs throw away what comes before they have
	// taken note of the first. Default: 100 ms, some times what a thread waits
	// for its turn on a machine that has much to do.
	SubscriptionPause time.Duration
	// ReaderTimeout is how long messages wait when nobody has the pipe open
	// for reading; they are dropped afterwards, and subscriptions end.
	// Default: 5 s, time for a workload to open it again.
	ReaderTimeout time.Duration
	// StallTimeout is how long the queue may be full while nothing is read;
	// afterwards the oldest subscriptions end until there is room. Default:
	// 10 s, longer than a pause for garbage or a slow disk.
	StallTimeout time.Duration
	// HalfMessageTimeout is how long the rest of a message may stay away.
	// Default: 30 s, since a workload may be paused within a message.
	HalfMessageTimeout time.Duration
	// Logger gets what happens; nil discards it.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults, without what is required.
func DefaultConfig() Config {
	return Config{
		MaxMessageBytes:    4<<20 - 256,
		MaxElements:        1 << 18,
		MaxRequests:        16,
		MaxSubscriptions:   32,
		MaxQueueMessages:   1024,
		MaxQueueBytes:      8 << 20,
		RequestTimeout:     4 * time.Second,
		SubscriptionPause:  100 * time.Millisecond,
		ReaderTimeout:      5 * time.Second,
		StallTimeout:       10 * time.Second,
		HalfMessageTimeout: 30 * time.Second,
	}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	var problems []error
	if !filepath.IsAbs(c.Dir) {
		problems = append(problems, fmt.Errorf("run folder %q is no absolute path", c.Dir))
	}
	if !runfolder.ValidAgent(c.Agent) {
		problems = append(problems, fmt.Errorf("agent name %q is not 1 to 63 of a-z, A-Z, 0-9, _ and -", c.Agent))
	}
	if c.Handler == nil {
		problems = append(problems, errors.New("no handler"))
	}
	if min(c.MaxMessageBytes, c.MaxElements, c.MaxRequests, c.MaxSubscriptions, c.MaxQueueMessages, c.MaxQueueBytes) < 1 {
		problems = append(problems, errors.New("a limit is less than 1"))
	}
	if min(c.RequestTimeout, c.SubscriptionPause, c.ReaderTimeout, c.StallTimeout, c.HalfMessageTimeout) <= 0 {
		problems = append(problems, errors.New("a time-out is not positive"))
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: control interface: %w", ErrConfig, errors.Join(problems...))
	}
	return nil
}
