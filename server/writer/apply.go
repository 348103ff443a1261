package writer

import (
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/writer/graph"
)

func (d *draft) putConfigs() refuse {
	puts := d.request.configs
	if len(puts) == 0 {
		return nil
	}
	d.items = make(map[string]*argosyv1.ConfigItem, len(puts))
	d.result.Configs = make([]*argosyv1.ConfigChange, len(puts))
	for i := range puts {
		p := &puts[i]
		d.items[p.name] = p.message.GetValue()
		_, did := d.put(kindConfig, &p.put)
		if did != argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED {
			d.changed = append(d.changed, p.name)
		}
		d.result.Configs[i] = &argosyv1.ConfigChange{Key: p.name, Kind: did}
	}
	return nil
}

func (d *draft) putWorkloads() refuse {
	puts := d.request.puts
	changes := make([]argosyv1.WorkloadChange, len(puts))
	d.result.Changes = make([]*argosyv1.WorkloadChange, len(puts))
	for i := range puts {
		p := &puts[i]
		if p.templated() {
			rendered, why := d.render(p.message)
			if why != nil {
				return why
			}
			p = rendered
		}
		before, did := d.put(kindWorkload, &p.put)
		change := &changes[i]
		change.Name, change.Kind, change.Agent, change.InstanceId = p.name, did, p.group, p.instance
		d.describe(change, before, p.value)
		d.result.Changes[i] = change
		if d.rendered != "" && d.encoded > d.writer.cfg.MaxApplyBytes {
			return d.tooMuchRendered()
		}
	}
	return nil
}

// describe says what a change of a workload does to what runs.
func (d *draft) describe(change *argosyv1.WorkloadChange, before Row, value []byte) {
	switch change.GetKind() {
	case argosyv1.ChangeKind_CHANGE_KIND_CREATED:
		change.Effect = (&sketch{}).effect(&sketch{agent: []byte(change.GetAgent())})
	case argosyv1.ChangeKind_CHANGE_KIND_UPDATED:
		was, is := sketchOf(before.Value), sketchOf(value)
		change.Effect = was.effect(&is)
		if string(was.agent) != change.GetAgent() {
			change.PreviousAgent = string(was.agent)
		}
		if !was.sameConfig(&is) {
			change.PreviousInstanceId = was.instance()
		}
		if d.request.dry() {
			change.ChangedFields = changedFields(before.Value, value)
		}
	}
}

// changedFields returns the names of the fields that differ between two stored
// workloads, as they are rendered.
func changedFields(before, after []byte) []string {
	var a, b argosyv1.Workload
	if proto.Unmarshal(before, &a) != nil || proto.Unmarshal(after, &b) != nil {
		return nil
	}
	was, is := a.Effective().UserPart().ProtoReflect(), b.Effective().UserPart().ProtoReflect()
	fields := was.Descriptor().Fields()
	var changed []string
	for i := range fields.Len() {
		if field := fields.Get(i); field.Name() != "configs" && !was.Get(field).Equal(is.Get(field)) {
			changed = append(changed, field.JSONName())
		}
	}
	return changed
}

// putTags gives agents their tags.
func (d *draft) putTags() refuse {
	for _, tags := range d.request.Apply.GetAgentTags() {
		row := d.Row(kindAgent, tags.GetAgent())
		if !row.Exists {
			return func() error {
				return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND,
					"apply tags of agent %q: no agent of that name is registered; tag it when it is", tags.GetAgent())
			}
		}
		agent := &argosyv1.Agent{}
		if err := proto.Unmarshal(row.Value, agent); err != nil {
			return damaged("agent", tags.GetAgent(), err)
		}
		agent.UserTags = tags.GetTags()
		p := &put{name: tags.GetAgent()}
		var err error
		if p.record, p.value, err = encodePutMessage(kindAgent, p.name, "", agent, proto.Size(agent)); err != nil {
			return unfit("apply tags of agent %q: encode: %v", p.name, err)
		}
		d.put(kindAgent, p)
	}
	return nil
}

// damaged refuses a request that needs a row which cannot be read.
func damaged(what, name string, err error) refuse {
	return func() error {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_INTERNAL, "read stored %s %q: %v; apply it anew", what, name, err)
	}
}

// acyclic refuses dependencies that would never be fulfilled. It is the last step:
// the graph has the request's dependencies when it passes.
func (d *draft) acyclic() refuse {
	if !d.request.depends {
		return nil
	}
	changes := make([]graph.Change, 0, len(d.request.puts))
	for i := range d.request.puts {
		p := &d.request.puts[i]
		needs := make([]string, 0, len(p.message.GetDependencies()))
		for name := range p.message.GetDependencies() {
			needs = append(needs, name)
		}
		changes = append(changes, graph.Change{Name: p.name, Needs: needs})
	}
	for _, name := range d.request.Apply.GetDeleteWorkloads() {
		changes = append(changes, graph.Change{Name: name})
	}
	undo, err := d.linked().needs.Replace(changes)
	if err != nil {
		return unfit("%v", err)
	}
	d.undo = undo
	return nil
}
