package argosyv1

import "slices"

// MaxOwing is how many workloads the record of an agent names at the most.
const MaxOwing = 1024

// And returns what an agent owes that owes both, nil for nothing.
func (x *Owing) And(other *Owing) *Owing {
	names := slices.Compact(slices.Sorted(slices.Values(slices.Concat(x.GetWorkloads(), other.GetWorkloads()))))
	switch {
	case x.GetAnything() || other.GetAnything() || len(names) > MaxOwing:
		return &Owing{Anything: true}
	case len(names) == 0:
		return nil
	}
	return &Owing{Workloads: names}
}
