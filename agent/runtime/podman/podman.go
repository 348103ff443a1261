// Package podman runs workloads as podman containers, through podman's API only:
// the podman program is never run. It protects one invariant: a container is
// known by its labels alone (name and agent, as Eclipse Ankaios sets them), so
// that whoever starts an agent again, or moves here from there, finds what runs.
//
// # What is assumed of the service
//
// It may be slow, hang, be killed and come back as another version. Every call
// has a deadline, and a call that takes long is accompanied by pings, so that a
// service that hangs is told from one that works. Nothing is sent twice. What a
// broken call has done is not guessed: it is looked up by label before the next
// attempt.
//
// # What is known without asking
//
// An index of containers is fed by one stream of events, by lists and by the
// answers to our own calls. While the stream is up, starting an instance costs
// two requests, create and start. The stream is the only thing that goes on
// while nothing happens.
package podman

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Name of the runtime, as workloads ask for it.
const Name = "podman"

// Config of a Podman.
type Config struct {
	// Agent is the name of the agent whose containers these are. Required.
	Agent string
	// Service is the address of the podman service, unix:///path. Default:
	// podman's own for this user (see DefaultService).
	Service string
	// RequestTimeout bounds calls that only ask. Default: 30 s. Less finds a bad
	// service sooner and fails on a loaded machine.
	RequestTimeout time.Duration
	// StartTimeout bounds creating and starting a container, each. Default: 5 min,
	// since podman may have to change the owner of a whole image.
	StartTimeout time.Duration
	// StopTimeout bounds stopping a container; longer stop time-outs of
	// containers are cut off. Default: 1 h.
	StopTimeout time.Duration
	// PullTimeout bounds pulling an image. Default: 30 min.
	PullTimeout time.Duration
	// PingInterval is the time between signs of life that are asked of the
	// service while a call or the stream of events waits. Default: 10 s. Less
	// finds a service that hangs sooner and costs more when nothing happens.
	PingInterval time.Duration
	// PingTimeout is how long the answer to a ping may take before the service
	// counts as hanging. Default: 10 s.
	PingTimeout time.Duration
	// ResyncInterval is the time between lists that find what events did not
	// tell. Default: 2 min.
	ResyncInterval time.Duration
	// Logger gets what happens. Default: none.
	Logger *slog.Logger
}

// DefaultConfig returns the configuration for an agent.
func DefaultConfig(agent string) Config {
	return Config{
		Agent:          agent,
		Service:        DefaultService(),
		RequestTimeout: 30 * time.Second,
		StartTimeout:   5 * time.Minute,
		StopTimeout:    time.Hour,
		PullTimeout:    30 * time.Minute,
		PingInterval:   10 * time.Second,
		PingTimeout:    10 * time.Second,
		ResyncInterval: 2 * time.Minute,
	}
}

// DefaultService returns the address of the service that podman's systemd units
// offer to this user.
func DefaultService() string {
	if os.Geteuid() == 0 {
		return "unix:///run/podman/podman.sock"
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = fmt.Sprintf("/run/user/%d", os.Geteuid())
	}
	return "unix://" + filepath.Join(dir, "podman", "podman.sock")
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	d := DefaultConfig(c.Agent)
	c.Service = cmp.Or(c.Service, d.Service)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, d.RequestTimeout)
	c.StartTimeout = cmp.Or(c.StartTimeout, d.StartTimeout)
	c.StopTimeout = cmp.Or(c.StopTimeout, d.StopTimeout)
	c.PullTimeout = cmp.Or(c.PullTimeout, d.PullTimeout)
	c.PingInterval = cmp.Or(c.PingInterval, d.PingInterval)
	c.PingTimeout = cmp.Or(c.PingTimeout, d.PingTimeout)
	c.ResyncInterval = cmp.Or(c.ResyncInterval, d.ResyncInterval)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Agent == "" {
		return errors.New("configure podman: no agent name")
	}
	if c.Service != "" {
		service, err := url.Parse(c.Service)
		if err != nil || service.Scheme != "unix" || service.Host != "" || service.Path == "" {
			return fmt.Errorf("configure podman: service %q: want unix:///path of its socket", c.Service)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"request timeout", c.RequestTimeout}, {"start timeout", c.StartTimeout}, {"stop timeout", c.StopTimeout},
		{"pull timeout", c.PullTimeout}, {"ping interval", c.PingInterval}, {"ping timeout", c.PingTimeout},
		{"resync interval", c.ResyncInterval},
	} {
		if d.value < 0 {
			return fmt.Errorf("configure podman: %s %s is negative", d.name, d.value)
		}
	}
	return nil
}

// Podman is the podman runtime of one agent.
type Podman struct {
	cfg    Config
	client *client
	index  *index
	lanes  *lanes
	// readers follow logs, which end when the container is removed.
	readers *readers
	logger  *slog.Logger
}

var _ runtime.Runtime = (*Podman)(nil)

// New returns the runtime. It does not talk to the service yet: one that is
// down may come up later.
func New(cfg Config) (*Podman, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	routeLogrus(cfg.Logger)
	index := newIndex()
	return &Podman{
		cfg:     cfg,
		client:  newClient(cfg, index.doubt),
		index:   index,
		lanes:   newLanes(),
		readers: newReaders(),
		logger:  cfg.Logger,
	}, nil
}

// Close closes idle connections. Calls that are under way go on.
func (p *Podman) Close() error {
	p.client.close()
	return nil
}

// Info implements runtime.Starter. Before the first contact it tries for one,
// shortly.
func (p *Podman) Info(ctx context.Context) *argosyv1.RuntimeInfo {
	version, problem := p.client.state()
	if version == "" && problem == "" {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = p.client.ping(ctx) // what it finds is in the state
		version, problem = p.client.state()
	}
	return &argosyv1.RuntimeInfo{Name: Name, Version: version, Problem: problem}
}
