package autopilot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/argosy-cluster/argosy/membership"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

// Raft is the consensus of the servers; consensus.Node is it.
type Raft interface {
	// Overview returns what the leader knows of its servers.
	Overview() (consensus.Overview, error)
	// PromoteServer gives a server its vote, if the configuration is still the
	// one of the fingerprint.
	PromoteServer(ctx context.Context, id string, configuration uint64) error
	// RemoveServerAt takes a server out, in the same way.
	RemoveServerAt(ctx context.Context, id string, configuration uint64) error
}

// Gossip is what is heard of the servers.
type Gossip interface {
	// Members returns all members.
	Members() []membership.Member
	// Watch returns a channel that gets a value after a change.
	Watch() (<-chan struct{}, func())
}

// Deps are what the autopilot works with.
type Deps struct {
	// Self is this server's id.
	Self string
	// Raft is this server's part in it.
	Raft Raft
	// Gossip returns what is heard of the others; nil before there is any.
	Gossip func() Gossip
	// Describe asks a server for its own status.
	Describe func(ctx context.Context, id string) (*argosyv1.ServerStatus, error)
	// Settings returns the settings of this moment.
	Settings func() *argosyv1.AutopilotSettings
	// HandOn makes another server lead.
	HandOn func(ctx context.Context, id string) error
	// Logger takes the log.
	Logger *slog.Logger
}

// Config says how often the autopilot looks.
type Config struct {
	// Patience is for how long a server's answer counts as fresh. Less finds a
	// server that is gone sooner, and one ill that was only slow. Default 1 s.
	Patience time.Duration
	// Interval is the pause between two looks while all is well. Default 1 s.
	Interval time.Duration
	// Eager is the pause while a server waits for its vote. Default 200 ms.
	Eager time.Duration
	// Ask is the pause between two questions to a server about itself. Default
	// 5 s.
	Ask time.Duration
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Patience: time.Second, Interval: time.Second, Eager: 200 * time.Millisecond, Ask: 5 * time.Second}
}

// Validate checks the configuration.
func (c Config) Validate() error {
	for name, value := range map[string]time.Duration{"patience": c.Patience, "interval": c.Interval, "eager": c.Eager, "ask": c.Ask} {
		if value <= 0 {
			return fmt.Errorf("configure autopilot: %s is %v, must be more than 0", name, value)
		}
	}
	return nil
}

// askTimeout bounds a question to a server, changeTimeout a change of the
// configuration.
const (
	askTimeout    = 2 * time.Second
	changeTimeout = 10 * time.Second
)

// Autopilot looks after the servers of a cluster.
type Autopilot struct {
	deps Deps
	cfg  Config
	log  *slog.Logger

	// table is the newest one; nil while this server does not lead.
	table atomic.Pointer[Table]
	woken chan struct{}

	mu     sync.Mutex
	looker *looker
	asked  map[string]time.Time
	warned map[string]bool
}

// New makes an autopilot.
func New(deps Deps, cfg Config) (*Autopilot, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Self == "" || deps.Raft == nil || deps.Gossip == nil || deps.Describe == nil || deps.Settings == nil || deps.HandOn == nil {
		return nil, errors.New("make autopilot: all dependencies are needed")
	}
	log := deps.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Autopilot{
		deps: deps, cfg: cfg, log: log,
		woken:  make(chan struct{}, 1),
		looker: newLooker(deps.Self, cfg.Patience),
		asked:  map[string]time.Time{},
		warned: map[string]bool{},
	}, nil
}

// Table returns how the servers are, nil while this server does not lead.
func (a *Autopilot) Table() *Table { return a.table.Load() }

// Wake makes a leading autopilot look at once.
func (a *Autopilot) Wake() {
	select {
	case a.woken <- struct{}{}:
	default:
	}
}

// Listen remembers what gossip tells of the servers, until the context ends. It
// runs on every server: who comes to lead must know for how long another one has
// been dead.
func (a *Autopilot) Listen(ctx context.Context) error {
	gossip := a.deps.Gossip()
	changed, stop := gossip.Watch()
	defer stop()
	for {
		a.mu.Lock()
		a.looker.hear(a.servers(), time.Now())
		a.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// servers returns the servers that gossip knows.
func (a *Autopilot) servers() map[string]membership.Member {
	servers := map[string]membership.Member{}
	if gossip := a.deps.Gossip(); gossip != nil {
		for _, m := range gossip.Members() {
			if m.Role == membership.RoleServer {
				servers[m.ID] = m
			}
		}
	}
	return servers
}

// Lead looks after the servers while this one leads: until the context ends or
// leadership is lost.
func (a *Autopilot) Lead(ctx context.Context) error {
	defer a.table.Store(nil)
	asking, cancel := context.WithCancel(ctx)
	var questions sync.WaitGroup
	defer questions.Wait()
	defer cancel()
	began := time.Now()
	for {
		t, err := a.look()
		if err != nil {
			return fmt.Errorf("look after the servers: %w", err)
		}
		a.ask(asking, &questions, t)
		a.warn(t)
		next := decide(t, Resolve(a.deps.Settings()), began)
		a.take(ctx, t, next)
		if next.action == handOn {
			// If this server leads on, it does not try again soon.
			began = time.Now()
		}
		timer := time.NewTimer(a.pause(t))
		select {
		case <-timer.C:
		case <-a.woken:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		timer.Stop()
	}
}

func (a *Autopilot) look() (*Table, error) {
	o, err := a.deps.Raft.Overview()
	if err != nil {
		return nil, err
	}
	servers := a.servers()
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.looker.hear(servers, now)
	t := a.looker.look(o, servers, now)
	a.table.Store(t)
	return t, nil
}

func (a *Autopilot) pause(t *Table) time.Duration {
	for _, h := range t.Servers {
		if !h.Voter && h.DeadSince.IsZero() {
			return a.cfg.Eager
		}
	}
	return a.cfg.Interval
}

// ask asks every server about itself when it is time.
func (a *Autopilot) ask(ctx context.Context, questions *sync.WaitGroup, t *Table) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range t.Servers {
		pause := a.cfg.Ask
		if h.Ailment != "" {
			// It may be over, and somebody waits for that.
			pause = min(pause, a.cfg.Interval)
		}
		if h.Leader || t.At.Sub(a.asked[h.ID]) < pause {
			continue
		}
		a.asked[h.ID] = t.At
		questions.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			status, err := a.deps.Describe(ctx, h.ID)
			if err != nil {
				// Raft's answers tell whether it lives.
				return
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			if m := a.looker.memories[h.ID]; m != nil {
				m.status = status
			}
		})
	}
	for id := range a.asked {
		if _, ok := t.Find(id); !ok {
			delete(a.asked, id)
		}
	}
}

// warn says once that a follower is starved.
func (a *Autopilot) warn(t *Table) {
	for _, h := range t.Servers {
		starved := !h.StarvedSince.IsZero() && t.At.Sub(h.StarvedSince) >= starvedWarn
		if starved == a.warned[h.ID] {
			continue
		}
		if starved {
			a.warned[h.ID] = true
			a.log.Warn("follower hears the leader and takes in nothing", "id", h.ID, "name", h.Name, "lag", h.Lag,
				"since", t.At.Sub(h.StarvedSince).Round(time.Second), "problem", h.Ailment)
		} else {
			delete(a.warned, h.ID)
			a.log.Info("follower takes in entries again", "id", h.ID, "name", h.Name)
		}
	}
}

func (a *Autopilot) take(ctx context.Context, t *Table, next step) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	var err error
	switch next.action {
	case nothing:
		return
	case promote:
		err = a.deps.Raft.PromoteServer(ctx, next.id, t.Configuration)
	case remove:
		if _, err = a.confirmRest(ctx, next.id); err == nil {
			err = a.deps.Raft.RemoveServerAt(ctx, next.id, t.Configuration)
		}
	case handOn:
		err = a.deps.HandOn(ctx, next.id)
	}
	h, _ := t.Find(next.id)
	switch {
	case err == nil:
		a.log.Info(next.action.done(), "id", next.id, "name", h.Name, "reason", next.reason)
		a.Wake()
	case errors.Is(err, consensus.ErrNotLeader) || errors.Is(err, consensus.ErrChanged):
		// The next look finds out.
	default:
		a.log.Warn("autopilot did not get through", "wanted", next.action.done(), "id", next.id, "name", h.Name, "reason", next.reason, "err", err)
	}
}

func (a action) done() string {
	switch a {
	case promote:
		return "server has its vote"
	case remove:
		return "dead server removed"
	case handOn:
		return "leadership handed on"
	}
	return "nothing"
}
