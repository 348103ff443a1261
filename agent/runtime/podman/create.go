package podman

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/containers/podman/v5/libpod/define"
	"github.com/containers/podman/v5/pkg/specgen"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Create implements runtime.Creator.
func (p *Podman) Create(ctx context.Context, w *argosyv1.Workload, options runtime.StartOptions) (runtime.Instance, error) {
	plan, err := p.plan(w, options.Mounts)
	if err != nil {
		return runtime.Instance{}, fmt.Errorf("create %s: %w", w.GetName(), err)
	}
	if !mayBeBeside(plan) {
		return runtime.Instance{}, fmt.Errorf("create %s beside another instance: %w", w.GetName(), errors.ErrUnsupported)
	}
	instance, err := p.createAhead(ctx, plan, sameAs(w, options))
	if err != nil {
		return runtime.Instance{}, fmt.Errorf("create %s: %w", w.GetName(), err)
	}
	return instance, nil
}

func (p *Podman) createAhead(ctx context.Context, plan *plan, same likeness) (runtime.Instance, error) {
	existing, leave, err := p.enter(ctx, plan)
	if err != nil {
		return runtime.Instance{}, err
	}
	defer leave()
	if len(existing) > 0 {
		return existing[0].Instance, nil
	}
	id, err := p.create(ctx, plan)
	if err != nil {
		return runtime.Instance{}, err
	}
	p.ahead.put(plan.name.Key(), ready{id: id, likeness: same})
	return container(plan.name, id, runtime.StatusStarting).Instance, nil
}

// mayBeBeside tells whether a container may exist, not started, while another of its
// workload runs. Not one that takes the other's place by itself, nor one that holds
// on to containers that are to be removed meanwhile, nor one that podman may start
// by itself when the machine is started.
func mayBeBeside(plan *plan) bool {
	s := plan.spec
	for _, ns := range []*specgen.Namespace{&s.NetNS, &s.PidNS, &s.IpcNS, &s.UtsNS, &s.UserNS, &s.CgroupNS} {
		if ns.IsContainer() || ns.IsPod() {
			return false
		}
	}
	return !plan.options.Replace && plan.options.CIDFile == "" && s.Pod == "" &&
		len(s.DependencyContainers) == 0 && len(s.VolumesFrom) == 0 &&
		(s.RestartPolicy == "" || s.RestartPolicy == define.RestartPolicyNo)
}

// likeness is what a container was made from.
type likeness struct {
	config string
	mounts []runtime.Mount
}

func sameAs(w *argosyv1.Workload, options runtime.StartOptions) likeness {
	return likeness{w.GetRuntimeConfig(), options.Mounts}
}

// ready is a container that was created ahead.
type ready struct {
	likeness
	id string
}

// of returns its id when it is all that exists of its instance, and was made from the
// same.
func (r ready) of(same likeness, existing []libpod.Container) (id string, ok bool) {
	ok = len(existing) == 1 && existing[0].RuntimeID == r.id && existing[0].Status == runtime.StatusStarting &&
		r.config == same.config && slices.Equal(r.mounts, same.mounts)
	return r.id, ok
}

// created are the containers that this life of the agent has created ahead, by the
// keys of their instances.
type created struct {
	mu    sync.Mutex
	byKey map[string]ready
}

func (c *created) put(key string, r ready) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey == nil {
		c.byKey = make(map[string]ready)
	}
	c.byKey[key] = r
}

// take returns what was created for an instance and forgets it; nothing has no id.
func (c *created) take(key string) ready {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.byKey[key]
	delete(c.byKey, key)
	return r
}
