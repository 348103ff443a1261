package libpod

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
)

// lead is how long before podman has written a change down it may tell of it: a
// list begun within this time after an event may not have what the event said.
const lead = 2 * time.Second

// remembered is how long a removed container is remembered: its last events may come
// late, and must not make it seem to live.
const remembered = time.Minute

// Container is one container of an instance.
type Container struct {
	// Instance is the instance it belongs to, in the state of this container;
	// RuntimeID is the container's id.
	runtime.Instance
	// Container is its name at podman.
	Container string
	// Pod and PodName are the id and the name of its pod; empty without one.
	Pod, PodName string
	// Labels of the container.
	Labels map[string]string
	// EndedAt is when it ended; zero when it did not, or when nobody saw it.
	EndedAt time.Time
}

// Verdict says what the containers of an instance mean for the instance. There
// is at least one; the first is the one that speaks for all of them when only
// one of them is to be heard: the one that runs, else the newest. With again
// above zero it is to be asked again after that time, though nothing happened.
type Verdict func(containers []Container) (instance runtime.Instance, again time.Duration)

// First is the verdict for instances of one container.
func First(containers []Container) (runtime.Instance, time.Duration) {
	return containers[0].Instance, 0
}

// Index is what is known of this agent's containers. Three sources feed it:
// lists, events and the answers to our own calls, and they arrive in any order.
// It protects one invariant: older knowledge never replaces newer. Each
// container has two points in time for that: what lists and what events must not
// be older than to count.
type Index struct {
	verdict Verdict

	mu   sync.Mutex
	byID map[string]*container
	// byKey has the same by instance, so that one costs the same beside many.
	byKey    map[string][]*container
	held     map[string]*hold
	watchers map[*watcher]struct{}

	live    int    // streams of events that are up and were synced
	doubts  uint64 // times that knowledge may have become incomplete
	cleared uint64 // doubts that a later list has cleared
}

// container is one container in the index.
type container struct {
	Container
	id, key    string
	eventsFrom time.Time // events before it say nothing new
	listsFrom  time.Time // nor do lists that were begun before it
	gone       time.Time // when it was found to be removed; zero while it exists
}

// hold keeps changes of an instance from being told while it is being started:
// a container removed to be made anew is not gone for anybody else.
type hold struct {
	count   int
	pending bool
}

// NewIndex returns an index that knows nothing yet.
func NewIndex(verdict Verdict) *Index {
	return &Index{
		verdict: verdict, byID: make(map[string]*container), byKey: make(map[string][]*container),
		held: make(map[string]*hold), watchers: make(map[*watcher]struct{}),
	}
}

// Find returns the containers of an instance, and whether there can be no
// others.
func (x *Index) Find(key string) (found []Container, complete bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.findLocked(key), x.live > 0 && x.cleared == x.doubts
}

func (x *Index) findLocked(key string) []Container {
	var found []Container
	for _, c := range x.byKey[key] {
		if c.gone.IsZero() {
			found = append(found, c.Container)
		}
	}
	slices.SortFunc(found, func(a, b Container) int {
		return cmp.Or(rank(b.Status)-rank(a.Status), b.StartedAt.Compare(a.StartedAt), cmp.Compare(a.RuntimeID, b.RuntimeID))
	})
	return found
}

// rank orders containers of one instance: the one that runs speaks for it.
func rank(status runtime.Status) int {
	switch status {
	case runtime.StatusRunning:
		return 4
	case runtime.StatusUnknown:
		return 3
	case runtime.StatusStarting:
		return 2
	case runtime.StatusStopping:
		return 1
	}
	return 0
}

// All returns every instance in order of name.
func (x *Index) All() []runtime.Instance {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := make([]runtime.Instance, 0, len(x.byKey))
	for key := range x.byKey {
		if found := x.findLocked(key); len(found) > 0 {
			instance, _ := x.verdict(found)
			all = append(all, instance)
		}
	}
	slices.SortFunc(all, func(a, b runtime.Instance) int { return cmp.Compare(a.Name.Key(), b.Name.Key()) })
	return all
}

// Doubt notes that knowledge may be incomplete until a list that is begun from
// now on.
func (x *Index) Doubt() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.doubts++
}

// BeginList is called before a list is asked for, of one instance or, with an
// empty key, of all; what it returns goes to Merge.
func (x *Index) BeginList(key string) Listing {
	x.mu.Lock()
	defer x.mu.Unlock()
	return Listing{started: time.Now(), doubts: x.doubts, key: key}
}

// Listing is a list under way.
type Listing struct {
	started time.Time
	doubts  uint64
	key     string // the only instance that was asked for; empty means all
}

// Merge takes in a list: what it does not have does not exist.
func (x *Index) Merge(l Listing, containers []Container) {
	x.mu.Lock()
	defer x.mu.Unlock()
	seen := make(map[string]struct{}, len(containers))
	for _, instance := range containers {
		seen[instance.RuntimeID] = struct{}{}
		c := x.byID[instance.RuntimeID]
		if c == nil {
			c = x.add(instance)
		} else if c.listsFrom.After(l.started) || c.gone.IsZero() && c.Status == runtime.StatusExited && instance.Status == runtime.StatusStarting {
			// However long podman takes to write down that it has started what has
			// ended since: what is started again tells so by an event.
			continue
		}
		changed := !c.gone.IsZero() || !same(c.Instance, instance.Instance)
		c.eventsFrom, c.listsFrom = later(c.eventsFrom, l.started.Add(-lead)), l.started
		if instance.StartedAt.Truncate(time.Second).Equal(c.StartedAt.Truncate(time.Second)) {
			instance.StartedAt = c.StartedAt // lists know seconds only
		}
		c.Container, c.gone = instance, time.Time{}
		if changed {
			x.tell(c.key)
		}
	}
	for _, c := range x.asked(l) {
		if _, ok := seen[c.id]; ok || c.listsFrom.After(l.started) {
			continue
		}
		if !c.gone.IsZero() && time.Since(c.gone) > remembered {
			x.forget(c)
		}
		x.lose(c)
	}
	if l.key == "" {
		x.cleared = max(x.cleared, l.doubts)
	}
}

// asked returns the containers that a list would have if they exist.
func (x *Index) asked(l Listing) []*container {
	if l.key != "" {
		return slices.Clone(x.byKey[l.key])
	}
	return slices.Collect(maps.Values(x.byID))
}

// add makes the entry of a container that was not known.
func (x *Index) add(found Container) *container {
	c := &container{id: found.RuntimeID, key: found.Name.Key()}
	x.byID[c.id] = c
	x.byKey[c.key] = append(x.byKey[c.key], c)
	return c
}

// forget drops what is known of a container.
func (x *Index) forget(c *container) {
	delete(x.byID, c.id)
	x.byKey[c.key] = slices.DeleteFunc(x.byKey[c.key], func(other *container) bool { return other == c })
	if len(x.byKey[c.key]) == 0 {
		delete(x.byKey, c.key)
	}
}

func same(a, b runtime.Instance) bool {
	return a.Status == b.Status && a.ExitCode == b.ExitCode && a.Detail == b.Detail &&
		a.StartedAt.Truncate(time.Second).Equal(b.StartedAt.Truncate(time.Second))
}

// Created takes in a container that we have made.
func (x *Index) Created(instance Container) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	c := x.byID[instance.RuntimeID]
	if c == nil {
		c = x.add(instance)
	}
	c.Container, c.eventsFrom, c.listsFrom = instance, now, now
}

// Started takes in that we have started a container, asked for at a time, and
// returns what is known of it now: it may have ended since.
func (x *Index) Started(instance Container, asked time.Time) Container {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.byID[instance.RuntimeID]
	if c == nil {
		c = x.add(instance)
	} else if c.eventsFrom.After(asked) {
		return c.Container // an event was faster than the answer
	}
	c.Container, c.eventsFrom, c.listsFrom = instance, asked, time.Now()
	x.tell(c.key)
	return instance
}

// Removed takes in that we have removed a container.
func (x *Index) Removed(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c := x.byID[id]; c != nil {
		c.listsFrom = time.Now() // lists begun before may still have it
		x.lose(c)
	}
}

// lose notes that a container does not exist any more. The caller has the lock.
func (x *Index) lose(c *container) {
	if c.gone.IsZero() {
		c.gone = time.Now()
		x.tell(c.key)
	}
}

// change is what an event says of a container.
type change struct {
	id       string
	key      string // the instance whose container it may be
	status   runtime.Status
	exitCode int32
	detail   string
	removal  bool
	start    bool
}

// apply takes in an event. It returns false when the container is not known: the
// event does not tell whose it is, and whether it still exists.
func (x *Index) apply(e change, at time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.byID[e.id]
	switch {
	case c == nil:
		// One that is being made right now becomes known by the answer to that.
		return e.removal || x.held[e.key] != nil
	case e.removal:
		c.listsFrom = later(c.listsFrom, at.Add(lead))
		x.lose(c)
		return true
	case !c.gone.IsZero(), at.Before(c.eventsFrom):
		return true
	}
	c.Status, c.ExitCode, c.Detail = e.status, e.exitCode, e.detail
	c.EndedAt = time.Time{}
	switch {
	case e.start:
		c.StartedAt = at
	case e.status == runtime.StatusExited:
		c.EndedAt = at
	}
	c.eventsFrom, c.listsFrom = at, later(c.listsFrom, at.Add(lead))
	x.tell(c.key)
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
