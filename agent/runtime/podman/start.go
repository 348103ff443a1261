package podman

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/containers/podman/v5/pkg/bindings/containers"
	"github.com/containers/podman/v5/pkg/domain/entities/types"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Start implements runtime.Starter.
func (p *Podman) Start(ctx context.Context, w *argosyv1.Workload, options runtime.StartOptions) (runtime.Instance, error) {
	plan, err := p.plan(w, options.Mounts)
	if err != nil {
		return runtime.Instance{}, fmt.Errorf("start %s: %w", w.GetName(), err)
	}
	instance, err := p.start(ctx, plan, sameAs(w, options), options)
	if err != nil {
		return runtime.Instance{}, fmt.Errorf("start %s: %w", w.GetName(), err)
	}
	return instance, nil
}

func (p *Podman) start(ctx context.Context, plan *plan, same likeness, options runtime.StartOptions) (runtime.Instance, error) {
	existing, leave, err := p.enter(ctx, plan)
	if err != nil {
		return runtime.Instance{}, err
	}
	defer leave()
	if id, ok := p.ahead.take(plan.name.Key()).of(same, existing); ok {
		instance, err := p.runNew(ctx, plan.name, id)
		if !libpod.IsCode(err, http.StatusNotFound) {
			return instance, err
		}
		existing = nil
	}
	if slices.ContainsFunc(existing, func(c libpod.Container) bool { return c.Status == runtime.StatusStarting }) {
		// Another client may have started it by now: what runs must not be removed
		// because the news of that has not come.
		if existing, err = p.look(ctx, plan.name); err != nil {
			return runtime.Instance{}, err
		}
	}
	if instance, done, err := p.takeOver(ctx, existing, options); done || err != nil {
		return instance, err
	}
	id, err := p.create(ctx, plan)
	if err != nil && ctx.Err() == nil && !errors.Is(err, runtime.ErrUnavailable) {
		// The name may be taken: by what an attempt that broke off has made, or by
		// another client for the same instance.
		existing, lookErr := p.look(ctx, plan.name)
		if lookErr != nil || len(existing) == 0 {
			return runtime.Instance{}, err
		}
		if instance, done, err := p.takeOver(ctx, existing, options); done || err != nil {
			return instance, err
		}
		id, err = p.create(ctx, plan)
	}
	if err != nil {
		return runtime.Instance{}, err
	}
	return p.runNew(ctx, plan.name, id)
}

// enter begins something for which nothing else may be done to the instance, and
// returns what exists of it; leave ends that.
func (p *Podman) enter(ctx context.Context, plan *plan) (existing []libpod.Container, leave func(), err error) {
	key := plan.name.Key()
	if plan.name.GetAgent() != p.cfg.Agent {
		return nil, nil, fmt.Errorf("it is assigned to agent %q, this is %q", plan.name.GetAgent(), p.cfg.Agent)
	}
	free, err := p.lanes.Enter(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	tell := p.index.Hold(key)
	leave = func() { tell(); free() }
	if existing, err = p.known(ctx, plan.name); err == nil {
		if err = checkVersion(p.client.Version(), plan.spec, plan.options); err != nil {
			err = fmt.Errorf("%w: commandOptions: %w", runtime.ErrInvalidConfig, err)
		}
	}
	if err != nil {
		leave()
		return nil, nil, err
	}
	return existing, leave, nil
}

// runNew starts a container that never was, and removes it when it cannot be.
func (p *Podman) runNew(ctx context.Context, name *argosyv1.InstanceName, id string) (runtime.Instance, error) {
	instance, err := p.run(ctx, name, id)
	if err != nil {
		return runtime.Instance{}, errors.Join(err, p.dropUnstarted(ctx, id, err))
	}
	return instance, nil
}

// takeOver uses what exists of an instance: one that runs is left alone, an
// ended one is started again when that is wanted. done is false when it has to
// be created; nothing of it is left then.
func (p *Podman) takeOver(ctx context.Context, existing []libpod.Container, options runtime.StartOptions) (instance runtime.Instance, done bool, err error) {
	for _, c := range existing {
		switch {
		case c.Status == runtime.StatusRunning, c.Status == runtime.StatusUnknown:
			return c.Instance, true, nil
		case c.Status == runtime.StatusExited && options.Reuse:
			instance, err := p.run(ctx, c.Name, c.RuntimeID)
			if !libpod.IsCode(err, http.StatusNotFound) {
				return instance, true, err
			}
			p.index.Removed(c.RuntimeID)
			continue
		}
		// A container that was created and never started has nothing in its
		// volumes.
		if err := p.remove(ctx, c.RuntimeID, c.Status == runtime.StatusStarting); err != nil {
			return runtime.Instance{}, false, err
		}
	}
	return runtime.Instance{}, false, nil
}

// create makes the container and returns its id.
func (p *Podman) create(ctx context.Context, plan *plan) (string, error) {
	if plan.options.Replace {
		err := p.client.Do(ctx, p.cfg.StopTimeout, "replace container "+plan.spec.Name, func(ctx context.Context) error {
			_, err := containers.Remove(ctx, plan.spec.Name, new(containers.RemoveOptions).WithForce(true).WithIgnore(true))
			return err
		})
		if err != nil {
			return "", err
		}
	}
	pulled, err := p.pullFirst(ctx, plan)
	if err != nil {
		return "", err
	}
	id, err := p.createOnce(ctx, plan)
	if libpod.IsCode(err, http.StatusNotFound) && !pulled && mayPull(plan) {
		if err := p.pull(ctx, plan); err != nil {
			return "", err
		}
		id, err = p.createOnce(ctx, plan)
	}
	if libpod.IsCode(err, http.StatusBadRequest) {
		return "", fmt.Errorf("%w: %w", runtime.ErrInvalidConfig, err)
	}
	if err != nil {
		return "", err
	}
	p.index.Created(container(plan.name, id, runtime.StatusStarting))
	if file := plan.options.CIDFile; file != "" {
		if err := os.WriteFile(file, []byte(id), 0o644); err != nil {
			err = fmt.Errorf("write --cidfile: %w", err)
			return "", errors.Join(err, p.dropUnstarted(ctx, id, err))
		}
	}
	return id, nil
}

func (p *Podman) createOnce(ctx context.Context, plan *plan) (string, error) {
	var created types.ContainerCreateResponse
	err := p.client.Do(ctx, p.cfg.StartTimeout, "create container", func(ctx context.Context) (err error) {
		created, err = containers.CreateWithSpec(ctx, plan.spec, nil)
		return err
	})
	if err != nil {
		p.mayHaveDone(err)
		return "", err
	}
	for _, warning := range created.Warnings {
		p.logger.Warn("podman warned of a container", "container", plan.spec.Name, "warning", warning)
	}
	return created.ID, nil
}

// run starts a container.
func (p *Podman) run(ctx context.Context, name *argosyv1.InstanceName, id string) (runtime.Instance, error) {
	asked := time.Now()
	err := p.client.Do(ctx, p.cfg.StartTimeout, "start container", func(ctx context.Context) error {
		return containers.Start(ctx, id, new(containers.StartOptions).WithRecursive(true))
	})
	if err != nil {
		p.mayHaveDone(err)
		return runtime.Instance{}, err
	}
	started := container(name, id, runtime.StatusRunning)
	started.StartedAt = asked
	return p.index.Started(started, asked).Instance, nil
}

func container(name *argosyv1.InstanceName, id string, status runtime.Status) libpod.Container {
	return libpod.Container{Instance: runtime.Instance{Name: name, RuntimeID: id, Status: status}}
}

// dropUnstarted removes a container that could not be started, so that the next
// attempt finds nothing. When the service is not there, or may still be at it since it is
// slow or not waited for, that attempt does it: by then the container may run.
func (p *Podman) dropUnstarted(ctx context.Context, id string, because error) error {
	if libpod.Unsettled(ctx, because) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.RequestTimeout)
	defer cancel()
	return p.remove(ctx, id, true)
}

// mayHaveDone notes after an error whether something may have been done all the
// same: then the index is not to be relied on.
func (p *Podman) mayHaveDone(err error) {
	if !libpod.IsAnswer(err) {
		p.index.Doubt()
	}
}
