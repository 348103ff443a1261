package podman

import (
	"context"

	"github.com/containers/podman/v5/pkg/bindings/containers"
	"github.com/containers/podman/v5/pkg/domain/entities/types"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/agent/runtime/libpod"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// List implements runtime.Observer.
func (p *Podman) List(ctx context.Context) ([]runtime.Instance, error) {
	if err := p.sync(ctx); err != nil {
		return nil, err
	}
	return p.index.All(), nil
}

// sync brings the index up to date with all containers of this agent.
func (p *Podman) sync(ctx context.Context) error {
	return p.list(ctx, p.index.BeginList(""), "list containers", labelAgent+"="+p.cfg.Agent)
}

// look brings the index up to date with the containers of one instance.
func (p *Podman) look(ctx context.Context, name *argosyv1.InstanceName) ([]libpod.Container, error) {
	err := p.list(ctx, p.index.BeginList(name.Key()), "look for "+name.Key(), labelAgent+"="+p.cfg.Agent, labelName+"="+name.Key())
	if err != nil {
		return nil, err
	}
	found, _ := p.index.Find(name.Key())
	return found, nil
}

// known returns the containers of one instance, from the index when it is sure
// to have them all.
func (p *Podman) known(ctx context.Context, name *argosyv1.InstanceName) ([]libpod.Container, error) {
	if found, complete := p.index.Find(name.Key()); complete {
		return found, nil
	}
	return p.look(ctx, name)
}

func (p *Podman) list(ctx context.Context, listing libpod.Listing, what string, labels ...string) error {
	options := new(containers.ListOptions).WithAll(true).WithFilters(map[string][]string{"label": labels})
	var listed []types.ListContainer
	err := p.client.Do(ctx, p.cfg.RequestTimeout, what, func(ctx context.Context) (err error) {
		listed, err = containers.List(ctx, options)
		return err
	})
	if err != nil {
		return err
	}
	found := make([]libpod.Container, 0, len(listed))
	for i := range listed {
		name, err := argosyv1.ParseInstanceName(listed[i].Labels[labelName])
		if err != nil || name.GetAgent() != p.cfg.Agent {
			continue
		}
		c := libpod.Describe(&listed[i])
		c.Name, c.Labels = name, nil // labels may be many, and are of no use here
		found = append(found, c)
	}
	p.index.Merge(listing, found)
	return nil
}
