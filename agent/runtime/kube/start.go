package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/containers/podman/v5/pkg/bindings/kube"
	"github.com/containers/podman/v5/pkg/bindings/secrets"
	"github.com/containers/podman/v5/pkg/bindings/volumes"
	"github.com/containers/podman/v5/pkg/domain/entities/types"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Start implements runtime.Starter. An ended instance is always made anew: init
// containers run again, and volumes without a name are empty.
func (k *Kube) Start(ctx context.Context, w *argosyv1.Workload, options runtime.StartOptions) (runtime.Instance, error) {
	plan, err := k.plan(w, options)
	if err != nil {
		return runtime.Instance{}, fmt.Errorf("start %s: %w", w.GetName(), err)
	}
	instance, err := k.start(ctx, plan)
	if err != nil {
		return runtime.Instance{}, fmt.Errorf("start %s: %w", w.GetName(), err)
	}
	return instance, nil
}

func (k *Kube) start(ctx context.Context, p *plan) (runtime.Instance, error) {
	key := p.name.Key()
	if p.name.GetAgent() != k.cfg.Agent {
		return runtime.Instance{}, fmt.Errorf("it is assigned to agent %q, this is %q", p.name.GetAgent(), k.cfg.Agent)
	}
	leave, err := k.lanes.Enter(ctx, key)
	if err != nil {
		return runtime.Instance{}, err
	}
	defer leave()
	defer k.index.Hold(key)()
	found, err := k.look(ctx, p.name)
	if err != nil {
		return runtime.Instance{}, err
	}
	if err := p.checkVersion(k.client.Version()); err != nil {
		return runtime.Instance{}, fmt.Errorf("%w: %w", runtime.ErrInvalidConfig, err)
	}
	if len(found) > 0 {
		instance, _ := verdict(found)
		switch {
		case !isComplete(found), instance.Status == runtime.StatusExited, instance.Status == runtime.StatusStopping:
		default:
			return instance, nil
		}
		if err := k.clear(ctx, p.name, found, false); err != nil {
			return runtime.Instance{}, err
		}
	}
	if err := k.make(ctx, p); err != nil {
		return runtime.Instance{}, err
	}
	if found, err = k.look(ctx, p.name); err != nil {
		return runtime.Instance{}, err
	}
	if len(found) == 0 {
		return runtime.Instance{}, errors.New("it vanished as soon as it was made: somebody else has removed it")
	}
	instance, _ := verdict(found)
	return instance, nil
}

// make makes what does not exist yet. After an error nothing of it is left, or
// what is left is written down.
func (k *Kube) make(ctx context.Context, p *plan) error {
	existing, err := k.existing(ctx, p.manifest)
	if err != nil {
		return err
	}
	makes := makes{
		Volumes: without(p.manifest.volumes(), existing.Volumes),
		Secrets: without(unique(slices.Clone(p.manifest.secrets)), existing.Secrets),
	}
	p.manifest.label(map[string]string{labelInstance: p.name.Key(), labelAgent: p.name.GetAgent()})
	text, err := p.manifest.text(func(volume string) bool { return slices.Contains(existing.Volumes, volume) })
	if err != nil {
		return err
	}
	err = k.writeConfig(ctx, p, makes)
	var ids []string
	if err == nil {
		ids, err = k.play(ctx, p, text)
	}
	if err == nil {
		err = k.writePods(ctx, p.name, ids)
	}
	if err == nil {
		return nil
	}
	// Podman may still be at it when the service does not answer or when we do not
	// wait any longer for its answer: the next attempt, or Remove, finds what comes of it.
	k.index.Doubt()
	if libpod.Unsettled(ctx, err) {
		return err
	}
	return errors.Join(err, k.clearFailed(ctx, p.name))
}

// clearFailed clears away what an attempt has made.
func (k *Kube) clearFailed(ctx context.Context, name *argosyv1.InstanceName) error {
	found, err := k.look(ctx, name)
	if err != nil {
		return err
	}
	return k.clear(ctx, name, found, true)
}

// play has podman play the manifest and returns the ids of the pods. It pulls
// images too.
func (k *Kube) play(ctx context.Context, p *plan, text []byte) (ids []string, err error) {
	var report *types.PlayKubeReport
	err = k.client.Do(ctx, k.cfg.PullTimeout, "play manifest", func(ctx context.Context) (err error) {
		report, err = kube.PlayWithBody(ctx, bytes.NewReader(text), p.play)
		return err
	})
	if libpod.IsCode(err, http.StatusBadRequest) {
		return nil, fmt.Errorf("%w: %w", runtime.ErrInvalidConfig, err)
	}
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, pod := range report.Pods {
		ids = append(ids, pod.ID)
		for _, text := range pod.ContainerErrors {
			problems = append(problems, errors.New("play manifest: "+text))
		}
	}
	return ids, errors.Join(problems...)
}

// existing returns which of the volumes and secrets of a manifest exist.
func (k *Kube) existing(ctx context.Context, m *manifest) (found makes, err error) {
	if names := m.volumes(); len(names) > 0 {
		for i, name := range names {
			names[i] = regexp.QuoteMeta(name)
		}
		filters := map[string][]string{"name": {"^(" + strings.Join(names, "|") + ")$"}}
		var listed []*types.VolumeListReport
		err := k.client.Do(ctx, k.cfg.RequestTimeout, "look for volumes", func(ctx context.Context) (err error) {
			listed, err = volumes.List(ctx, new(volumes.ListOptions).WithFilters(filters))
			return err
		})
		if err != nil {
			return found, err
		}
		for _, volume := range listed {
			found.Volumes = append(found.Volumes, volume.Name)
		}
	}
	if len(m.secrets) > 0 {
		var listed []*types.SecretInfoReport
		err := k.client.Do(ctx, k.cfg.RequestTimeout, "look for secrets", func(ctx context.Context) (err error) {
			listed, err = secrets.List(ctx, nil)
			return err
		})
		if err != nil {
			return found, err
		}
		for _, secret := range listed {
			found.Secrets = append(found.Secrets, secret.Spec.Name)
		}
	}
	return found, nil
}

// without returns the names that are not among others.
func without(names, others []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(others, name) })
}
