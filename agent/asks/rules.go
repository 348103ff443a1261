package asks

import (
	"maps"
	"sync"

	"github.com/argosy-cluster/argosy/manifest"
	"github.com/argosy-cluster/argosy/manifest/access"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// rulebook has the rules of the workloads, compiled.
type rulebook struct {
	workloads Workloads

	mu    sync.Mutex
	pages map[string]page // by workload
}

type page struct {
	of    *argosyv1.ControlInterfaceAccess
	rules *access.Rules
}

// of returns the rules of an instance as they are now. One that is not to run on
// this agent any more may do nothing.
func (b *rulebook) of(instance *argosyv1.InstanceName) (*access.Rules, bool) {
	name := instance.GetWorkload()
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.workloads.Workload(name)
	given := w.GetControlInterfaceAccess()
	if given == nil || argosyv1.InstanceOf(w).Key() != instance.Key() {
		delete(b.pages, name)
		return nil, false
	}
	if p, ok := b.pages[name]; ok && p.of == given {
		return p.rules, p.rules != nil
	}
	// Rules that the leader let pass and this agent does not understand allow
	// nothing.
	rules, err := manifest.AccessRules(given)
	if err != nil {
		rules = nil
	}
	b.forget()
	if b.pages == nil {
		b.pages = make(map[string]page)
	}
	b.pages[name] = page{of: given, rules: rules}
	return rules, rules != nil
}

// forget drops the rules of workloads that are not to run here any more: they may
// never ask again.
func (b *rulebook) forget() {
	maps.DeleteFunc(b.pages, func(name string, _ page) bool { return b.workloads.Workload(name) == nil })
}
