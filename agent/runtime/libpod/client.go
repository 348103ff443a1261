package libpod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/blang/semver/v4"
	"github.com/containers/podman/v5/pkg/bindings"
	"github.com/containers/podman/v5/pkg/errorhandling"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// ErrSlow is returned when a call took longer than it may, and the service answers all
// the same: what was asked for may have been done, or still be under way.
var ErrSlow = errors.New("podman did not finish in time")

// errHangs is the cause when a ping was not answered.
var errHangs = errors.New("it does not answer")

// Client calls the service.
type Client struct {
	cfg    Config
	logger *slog.Logger
	// lost is called when the service cannot be reached: what is known of it may
	// be old from then on.
	lost func()

	connecting chan struct{} // holds one token: who has it may connect
	// readers follow logs, which end when the container is removed.
	readers *readers

	mu      sync.Mutex
	base    context.Context // holds the bindings' connection; nil before the first contact
	idle    func()
	version semver.Version
	problem string
}

// NewClient returns a client for a configuration that is valid. It calls lost
// whenever the service cannot be reached. It does not talk to the service yet:
// one that is down may come up later.
func NewClient(cfg Config, lost func()) *Client {
	cfg = cfg.WithDefaults()
	routeLogrus(cfg.Logger)
	c := &Client{cfg: cfg, logger: cfg.Logger, lost: lost, connecting: make(chan struct{}, 1), readers: newReaders()}
	c.connecting <- struct{}{}
	return c
}

// answerError is an answer of the service that is not a success.
type answerError struct {
	code int
	text string
}

func (e *answerError) Error() string { return e.text }

// IsAnswer says whether an error is what the service answered: what was asked for
// was not done then. Of any other error that is not known.
func IsAnswer(err error) bool {
	_, ok := errors.AsType[*answerError](err)
	return ok
}

// IsCode says whether an error is what the service answered, with this HTTP
// status.
func IsCode(err error, code int) bool {
	answer, ok := errors.AsType[*answerError](err)
	return ok && answer.code == code
}

// Unsettled reports whether podman may still be at what failed for a caller: it did not
// answer, was slow, or was not waited for any longer.
func Unsettled(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, runtime.ErrUnavailable) || errors.Is(err, ErrSlow)
}

// Do calls the bindings once, with a deadline and, when it takes long, with
// pings beside it. The error is one of: the cause of the context; ErrUnavailable
// (what was asked for may have been done all the same); ErrSlow; an answer (see
// IsAnswer).
func (c *Client) Do(ctx context.Context, limit time.Duration, what string, call func(context.Context) error) error {
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w (%s)", ErrSlow, limit))
	defer cancel()
	err := c.Stream(limited, what, call)
	if !errors.Is(err, ErrSlow) {
		return err
	}
	c.lost()
	// An image that does not come says nothing against the service.
	if hangs := c.ping(ctx); errors.Is(hangs, runtime.ErrUnavailable) {
		return fmt.Errorf("%w: %w", err, hangs)
	}
	return err
}

// Stream is Do for a call that goes on for as long as its context.
func (c *Client) Stream(ctx context.Context, what string, fn func(context.Context) error) error {
	base, err := c.connect(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer c.accompany(ctx, cancel)()
	return c.judge(ctx, what, base, fn)
}

// judge makes the call and says what its error means.
func (c *Client) judge(ctx context.Context, what string, base context.Context, fn func(context.Context) error) error {
	state := &call{}
	err := fn(joined{Context: context.WithValue(ctx, callKey{}, state), values: base})
	answered, failure := state.outcome()
	cause := context.Cause(ctx)
	var model *errorhandling.ErrorModel
	switch {
	case err == nil:
		c.healthy()
		return nil
	case errors.Is(cause, errHangs):
		return fmt.Errorf("%s: %w", what, c.unavailable(cause))
	case cause != nil:
		return fmt.Errorf("%s: %w", what, cause)
	case failure != nil:
		return fmt.Errorf("%s: %w", what, c.unavailable(failure))
	case errors.As(err, &model):
		c.healthy()
		return fmt.Errorf("%s: %w", what, &answerError{code: model.Code(), text: strings.TrimSpace(model.Error())})
	}
	if answered {
		c.healthy()
	}
	return fmt.Errorf("%s: %w", what, err)
}

// accompany pings the service for as long as a call waits and ends the call when
// there is no answer. The returned function ends it.
func (c *Client) accompany(ctx context.Context, cancel context.CancelCauseFunc) (stop func()) {
	var timer *time.Timer
	ready := make(chan struct{})
	timer = time.AfterFunc(c.cfg.PingInterval, func() {
		<-ready
		if ctx.Err() != nil {
			return
		}
		if err := c.ping(ctx); err != nil && ctx.Err() == nil {
			cancel(fmt.Errorf("%w: %w", errHangs, err))
			return
		}
		timer.Reset(c.cfg.PingInterval)
	})
	close(ready)
	return func() { timer.Stop() }
}

// ping asks for a sign of life and learns the version.
func (c *Client) ping(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, c.cfg.PingTimeout, fmt.Errorf("%w (%s)", errHangs, c.cfg.PingTimeout))
	defer cancel()
	base, err := c.connect(limited)
	if err != nil {
		return err
	}
	return c.judge(limited, "ping", base, func(ctx context.Context) error {
		conn, err := bindings.GetClient(ctx)
		if err != nil {
			return err
		}
		response, err := conn.DoRequest(ctx, nil, http.MethodGet, "/_ping", nil, nil)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if version, err := semver.ParseTolerant(response.Header.Get("Libpod-API-Version")); err == nil {
			c.setVersion(version)
		}
		return response.Process(nil)
	})
}

// connect returns the context that holds the connection. The bindings' own
// connecting neither looks at a context nor fails fast, hence the knock first.
func (c *Client) connect(ctx context.Context) (context.Context, error) {
	if base := c.connection(); base != nil {
		return base, nil
	}
	select {
	case <-c.connecting:
		defer func() { c.connecting <- struct{}{} }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if base := c.connection(); base != nil {
		return base, nil
	}
	limited, cancel := context.WithTimeoutCause(ctx, c.cfg.PingTimeout, errHangs)
	defer cancel()
	knock, err := (&net.Dialer{}).DialContext(limited, "unix", strings.TrimPrefix(c.cfg.Service, "unix://"))
	if err == nil {
		_ = knock.Close()
		var base context.Context
		if base, err = bindings.NewConnection(limited, c.cfg.Service); err == nil {
			c.adopt(base)
			return c.connection(), nil
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if cause := context.Cause(limited); cause != nil {
		err = cause
	}
	return nil, c.unavailable(err)
}

// adopt takes over a new connection of the bindings.
func (c *Client) adopt(base context.Context) {
	conn, err := bindings.GetClient(base)
	if err != nil {
		return // cannot be: NewConnection put it there
	}
	var idle func()
	if t, ok := conn.Client.Transport.(*http.Transport); ok {
		// The pings' connection stays open by itself; others close soon.
		t.IdleConnTimeout = 15 * time.Second
		t.MaxIdleConnsPerHost = 8
		idle = t.CloseIdleConnections
	}
	conn.Client.Transport = transport{conn.Client.Transport}
	c.mu.Lock()
	c.idle = idle
	// Only the values: its deadline was for connecting.
	c.base = context.WithoutCancel(base)
	c.mu.Unlock()
	c.setVersion(*bindings.ServiceVersion(base))
	c.healthy()
}

func (c *Client) connection() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base
}

// Close closes idle connections. Calls that are under way go on.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle != nil {
		c.idle()
	}
}

func (c *Client) setVersion(version semver.Version) {
	c.mu.Lock()
	before := c.version
	c.version = version
	c.mu.Unlock()
	if !before.Equals(version) {
		c.logger.Info("podman service found", "service", c.cfg.Service, "version", version.String())
	}
}

// state returns the version, empty when not known yet, and the problem, empty
// when there is none.
func (c *Client) state() (version, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.base != nil {
		version = c.version.String()
	}
	return version, c.problem
}

// Version returns the version of the service, zero before the first contact.
func (c *Client) Version() semver.Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version
}

// Info says what a runtime has to tell of the service. Before the first contact it
// tries for one, shortly.
func (c *Client) Info(ctx context.Context, name string) *argosyv1.RuntimeInfo {
	version, problem := c.state()
	if version == "" && problem == "" {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = c.ping(ctx) // what it finds is in the state
		version, problem = c.state()
	}
	return &argosyv1.RuntimeInfo{Name: name, Version: version, Problem: problem}
}

func (c *Client) healthy() {
	c.mu.Lock()
	before := c.problem
	c.problem = ""
	c.mu.Unlock()
	if before != "" {
		c.logger.Info("podman service answers again", "service", c.cfg.Service)
	}
}

// unavailable notes that the service cannot be reached and says so.
func (c *Client) unavailable(cause error) error {
	err := fmt.Errorf("%w: podman service at %s: %w", runtime.ErrUnavailable, c.cfg.Service, cause)
	problem := fmt.Sprintf("podman service at %s cannot be used: %v: is it running (systemctl status podman.socket)?", c.cfg.Service, cause)
	c.mu.Lock()
	before := c.problem
	c.problem = problem
	c.mu.Unlock()
	c.lost()
	if before == "" {
		c.logger.Warn("podman service did not answer", "service", c.cfg.Service, "error", cause)
	}
	return err
}
