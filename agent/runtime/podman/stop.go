package podman

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/containers/podman/v5/libpod/define"
	"github.com/containers/podman/v5/pkg/bindings/containers"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
)

// A container that was told to end is looked at after firstLook, and then ever less
// often: each time after a quarter of the time that it has taken so far, up to
// lastLook. Most programs end within milliseconds, and some take minutes.
const (
	firstLook = time.Millisecond
	lastLook  = 250 * time.Millisecond
)

// stop lets a container end within its own time-out.
func (p *Podman) stop(ctx context.Context, c libpod.Container) error {
	switch c.Status {
	case runtime.StatusExited, runtime.StatusStarting:
		return nil
	}
	err := p.end(ctx, c.RuntimeID)
	if err == nil || libpod.IsCode(err, http.StatusNotFound) {
		return nil
	}
	if libpod.IsAnswer(err) {
		// A state that cannot be stopped (paused on older versions) can be removed
		// by force all the same.
		p.logger.Warn("container could not be stopped and will be removed by force", "container", c.RuntimeID, "error", err)
		return nil
	}
	return err
}

// end has a container end, by its signal, or by podman's own stop where that does
// more than to send one. Podman's stop of a program that ends at once takes as long
// as its monitor needs to tidy up behind it, a tenth of a second, and the removal
// that follows here tidies up by itself.
func (p *Podman) end(ctx context.Context, id string) error {
	options := new(containers.StopOptions).WithIgnore(true)
	manner, err := p.manner(ctx, id)
	if err != nil && !libpod.IsAnswer(err) {
		return err
	}
	if manner.signal {
		ended, err := p.endBySignal(ctx, id, manner)
		switch {
		case ended, err != nil && !libpod.IsAnswer(err):
			return err
		case err == nil:
			// Its time is over.
			options.WithTimeout(0)
		}
	}
	err = p.client.Do(ctx, p.cfg.StopTimeout, "stop container", func(ctx context.Context) error {
		return containers.Stop(ctx, id, options)
	})
	if errors.Is(err, libpod.ErrSlow) {
		p.logger.Warn("container did not stop and will be removed by force", "container", id, "after", p.cfg.StopTimeout)
		return nil
	}
	return err
}

// manner is how a container ends.
type manner struct {
	// signal is set when nothing is needed but to send one to its first process.
	signal bool
	// name of the signal; empty means the default.
	name string
	// within is how long the container may take.
	within time.Duration
}

func (p *Podman) manner(ctx context.Context, id string) (manner, error) {
	found, err := p.inspect(ctx, id)
	if err != nil || found.Config == nil || found.HostConfig == nil {
		return manner{}, err
	}
	m := manner{name: found.Config.StopSignal, within: p.cfg.StopTimeout}
	if limit := uint64(p.cfg.StopTimeout / time.Second); uint64(found.Config.StopTimeout) < limit {
		m.within = time.Duration(found.Config.StopTimeout) * time.Second
	}
	restarts := found.HostConfig.RestartPolicy
	// With the first process of a namespace all others of it end. Whoever is started
	// again by podman itself must be known to it as stopped before that.
	m.signal = runs(found) && found.HostConfig.PidMode == "private" && m.within > 0 &&
		(restarts == nil || restarts.Name == "" || restarts.Name == define.RestartPolicyNo)
	return m, nil
}

// runs tells whether a container has a process that hears signals.
func runs(c *define.InspectContainerData) bool {
	return c.State != nil && c.State.Running && !c.State.Paused
}

// endBySignal sends the signal, and returns false when the time is over and the
// container has not ended.
func (p *Podman) endBySignal(ctx context.Context, id string, m manner) (ended bool, err error) {
	began := time.Now()
	err = p.client.Do(ctx, p.cfg.RequestTimeout, "stop container", func(ctx context.Context) error {
		return containers.Kill(ctx, id, new(containers.KillOptions).WithSignal(cmp.Or(m.name, "SIGTERM")))
	})
	if err != nil {
		return false, err
	}
	for wait := firstLook; ; wait = min(max(firstLook, time.Since(began)/4), lastLook) {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, fmt.Errorf("stop container: %w", context.Cause(ctx))
		}
		found, err := p.inspect(ctx, id)
		if err != nil {
			return false, err
		}
		if !runs(found) {
			return true, nil
		}
		if time.Since(began) >= m.within {
			return false, nil
		}
	}
}

func (p *Podman) inspect(ctx context.Context, id string) (found *define.InspectContainerData, err error) {
	err = p.client.Do(ctx, p.cfg.RequestTimeout, "look at container", func(ctx context.Context) (err error) {
		found, err = containers.Inspect(ctx, id, nil)
		return err
	})
	return found, err
}
