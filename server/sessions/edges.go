package sessions

import (
	"maps"
	"slices"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// edges tell which workloads must run for another to run: those of desired state, and
// those of workloads that were deleted and are still there.
type edges struct {
	// needs are those of desired state, by the name of who needs them; outgoing are
	// those of workloads that were deleted but are still there.
	needs    map[string][]string
	outgoing map[string]outgoing
	// dependents are both of them the other way round.
	dependents map[string]map[string]struct{}
}

// outgoing is what a workload needed that was deleted, and the instances that are left
// of it. Another of its name may be there beside them.
type outgoing struct {
	needs     []string
	instances map[string]struct{}
}

func newEdges() edges {
	return edges{needs: map[string][]string{}, outgoing: map[string]outgoing{}, dependents: map[string]map[string]struct{}{}}
}

// set says what a workload needs by desired state.
func (e *edges) set(name string, needs []string) {
	for _, need := range e.needs[name] {
		if !slices.Contains(e.outgoing[name].needs, need) {
			remove(e.dependents, need, name)
		}
	}
	if len(needs) == 0 {
		delete(e.needs, name)
	} else {
		e.needs[name] = needs
	}
	for _, need := range needs {
		add(e.dependents, need, name, struct{}{})
	}
}

// keep has what a workload needs now count until its instances are gone.
func (e *edges) keep(name string, instances []*argosyv1.WorkloadState) {
	left := keysOf(instances)
	maps.Copy(left, e.outgoing[name].instances)
	e.outgoing[name] = outgoing{needs: union(e.outgoing[name].needs, e.needs[name]), instances: left}
}

// gone takes note that an instance is gone, and of which are left of its workload.
// When that was the last one from before the workload was deleted, it returns what
// that had needed.
func (e *edges) gone(instance *argosyv1.InstanceName, left []*argosyv1.WorkloadState) []string {
	name := instance.GetWorkload()
	former, ok := e.outgoing[name]
	if !ok {
		return nil
	}
	there := keysOf(left)
	delete(there, instance.Key()) // the next one may have its key
	maps.DeleteFunc(former.instances, func(key string, _ struct{}) bool { _, ok := there[key]; return !ok })
	if len(former.instances) > 0 {
		return nil
	}
	delete(e.outgoing, name)
	for _, need := range former.needs {
		if !slices.Contains(e.needs[name], need) {
			remove(e.dependents, need, name)
		}
	}
	return former.needs
}

func keysOf(instances []*argosyv1.WorkloadState) map[string]struct{} {
	keys := make(map[string]struct{}, len(instances))
	for _, state := range instances {
		keys[state.GetInstance().Key()] = struct{}{}
	}
	return keys
}

// on returns who depends on a workload, in order.
func (e *edges) on(name string) []string { return slices.Sorted(maps.Keys(e.dependents[name])) }

// dependenciesOf returns the dependencies of a workload; nil when it has none or
// cannot be read, which whoever assigns it complains of.
func dependenciesOf(row *fsm.Row) map[string]argosyv1.DependencyCondition {
	if !hasDependencies(row.Value) {
		return nil
	}
	w, err := row.Workload()
	if err != nil {
		return nil
	}
	return w.GetDependencies()
}

// needsOf returns the names that have to run for a workload to run, in order.
func needsOf(row *fsm.Row) []string {
	var names []string
	for name, condition := range dependenciesOf(row) {
		if condition == argosyv1.DependencyCondition_DEPENDENCY_CONDITION_RUNNING {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// union returns the names that are in either of two lists, in order.
func union(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// inOneOnly returns the names that are in one of two lists and not in the other.
func inOneOnly(a, b []string) []string {
	var names []string
	for _, name := range a {
		if !slices.Contains(b, name) {
			names = append(names, name)
		}
	}
	for _, name := range b {
		if !slices.Contains(a, name) {
			names = append(names, name)
		}
	}
	return names
}
