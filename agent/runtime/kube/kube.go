// Package kube runs workloads that are written as Kubernetes manifests, as
// podman's kube play does, through podman's API only. It protects one
// invariant: whatever exists of an instance, complete or not, is found by
// whoever starts an agent again, and nothing else is taken for it.
//
// # What is known of an instance, and where
//
// The pods of a manifest get labels of ours before they are played, which podman
// hands on to their containers: instance and agent. Two volumes without contents
// keep what labels of pods cannot, named as Eclipse Ankaios names them and with
// the same label "data". INSTANCE.config is made before anything else, with the
// runtime configuration and with what play will make that is not there yet.
// INSTANCE.pods is made when everything runs, with the ids of the pods. What has
// the first and not the second was not made completely: its creator failed or
// died. It is cleared away before the next attempt and by Remove, and what it
// made is what is removed: a volume that held data before stays. When its pods
// have run without their creator, a volume made for them stays too, as that of
// a complete instance does.
//
// Of what Ankaios has left the pods have no such labels. They are found by the
// ids in INSTANCE.pods and made anew.
//
// # What the state of an instance is
//
// That of the container that comes first in the order failed, starting, unknown,
// running, stopping, succeeded. Podman's infra containers do not count; init
// containers count as any other while they exist (podman removes those that
// ended well before the others start). The exit code is that of the container
// that failed first. A container that podman will start again, as the pod's
// restartPolicy says, counts as starting for a moment after its end. When all
// pods of a complete instance are gone, it counts as ended with
// libpod.UnrecordedExit: an instance of which nothing was left would be
// forgotten with its records.
//
// # What is removed
//
// What podman kube down removes: pods with their containers and unnamed volumes,
// secrets, and with --force in downOptions the named volumes. It is done in
// parts, since podman's own knows pods by name only, which may be another
// instance's, and since older ones do less.
package kube

import (
	"context"
	"log/slog"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Name of the runtime, as workloads ask for it.
const Name = "podman-kube"

// Config of a Kube.
type Config = libpod.Config

// DefaultConfig returns the configuration for an agent.
func DefaultConfig(agent string) Config { return libpod.DefaultConfig(agent) }

// Kube is the podman-kube runtime of one agent.
type Kube struct {
	cfg    Config
	client *libpod.Client
	index  *libpod.Index
	lanes  *libpod.Lanes
	logger *slog.Logger
}

var _ runtime.Runtime = (*Kube)(nil)

// New returns the runtime. It does not talk to the service yet: one that is
// down may come up later.
func New(cfg Config) (*Kube, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	index := libpod.NewIndex(verdict)
	return &Kube{
		cfg:    cfg,
		client: libpod.NewClient(cfg, index.Doubt),
		index:  index,
		lanes:  libpod.NewLanes(),
		logger: cfg.Logger,
	}, nil
}

// Close closes idle connections. Calls that are under way go on.
func (k *Kube) Close() error {
	k.client.Close()
	return nil
}

// Info implements runtime.Starter. Before the first contact it tries for one,
// shortly.
func (k *Kube) Info(ctx context.Context) *argosyv1.RuntimeInfo { return k.client.Info(ctx, Name) }

// Watch implements runtime.Observer.
func (k *Kube) Watch(ctx context.Context, emit func(runtime.Event)) error {
	source := &libpod.Source{
		Client: k.client, Index: k.index, Label: labelAgent + "=" + k.cfg.Agent, Instance: labelInstance, List: k.sync,
	}
	return source.Watch(ctx, emit)
}
