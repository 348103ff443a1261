// Package podman runs workloads as podman containers, through podman's API only:
// the podman program is never run. It protects one invariant: a container is
// known by its labels alone (name and agent, as Eclipse Ankaios sets them), so
// that whoever starts an agent again, or moves here from there, finds what runs.
//
// How podman is reached, and how what it has is known without asking, is in the
// package libpod. While the stream of events is up, starting an instance costs
// two requests, create and start.
package podman

import (
	"context"
	"log/slog"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Name of the runtime, as workloads ask for it.
const Name = "podman"

// Config of a Podman.
type Config = libpod.Config

// DefaultConfig returns the configuration for an agent.
func DefaultConfig(agent string) Config { return libpod.DefaultConfig(agent) }

// Podman is the podman runtime of one agent.
type Podman struct {
	cfg    Config
	client *libpod.Client
	index  *libpod.Index
	lanes  *libpod.Lanes
	logger *slog.Logger
	// ahead are the containers that were created ahead of their start.
	ahead created
}

var (
	_ runtime.Runtime = (*Podman)(nil)
	_ runtime.Creator = (*Podman)(nil)
)

// New returns the runtime. It does not talk to the service yet: one that is
// down may come up later.
func New(cfg Config) (*Podman, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	index := libpod.NewIndex(libpod.First)
	return &Podman{
		cfg:    cfg,
		client: libpod.NewClient(cfg, index.Doubt),
		index:  index,
		lanes:  libpod.NewLanes(),
		logger: cfg.Logger,
	}, nil
}

// Close closes idle connections. Calls that are under way go on.
func (p *Podman) Close() error {
	p.client.Close()
	return nil
}

// Info implements runtime.Starter. Before the first contact it tries for one,
// shortly.
func (p *Podman) Info(ctx context.Context) *argosyv1.RuntimeInfo { return p.client.Info(ctx, Name) }

// Watch implements runtime.Observer.
func (p *Podman) Watch(ctx context.Context, emit func(runtime.Event)) error {
	source := &libpod.Source{
		Client: p.client, Index: p.index, Label: labelAgent + "=" + p.cfg.Agent, List: p.sync,
		// Events have the labels too, but podman puts the container's name over the
		// label of that name; mostly it is the same.
		Instance: labelName,
	}
	return source.Watch(ctx, emit)
}
