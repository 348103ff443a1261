package writer

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	// mostNamed is how many workloads an error names.
	mostNamed = 3
	// mostKept is how many bytes of configs are kept decoded while one request is
	// judged, which can be twenty times as large. Others are decoded anew for each
	// workload that uses them.
	mostKept = 4 << 20
)

// render renders a workload by the configs as the request leaves them.
func (d *draft) render(w *argosyv1.Workload) (*workloadPut, refuse) {
	began := d.writer.uptime()
	rendered, err := d.writer.render(w, d.item)
	if err != nil {
		return nil, unfit("apply workload %q: %v", w.GetName(), err)
	}
	// Deep copies would cost as much as all the rest; whoever asked keeps his
	// message as it is.
	w = argosyv1.Shallow(w)
	w.Rendered = rendered
	p := &workloadPut{message: w, instance: argosyv1.InstanceID(rendered.GetRuntimeConfig())}
	p.name, p.group = w.GetName(), rendered.GetAgent()
	if p.record, p.value, err = encodePut(w, proto.Size(w)); err != nil {
		return nil, unfit("apply workload %q: encode: %v", w.GetName(), err)
	}
	if d.rendered = w.GetName(); d.encoded+len(p.record) > d.writer.cfg.MaxApplyBytes {
		return nil, d.tooMuchRendered()
	}
	if d.rendering += d.writer.uptime() - began; d.rendering > d.writer.cfg.MaxRenderTime {
		return nil, unfit("apply workload %q: to render what the request changes takes longer than %s; change less at once, or make the templates simpler", w.GetName(), d.writer.cfg.MaxRenderTime)
	}
	return p, nil
}

// tooMuchRendered refuses a request that is too large with what is rendered. What is
// written as it came has been counted before.
func (d *draft) tooMuchRendered() refuse {
	return unfit("apply workload %q: with what the request's templates and configs are rendered to it is larger than %d bytes; change less at once, or make the configs smaller", d.rendered, d.writer.cfg.MaxApplyBytes)
}

// item returns the value of a config as the request leaves it.
func (d *draft) item(key string) (*argosyv1.ConfigItem, bool) {
	item, known := d.items[key]
	if known {
		return item, item != nil
	}
	if row := d.Row(kindConfig, key); row.Exists {
		config := &argosyv1.Config{}
		// One that cannot be read is as good as none.
		if proto.Unmarshal(row.Value, config) == nil {
			item = config.GetValue()
		}
		if d.kept += len(row.Value); d.kept > mostKept {
			return item, item != nil
		}
	}
	if d.items == nil {
		d.items = map[string]*argosyv1.ConfigItem{}
	}
	d.items[key] = item
	return item, item != nil
}

// renderUsers renders anew the workloads that use what the request changes, and
// that it does not name itself. When it deletes what one of them uses, it is
// refused.
func (d *draft) renderUsers() refuse {
	if len(d.changed)+len(d.removed) == 0 {
		return nil
	}
	named := d.named()
	if why := d.stillUsed(named); why != nil {
		return why
	}
	if planted.On(planted.OldConfigs) {
		// What was read stays in mind, and not what is written.
		clear(d.items)
	}
	for _, name := range d.linked().uses.Users(d.changed...) {
		if named[name] {
			continue
		}
		if why := d.renderUser(name); why != nil {
			return why
		}
	}
	return nil
}

// named returns the workloads that the request names.
func (d *draft) named() map[string]bool {
	gone, _ := d.request.deletes()
	named := make(map[string]bool, len(gone)+len(d.request.puts))
	for _, name := range gone {
		named[name] = true
	}
	for i := range d.request.puts {
		named[d.request.puts[i].name] = true
	}
	return named
}

// stillUsed refuses to delete what a workload uses that stays. One that the
// request applies has been rendered without it.
func (d *draft) stillUsed(named map[string]bool) refuse {
	for _, key := range d.removed {
		users := slices.DeleteFunc(d.linked().uses.Users(key), func(name string) bool { return named[name] })
		if len(users) == 0 {
			continue
		}
		others := ""
		if more := users[1:min(len(users), mostNamed)]; len(more) > 0 {
			others = ", and so do '" + strings.Join(more, "', '") + "'"
		}
		if rest := len(users) - mostNamed; rest > 0 {
			others += fmt.Sprintf(" and %d more", rest)
		}
		return unfit("delete config %q: workload '%s' references config key '%s'%s; change or delete them first, or in the same request", key, users[0], key, others)
	}
	return nil
}

func (d *draft) renderUser(name string) refuse {
	row := d.Row(kindWorkload, name)
	w := &argosyv1.Workload{}
	if err := proto.Unmarshal(row.Value, w); err != nil {
		return damaged("workload", name, err)
	}
	p, why := d.render(w)
	if why != nil {
		return why
	}
	before, did := d.put(kindWorkload, &p.put)
	if did != argosyv1.ChangeKind_CHANGE_KIND_UNCHANGED {
		change := &argosyv1.WorkloadChange{Name: name, Kind: did, Agent: p.group, InstanceId: p.instance}
		d.describe(change, before, p.value)
		d.result.Rendered = append(d.result.Rendered, change)
	}
	return nil
}
