package graph

import "slices"

// References knows which workloads use which configs. It belongs to one
// goroutine.
type References struct {
	// users are the names of workloads by the key of a config that they use.
	users map[string]map[string]struct{}
	keys  map[string][]string
}

// NewReferences makes one in which no workload uses anything.
func NewReferences() *References {
	return &References{users: map[string]map[string]struct{}{}, keys: map[string][]string{}}
}

// Set says which configs a workload uses from now on; none when it is deleted.
func (r *References) Set(name string, keys []string) {
	had := r.keys[name]
	if len(had) == 0 && len(keys) == 0 {
		return
	}
	keys = sorted(keys)
	if slices.Equal(had, keys) {
		return
	}
	for _, key := range had {
		delete(r.users[key], name)
		if len(r.users[key]) == 0 {
			delete(r.users, key)
		}
	}
	for _, key := range keys {
		if r.users[key] == nil {
			r.users[key] = map[string]struct{}{}
		}
		r.users[key][name] = struct{}{}
	}
	if len(keys) == 0 {
		delete(r.keys, name)
		return
	}
	r.keys[name] = keys
}

// Users returns the names of the workloads that use any of some configs, in
// order.
func (r *References) Users(keys ...string) []string {
	var names []string
	for _, key := range keys {
		for name := range r.users[key] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
