package reconcile

import (
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// place is where an instance lives: at which runtime, under which name.
type place struct{ runtime, key string }

// desired is what a workload asks for.
type desired struct {
	workload *argosyv1.Workload
	instance *argosyv1.InstanceName
	place    place
}

func desire(w *argosyv1.Workload) *desired {
	name := argosyv1.InstanceOf(w)
	return &desired{workload: w, instance: name, place: place{runtime: w.GetRuntime(), key: name.Key()}}
}

// observed is an instance that a runtime has.
type observed struct {
	place    place
	instance runtime.Instance
	// seq orders it among everything that was learned; see Manager.seq.
	seq uint64
}

// retiree is an instance that must be gone before its workload goes on.
type retiree struct {
	place    place
	instance *argosyv1.InstanceName
	// workload is what it was made from; nil for one that was found.
	workload *argosyv1.Workload
	// book is what was known of it when it was wanted, should it be wanted
	// again before its removal has begun.
	book book
	// dependents are the names of those that are to stop before it does, as far as
	// was known when it came to be removed.
	dependents []string
	// begun is set once its runtime was asked to remove it.
	begun bool
	// failures counts removals that failed in a row; reason says how the last
	// one did, and notBefore when to try again.
	failures  int
	reason    string
	notBefore time.Time
}

// tombstone keeps late news of an instance that is gone from bringing it back.
type tombstone struct {
	place     place
	runtimeID string
	at        time.Time
	seq       uint64
}

// slot is everything about one workload name.
type slot struct {
	name     string
	desired  *desired
	book     book
	retiring []retiree
	actual   []observed
	tombs    []tombstone
	// lane is the operation in flight.
	lane *operation
	// queued are the lanes of a runtime for which the slot waits, nil when for none;
	// turn is set when its turn has come.
	queued *lanes
	turn   bool
	// settled is the last decision's word on whether the slot is done.
	settled bool
	timer   *time.Timer
	// releases are instances that are gone, and for which something was made.
	releases []*argosyv1.InstanceName
	// awaits are the names of those for which something here waits.
	awaits []string
}

func find(actual []observed, p place) *observed {
	if i := slices.IndexFunc(actual, func(o observed) bool { return o.place == p }); i >= 0 {
		return &actual[i]
	}
	return nil
}

func (s *slot) retiree(p place) *retiree {
	if i := slices.IndexFunc(s.retiring, func(r retiree) bool { return r.place == p }); i >= 0 {
		return &s.retiring[i]
	}
	return nil
}

// wanted tells whether the instance is the desired one and may stay.
func (s *slot) wanted(p place) bool {
	return s.desired != nil && s.desired.place == p && s.retiree(p) == nil
}

func (s *slot) drop(p place) {
	s.retiring = slices.DeleteFunc(s.retiring, func(r retiree) bool { return r.place == p })
}

// put notes that an instance is there.
func (s *slot) put(p place, instance runtime.Instance, seq uint64) {
	s.tombs = slices.DeleteFunc(s.tombs, func(t tombstone) bool { return t.place == p })
	if o := find(s.actual, p); o != nil {
		o.instance, o.seq = instance, seq
		return
	}
	s.actual = append(s.actual, observed{place: p, instance: instance, seq: seq})
}

// remove notes that an instance is gone.
func (s *slot) remove(p place, runtimeID string, now time.Time, seq uint64) {
	if o := find(s.actual, p); o != nil && runtimeID == "" {
		runtimeID = o.instance.RuntimeID
	}
	if t := s.tomb(p); t != nil && runtimeID == "" {
		runtimeID = t.runtimeID
	}
	s.actual = slices.DeleteFunc(s.actual, func(o observed) bool { return o.place == p })
	s.tombs = slices.DeleteFunc(s.tombs, func(t tombstone) bool { return t.place == p })
	s.tombs = append(s.tombs, tombstone{place: p, runtimeID: runtimeID, at: now, seq: seq})
}

func (s *slot) tomb(p place) *tombstone {
	if i := slices.IndexFunc(s.tombs, func(t tombstone) bool { return t.place == p }); i >= 0 {
		return &s.tombs[i]
	}
	return nil
}

// empty tells whether nothing is left to know about the slot.
func (s *slot) empty() bool {
	return s.desired == nil && s.lane == nil && s.queued == nil &&
		len(s.retiring) == 0 && len(s.releases) == 0 && len(s.actual) == 0 && len(s.tombs) == 0
}
