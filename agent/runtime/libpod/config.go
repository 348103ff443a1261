package libpod

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Config of a runtime that uses podman.
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

// WithDefaults fills in what is not set.
func (c Config) WithDefaults() Config {
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
