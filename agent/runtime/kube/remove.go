package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/containers/podman/v5/pkg/bindings/containers"
	"github.com/containers/podman/v5/pkg/bindings/pods"
	"github.com/containers/podman/v5/pkg/bindings/secrets"
	"github.com/containers/podman/v5/pkg/domain/entities/types"
	"golang.org/x/sync/errgroup"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Remove implements runtime.Starter. It removes what podman kube down does.
func (k *Kube) Remove(ctx context.Context, name *argosyv1.InstanceName) error {
	leave, err := k.lanes.Enter(ctx, name.Key())
	if err != nil {
		return fmt.Errorf("remove %s: %w", name.Key(), err)
	}
	defer leave()
	defer k.index.Hold(name.Key())()
	found, err := k.look(ctx, name)
	if err == nil {
		err = k.clear(ctx, name, found, false)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", name.Key(), err)
	}
	return nil
}

// clear removes everything of an instance; failed says that it was being made by
// us just now. The records go last, and the one without which the other is
// nothing but rubbish goes first.
func (k *Kube) clear(ctx context.Context, name *argosyv1.InstanceName, found []libpod.Container, failed bool) error {
	written := slices.DeleteFunc(slices.Clone(found), func(c libpod.Container) bool { return !isRecord(c) })
	records, err := readRecords(written)
	if err != nil {
		// Without it the pods are found all the same.
		k.logger.Warn("record of pods could not be read; volumes and secrets of theirs stay", "instance", name.Key(), "error", err)
		records.makes, records.config = makes{}, ""
	}
	if records.hasConfig && !records.hasPods && !failed && slices.ContainsFunc(found, hasRun) {
		// Its creator has died, and podman went on: who knows how long the pods ran,
		// and what they have written into volumes that were made for them. From here
		// on it counts as complete, also for who comes after us.
		if err := k.writePods(ctx, name, nil); err != nil {
			return err
		}
		records.hasPods = true
		written = append(written, libpod.Container{
			Instance: runtime.Instance{Name: name, RuntimeID: name.Key() + suffixPods}, Container: recordPods,
		})
	}
	if err := k.stop(ctx, found); err != nil {
		return err
	}
	if err := k.removePods(ctx, name, records.pods); err != nil {
		return err
	}
	for _, c := range found {
		if !isRecord(c) {
			k.index.Removed(c.RuntimeID)
		}
	}
	if err := k.removeNamed(ctx, name, &records); err != nil {
		return err
	}
	for _, kind := range []string{recordConfig, recordForeign, recordPods} {
		for _, c := range written {
			if c.Container != kind {
				continue
			}
			if err := k.dropVolume(ctx, c.RuntimeID, false); err != nil {
				return err
			}
			k.index.Removed(c.RuntimeID)
		}
	}
	return nil
}

// hasRun says whether a container was ever started.
func hasRun(c libpod.Container) bool { return !isRecord(c) && !c.StartedAt.IsZero() }

// stop lets the containers end, all at the same time, each within its own
// time-out. Those who follow their logs may read them to the end.
func (k *Kube) stop(ctx context.Context, found []libpod.Container) error {
	var stops errgroup.Group
	for _, c := range found {
		if isRecord(c) {
			continue
		}
		stops.Go(func() error {
			if err := k.stopContainer(ctx, c); err != nil {
				return err
			}
			k.client.Drain(ctx, c.RuntimeID)
			return nil
		})
	}
	return stops.Wait()
}

func (k *Kube) stopContainer(ctx context.Context, c libpod.Container) error {
	switch {
	case c.Status == runtime.StatusStarting, c.Status == runtime.StatusExited && !restarts(&c):
		return nil
	}
	err := k.client.Do(ctx, k.cfg.StopTimeout, "stop container "+c.Container, func(ctx context.Context) error {
		return containers.Stop(ctx, c.RuntimeID, new(containers.StopOptions).WithIgnore(true))
	})
	if libpod.IsAnswer(err) && !libpod.IsCode(err, http.StatusNotFound) {
		// A state that cannot be stopped (paused on older versions) can be removed
		// by force all the same.
		k.logger.Warn("container could not be stopped and will be removed by force", "container", c.Container, "error", err)
	}
	if libpod.IsAnswer(err) {
		return nil
	}
	return err
}

// removePods removes the pods that have the labels of the instance, and those
// that are written down for it.
func (k *Kube) removePods(ctx context.Context, name *argosyv1.InstanceName, ids []string) error {
	filters := map[string][]string{"label": {labelAgent + "=" + name.GetAgent(), labelInstance + "=" + name.Key()}}
	var listed []*types.ListPodsReport
	err := k.client.Do(ctx, k.cfg.RequestTimeout, "list pods", func(ctx context.Context) (err error) {
		listed, err = pods.List(ctx, new(pods.ListOptions).WithFilters(filters))
		return err
	})
	if err != nil {
		return err
	}
	ids = slices.Clone(ids)
	for _, pod := range listed {
		ids = append(ids, pod.Id)
	}
	for _, id := range unique(ids) {
		if err := k.removePod(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// removePod removes a pod with its containers. By force: what could be stopped
// was stopped before.
func (k *Kube) removePod(ctx context.Context, id string) error {
	var report *types.PodRmReport
	err := k.client.Do(ctx, k.cfg.StopTimeout, "remove pod "+id, func(ctx context.Context) (err error) {
		report, err = pods.Remove(ctx, id, new(pods.RemoveOptions).WithForce(true))
		return err
	})
	switch {
	case libpod.IsCode(err, http.StatusNotFound):
		return nil
	case err != nil:
		return err
	case report.Err != nil:
		return fmt.Errorf("remove pod %s: %w", id, report.Err)
	}
	return nil
}

// removeNamed removes secrets and volumes: of a complete instance those that
// podman kube down removes, else those that were made for it.
func (k *Kube) removeNamed(ctx context.Context, name *argosyv1.InstanceName, r *records) error {
	what := r.makes
	if r.hasConfig && r.hasPods {
		what = k.downs(name, r)
	}
	for _, secret := range what.Secrets {
		err := k.client.Do(ctx, k.cfg.RequestTimeout, "remove secret "+secret, func(ctx context.Context) error {
			return secrets.Remove(ctx, secret)
		})
		if err != nil && !libpod.IsCode(err, http.StatusNotFound) {
			return err
		}
	}
	var problems []error
	for _, volume := range what.Volumes {
		problems = append(problems, k.dropVolume(ctx, volume, true))
	}
	return errors.Join(problems...)
}

// downs returns the secrets and volumes that podman kube down removes.
func (k *Kube) downs(name *argosyv1.InstanceName, r *records) (what makes) {
	config, _, err := parseConfig(r.config)
	var m *manifest
	if err == nil {
		m, err = parseManifest(config.Manifest)
	}
	var force bool
	if err == nil {
		force, err = parseDownOptions(libpod.Words(config.DownOptions))
	}
	if err != nil {
		k.logger.Warn("configuration of pods could not be read; volumes and secrets of theirs stay", "instance", name.Key(), "error", err)
		return what
	}
	what.Secrets = unique(slices.Clone(m.secrets))
	if force {
		what.Volumes = m.forced()
	}
	return what
}
