package session

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/network"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Config is who the agent is and how it keeps its session.
type Config struct {
	// Name of the agent. Required.
	Name string
	// Version of its binary.
	Version string
	// BootID of its machine.
	BootID string
	// HomeID tells the agent's data directory from every other one of this boot
	// of the machine. Without it a killed agent that is started again has to
	// wait until its former session has timed out.
	HomeID string
	// InstanceID of this process life: a UUID. Required.
	InstanceID string
	// Tags of the agent.
	Tags map[string]string
	// Servers are API addresses to begin with, host:port. Without any, gossip
	// must tell.
	Servers []string
	// TLS is how servers are dialled; nil means without TLS.
	TLS *tls.Config
	// Network is by what servers are dialled. Default nil: the system's.
	Network network.Streams

	// ConnectTimeout bounds reaching the machine of one server. Default 1 s. Others
	// are asked meanwhile, so that it costs little to be patient.
	ConnectTimeout time.Duration
	// AnswerTimeout bounds the time that setting up the connection takes from
	// there, and that from Hello to the answer. Default 5 s each: a new leader may
	// have to catch up first, and to set up the connections of thousands.
	AnswerTimeout time.Duration
	// Hedge is how long the most probable leader is waited for before all
	// others are asked too. Default 15 ms. Shorter asks servers for nothing;
	// longer delays a fail-over whose dead leader hangs instead of refusing.
	Hedge time.Duration
	// AnnouncementWait is how long the others are left alone when the leader that
	// was lost refuses connections and gossip will tell of the next one. Default
	// 40 ms: about as long as a fail-over takes. Until then the others have
	// nothing to tell, and an agent on each of many machines that asks them takes
	// from them the time that they need to find the next leader.
	AnnouncementWait time.Duration
	// Scatter is the time within which an agent, at random, asks a leader that it
	// was told of. Default 40 ms: all agents are told at the same moment, which is
	// the one at which that leader has the writes to do that waited for it.
	Scatter time.Duration
	// PaceMin and PaceMax bound the time after which a server is asked again.
	// Default 20 ms and 2 s.
	PaceMin, PaceMax time.Duration
	// FollowPace is how long a server that named a leader is left alone while
	// that leader is asked. Default 100 ms. Shorter costs a new leader time when
	// many agents come at once; longer delays a fail-over in which the leader that
	// was named hangs.
	FollowPace time.Duration
	// RefusedPace is the time after which a server that refused this agent for
	// a reason that will not go away by itself is asked again. Default 10 s.
	RefusedPace time.Duration
	// ReportGap is the least time between two reports of states: what changes
	// within it travels together. Default 3 ms.
	ReportGap time.Duration
	// LoadInterval is how often the load is looked at, LoadRepeat how often it
	// is reported though it did not change by much. Default 2 s and 30 s.
	LoadInterval, LoadRepeat time.Duration
	// GoodbyeTimeout bounds the farewell. Default 500 ms.
	GoodbyeTimeout time.Duration
	// Logger gets one line an event. Nil discards.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		ConnectTimeout:   time.Second,
		AnswerTimeout:    5 * time.Second,
		Hedge:            15 * time.Millisecond,
		AnnouncementWait: 40 * time.Millisecond,
		Scatter:          40 * time.Millisecond,
		PaceMin:          20 * time.Millisecond,
		PaceMax:          2 * time.Second,
		FollowPace:       100 * time.Millisecond,
		RefusedPace:      10 * time.Second,
		ReportGap:        3 * time.Millisecond,
		LoadInterval:     2 * time.Second,
		LoadRepeat:       30 * time.Second,
		GoodbyeTimeout:   500 * time.Millisecond,
	}
}

// Validate tells what cannot work.
func (c Config) Validate() error {
	switch {
	case c.Name == "" || c.InstanceID == "":
		return fmt.Errorf("session: the agent's name or instance id is missing: %w", ErrConfig)
	case c.ConnectTimeout <= 0 || c.AnswerTimeout <= 0 || c.PaceMin <= 0 || c.PaceMax < c.PaceMin || c.RefusedPace <= 0:
		return fmt.Errorf("session: times must be above zero and the pace's maximum not below its minimum: %w", ErrConfig)
	case c.Hedge < 0 || c.AnnouncementWait < 0 || c.Scatter < 0 || c.FollowPace < 0 || c.ReportGap < 0 || c.LoadInterval <= 0 || c.LoadRepeat <= 0 || c.GoodbyeTimeout < 0:
		return fmt.Errorf("session: times must not be below zero: %w", ErrConfig)
	}
	return nil
}

// Assignments takes what leaders say about what shall run.
type Assignments interface {
	// Held tells what is held already.
	Held() assignments.Held
	// Accept takes a leader for the one to follow, or refuses it with
	// assignments.ErrOtherCluster, ErrLeftBehind or ErrStaleLeader.
	Accept(welcome *argosyv1.Welcome) error
	// Assign takes assignments of the accepted leader; an error ends the
	// session.
	Assign(message *argosyv1.Assignments) error
	// Learn takes what the accepted leader tells of workloads that others run.
	Learn(message *argosyv1.Neighbours)
}

// States is what there is to tell of the instances.
type States interface {
	// Full returns all states and forgets the changes that led to them.
	Full() []*argosyv1.WorkloadState
	// Take returns the changes since Full or Take, or all states with full set.
	Take() (states []*argosyv1.WorkloadState, full bool)
	// Changed is signalled when there is something to take.
	Changed() <-chan struct{}
	// Converged is the revision up to which assignments are carried out.
	Converged() uint64
}

// Node is what there is to tell of this machine.
type Node interface {
	// Runtimes tells the runtimes as they are now.
	Runtimes(ctx context.Context) []*argosyv1.RuntimeInfo
	// Load tells the use of CPU in percent, and free and total memory in bytes.
	Load() (cpuPercent uint32, freeBytes, totalBytes uint64)
}

// Logs pushes what instances print.
type Logs interface {
	// Start begins a push that goes on until its end, Stop, or the end of ctx.
	Start(ctx context.Context, client argosyv1.AgentServiceClient, request *argosyv1.StartLogs)
	// Stop ends a push.
	Stop(streamID string)
	// Wait returns when all pushes have ended.
	Wait()
}

// Directory is what gossip knows of servers.
type Directory interface {
	// Leader returns the API address and term of the leader of the highest
	// term ever heard of.
	Leader() (address string, term uint64, ok bool)
	// Servers returns the API addresses of the servers that are alive.
	Servers() []string
	// Watch signals changes until its second result is called.
	Watch() (<-chan struct{}, func())
	// SetCluster tells gossip which incarnation of which cluster the agent belongs
	// to.
	SetCluster(id, incarnation string)
}

// Deps are the parts of the agent that the session connects to the leader.
// Directory may be nil: seeds and redirects are enough.
type Deps struct {
	Assignments Assignments
	States      States
	Node        Node
	Logs        Logs
	Directory   Directory
}
