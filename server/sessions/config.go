package sessions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

// Config tunes the sessions. All times are the leader's.
type Config struct {
	// HeartbeatInterval is how often an agent shall give a sign of life. Default
	// 1 s. Shorter notices a lost agent sooner, for more messages.
	HeartbeatInterval time.Duration
	// SessionTimeout is how long an agent may be silent, or its stream be
	// broken, or a new leader not have heard of it, before its states are shown
	// as disconnected. Default 5 s. Longer hides longer interruptions.
	SessionTimeout time.Duration
	// HelloTimeout is how long a new stream may take to introduce itself.
	// Default 5 s.
	HelloTimeout time.Duration
	// LeaderWait is how long an agent is kept waiting while no leader is known,
	// before it is sent away without an address. Default 300 ms. It trades the
	// quick way to a leader that is just being elected against time lost at a
	// server that is cut off.
	LeaderWait time.Duration
	// SendTimeout is how long one message may take to be taken by an agent.
	// Default 30 s. It has to allow for a message of 1 MiB on the slowest link.
	SendTimeout time.Duration
	// ReconnectsPerSecond is for how many agents a second the time is chosen over
	// which they come back when their sessions end together, at a fail-over most
	// often. Default 1,700. More brings them back sooner; fewer leave more of the
	// new leader's time to writes. The time is at most three fifths of
	// SessionTimeout, so that none is taken for lost because of it.
	ReconnectsPerSecond int
	// BeginAtOnce is how many sessions are begun at the same time; the others wait
	// their turn. Default 16: enough to keep all cores busy, and few enough that
	// whoever else needs one gets it soon.
	BeginAtOnce int
	// BeginWait is how long an agent waits for its turn before it is sent away for
	// a while. Default 3 s: less than an agent waits for an answer.
	BeginWait time.Duration
	// MaxQueuedMessages and MaxQueuedBytes bound what waits for one agent; one
	// that has not kept up when they are reached is cut off. A full set of
	// assignments is put in whole, whatever its size. Defaults 1,024 and 16 MiB.
	MaxQueuedMessages int
	MaxQueuedBytes    int
	// MaxMessage is the size in bytes at which assignments are cut into several
	// messages; one workload that is larger goes alone. Default 1 MiB.
	MaxMessage int
}

// DefaultConfig returns the defaults named at the fields.
func DefaultConfig() Config {
	return Config{
		HeartbeatInterval: time.Second,
		SessionTimeout:    5 * time.Second,
		HelloTimeout:      5 * time.Second,
		LeaderWait:        300 * time.Millisecond,
		SendTimeout:       30 * time.Second,

		ReconnectsPerSecond: 1700,
		BeginAtOnce:         16,
		BeginWait:           3 * time.Second,

		MaxQueuedMessages: 1024,
		MaxQueuedBytes:    16 << 20,
		MaxMessage:        1 << 20,
	}
}

// Validate checks the configuration.
func (c Config) Validate() error {
	var errs []error
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"HeartbeatInterval", c.HeartbeatInterval},
		{"SessionTimeout", c.SessionTimeout},
		{"HelloTimeout", c.HelloTimeout},
		{"LeaderWait", c.LeaderWait},
		{"SendTimeout", c.SendTimeout},
		{"BeginWait", c.BeginWait},
	} {
		if field.value <= 0 {
			errs = append(errs, fmt.Errorf("%s is %s: want more than 0", field.name, field.value))
		}
	}
	if c.HeartbeatInterval > 0 && c.SessionTimeout < 2*c.HeartbeatInterval {
		errs = append(errs, fmt.Errorf("SessionTimeout is %s: want at least twice HeartbeatInterval (%s), or one late heartbeat loses an agent",
			c.SessionTimeout, c.HeartbeatInterval))
	}
	for _, field := range []struct {
		name  string
		value int
	}{
		{"ReconnectsPerSecond", c.ReconnectsPerSecond},
		{"BeginAtOnce", c.BeginAtOnce},
		{"MaxQueuedMessages", c.MaxQueuedMessages},
		{"MaxQueuedBytes", c.MaxQueuedBytes},
		{"MaxMessage", c.MaxMessage},
	} {
		if field.value < 1 {
			errs = append(errs, fmt.Errorf("%s is %d: want at least 1", field.name, field.value))
		}
	}
	return errors.Join(errs...)
}

// Machine is desired state; *fsm.Machine is one.
type Machine interface {
	// View returns the state as it is.
	View() *fsm.View
	// Subscribe returns the changes after a revision.
	Subscribe(after uint64) (*fsm.Subscription, error)
}

var _ Machine = (*fsm.Machine)(nil)

// Directory knows the servers of the cluster.
type Directory interface {
	// Leader returns the API address of the leader and its term, and whether it
	// is this server. The address is empty when none is known.
	Leader() (address string, term uint64, self bool)
	// Watch returns a signal that is given after Leader may have changed, and
	// what ends it.
	Watch() (changed <-chan struct{}, cancel func())
	// Servers returns the API addresses of all servers.
	Servers() []string
}

// Registrar writes the durable records of agents; the writer is one.
type Registrar interface {
	// RegisterAgent writes what an agent says of itself.
	RegisterAgent(ctx context.Context, agent *argosyv1.Agent) error
	// NoteOwing writes what agents owe, nil for nothing, into those records that
	// there are, in one entry.
	NoteOwing(ctx context.Context, owing map[string]*argosyv1.Owing) error
}

// Deps are what a Service works with.
type Deps struct {
	// ServerID is the id of this server.
	ServerID string
	// ClusterID returns the id of the cluster, empty while there is none yet.
	ClusterID func() string
	// Incarnation returns which life of the cluster this is, empty in the first.
	// Nil means the first.
	Incarnation func() string
	// Store takes what agents report.
	Store *observed.Store
	// Machine is desired state.
	Machine Machine
	// Directory knows the servers.
	Directory Directory
	// PeerNames returns the names in the verified certificate of who called,
	// false without TLS: identity.PeerNames.
	PeerNames func(ctx context.Context) (names []string, ok bool)
	// Logger gets one line per event; nil discards.
	Logger *slog.Logger
}

func (d Deps) incarnation() string {
	if d.Incarnation == nil {
		return ""
	}
	return d.Incarnation()
}

func (d Deps) validate() error {
	if d.ServerID == "" || d.ClusterID == nil || d.Store == nil || d.Machine == nil || d.Directory == nil || d.PeerNames == nil {
		return errors.New("configure sessions: ServerID, ClusterID, Store, Machine, Directory and PeerNames must be set")
	}
	return nil
}
