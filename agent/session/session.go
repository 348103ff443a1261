package session

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/network"
	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Session keeps the stream to the leader.
type Session struct {
	cfg    Config
	deps   Deps
	logger *slog.Logger

	mu sync.Mutex
	// learned are the addresses that the last leader told; Run's goroutine alone
	// changes it.
	learned []string

	// What follows is known from former sessions; only Run's goroutine uses it.

	// last is the address of the last session, hint where a server sent the
	// agent when it ended that session.
	last, hint string
	// deposed is set when the last session ended because its server leads no more.
	deposed bool
	// term of the last session.
	term uint64
	// moved is the highest term for which a session was given up because
	// gossip told of it.
	moved uint64
	// complaints are what was logged of each server, so that it is not logged
	// again and again.
	complaints map[string]complaint
	signal     <-chan struct{}
}

type complaint struct {
	code argosyv1.ErrorCode
	at   time.Time
}

// New makes a session. It starts nothing.
func New(cfg Config, deps Deps) (*Session, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Network == nil {
		cfg.Network = network.System{}
	}
	return &Session{cfg: cfg, deps: deps, logger: cfg.Logger, complaints: make(map[string]complaint)}, nil
}

// Run keeps a session until the context ends, and says goodbye then.
func (s *Session) Run(ctx context.Context) error {
	if s.deps.Directory != nil {
		if held := s.deps.Assignments.Held(); held.ClusterID != "" {
			s.deps.Directory.SetCluster(held.ClusterID, held.Incarnation)
		}
		signal, cancel := s.deps.Directory.Watch()
		defer cancel()
		s.signal = signal
	}
	s.term = s.deps.Assignments.Held().Term
	lost := time.Now()
	for {
		link, err := s.hunt(ctx)
		if err != nil {
			return nil
		}
		s.logger.Info("session established", "server", link.address, "leader", link.welcome.GetLeaderId(),
			"term", link.welcome.GetTerm(), "after", time.Since(lost).Round(time.Microsecond))
		s.last, s.hint, s.term = link.address, "", link.welcome.GetTerm()
		s.learn(link.welcome.GetServerAddresses())
		clear(s.complaints)
		if s.deps.Directory != nil {
			s.deps.Directory.SetCluster(link.welcome.GetClusterId(), link.welcome.GetIncarnation())
		}
		err = s.serve(ctx, link)
		lost = time.Now()
		if ctx.Err() != nil {
			s.logger.Info("session ended", "server", link.address, "reason", "the agent stops")
			return nil
		}
		if planted.On(planted.Abandon) {
			_ = s.deps.Assignments.Assign(&argosyv1.Assignments{Term: s.term, Revision: s.deps.Assignments.Held().Revision, Full: true})
		}
		s.deposed = argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER
		var redirected *redirection
		if errors.As(err, &redirected) {
			s.hint = redirected.address
		}
		s.logger.Warn("session lost; workloads go on running", "server", link.address, "term", link.welcome.GetTerm(), "error", err)
		if !spread(ctx, link.welcome) {
			return nil
		}
	}
}

func (s *Session) learn(addresses []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.learned = addresses
}

// Servers returns the addresses of all servers that are known, each once at least:
// from the beginning, from the last leader, and from gossip.
func (s *Session) Servers() []string {
	s.mu.Lock()
	known := slices.Concat(s.cfg.Servers, s.learned)
	s.mu.Unlock()
	if s.deps.Directory != nil {
		known = append(known, s.deps.Directory.Servers()...)
	}
	return known
}

// spread waits for this agent's part of the time over which all agents shall come
// back; it returns false when the context ends first.
func spread(ctx context.Context, welcome *argosyv1.Welcome) bool {
	// A server cannot make an agent stay away for long.
	longest := min(time.Duration(welcome.GetReconnectSpreadMs())*time.Millisecond, maxSpread)
	if longest <= 0 {
		return true
	}
	timer := time.NewTimer(rand.N(longest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// maxSpread bounds what servers may ask for.
const maxSpread = 10 * time.Second

// redirection is the error of a session that its server handed over.
type redirection struct{ address string }

func (r *redirection) Error() string { return errRedirected.Error() + " to " + r.address }
func (r *redirection) Unwrap() error { return errRedirected }

// complain logs what a server answered, once while its code stays the same: the
// text may name a port that is another one each time.
func (s *Session) complain(address string, level slog.Level, text string, err error) {
	now := time.Now()
	last, told := s.complaints[address]
	if told && last.code == argosyv1.CodeOf(err) && now.Sub(last.at) < time.Minute {
		return
	}
	s.complaints[address] = complaint{code: argosyv1.CodeOf(err), at: now}
	s.logger.Log(context.Background(), level, text, "server", address, "error", err)
}
