package asks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// servers is a client of whatever servers are known.
type servers struct {
	cfg Config
	// patience is how long a call that has no end of its own goes on without any
	// server.
	patience time.Duration

	mu      sync.Mutex
	current *connection
	closed  bool
}

// connection is a client of some servers. It is closed when others are known and
// nobody uses it any more.
type connection struct {
	*client.Client
	addresses []string
	users     int
}

// take returns a client of the servers that are known now; it must be given back.
func (s *servers) take() (*connection, error) {
	addresses := slices.Compact(slices.Sorted(slices.Values(s.cfg.Servers())))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, fmt.Errorf("%w: the agent stops", ErrUnreachable)
	case len(addresses) == 0 && s.current == nil:
		return nil, fmt.Errorf("%w: the agent knows no server yet", ErrUnreachable)
	case len(addresses) > 0 && (s.current == nil || !slices.Equal(addresses, s.current.addresses)):
		if err := s.connect(addresses); err != nil {
			return nil, err
		}
	}
	s.current.users++
	return s.current, nil
}

// connect makes a client of other servers.
func (s *servers) connect(addresses []string) error {
	cfg := client.DefaultConfig()
	// Agents spread over the servers: any of them answers.
	cfg.Endpoints = slices.Clone(addresses)
	rand.Shuffle(len(cfg.Endpoints), func(i, j int) {
		cfg.Endpoints[i], cfg.Endpoints[j] = cfg.Endpoints[j], cfg.Endpoints[i]
	})
	cfg.TLS, cfg.Timeout = s.cfg.TLS, s.patience
	if s.cfg.Network != nil {
		cfg.Dial = s.cfg.Network.Dial
	}
	made, err := client.New(cfg)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	s.drop()
	s.current = &connection{Client: made, addresses: addresses}
	return nil
}

// drop lets go of the client, which those who use it go on with.
func (s *servers) drop() {
	old := s.current
	s.current = nil
	if old != nil && old.users == 0 {
		_ = old.Close()
	}
}

func (s *servers) giveBack(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.users--; c.users == 0 && c != s.current {
		_ = c.Close()
	}
}

// close lets nobody begin anything any more.
func (s *servers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.drop()
}

// unreachable tells of an error of a call whether it says nothing of what was
// asked, but that nobody has answered.
func unreachable(err error) bool {
	switch argosyv1.CodeOf(err) {
	case argosyv1.ErrorCode_ERROR_CODE_INVALID, argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, argosyv1.ErrorCode_ERROR_CODE_CONFLICT,
		argosyv1.ErrorCode_ERROR_CODE_FORBIDDEN, argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE, argosyv1.ErrorCode_ERROR_CODE_NO_SPACE:
		return false
	}
	return true
}
