package kube

import (
	"context"

	"github.com/containers/podman/v5/pkg/bindings/containers"
	"github.com/containers/podman/v5/pkg/bindings/volumes"
	"github.com/containers/podman/v5/pkg/domain/entities/types"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// List implements runtime.Observer.
func (k *Kube) List(ctx context.Context) ([]runtime.Instance, error) {
	if err := k.sync(ctx); err != nil {
		return nil, err
	}
	return k.index.All(), nil
}

// sync brings the index up to date with all instances of this agent.
func (k *Kube) sync(ctx context.Context) error {
	_, err := k.list(ctx, "", labelAgent+"="+k.cfg.Agent)
	return err
}

// look brings the index up to date with one instance, and returns what there is
// of it: containers and records.
func (k *Kube) look(ctx context.Context, name *argosyv1.InstanceName) ([]libpod.Container, error) {
	return k.list(ctx, name.Key(), labelAgent+"="+k.cfg.Agent, labelInstance+"="+name.Key())
}

// list asks for containers first: what is made meanwhile is then seen without
// containers, never without its record.
func (k *Kube) list(ctx context.Context, key string, labels ...string) (found []libpod.Container, err error) {
	listing := k.index.BeginList(key)
	var listed []types.ListContainer
	var recorded []*types.VolumeListReport
	err = k.client.Do(ctx, k.cfg.RequestTimeout, "list containers of pods", func(ctx context.Context) (err error) {
		options := new(containers.ListOptions).WithAll(true).WithFilters(map[string][]string{"label": labels})
		listed, err = containers.List(ctx, options)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = k.client.Do(ctx, k.cfg.RequestTimeout, "list volumes with records of pods", func(ctx context.Context) (err error) {
		recorded, err = volumes.List(ctx, k.recordFilter(key))
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range listed {
		name, err := argosyv1.ParseInstanceName(listed[i].Labels[labelInstance])
		if err != nil || name.GetAgent() != k.cfg.Agent || listed[i].Pod == "" {
			continue
		}
		c := libpod.Describe(&listed[i])
		c.Name = name
		c.Labels = map[string]string{labelRestart: c.Labels[labelRestart]}
		found = append(found, c)
	}
	for _, volume := range recorded {
		if c, ok := k.recordOf(volume); ok && (key == "" || c.Name.Key() == key) {
			found = append(found, c)
		}
	}
	k.index.Merge(listing, found)
	return found, nil
}
