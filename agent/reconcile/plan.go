package reconcile

import (
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// situation is all that the decision about one workload depends on.
type situation struct {
	now time.Time
	// vouched is set once a leader stood behind the assignments in this life.
	vouched bool
	// presumed is set once the agent goes by what it remembers, since no leader has
	// spoken.
	presumed bool
	// open are the dependencies that keep the desired instance from being started
	// for the first time; hindered says who keeps others from being removed.
	open     []dependency
	hindered map[place][]string
	desired  *desired
	book     book
	retiring []retiree
	actual   []observed
	// usable has an entry for each runtime the agent offers: whether it is
	// known what instances it has, and it may be asked to do something.
	usable   map[string]bool
	patience time.Duration
	// ahead says that the runtime of what is desired can create instances ahead of
	// their start.
	ahead bool
}

type verb uint8

const (
	rest verb = iota
	start
	remove
	create
	adopt
	release
)

// decision is what to do about one workload now.
type decision struct {
	verb  verb
	place place
	// instance is set with verb remove.
	instance *argosyv1.InstanceName
	// reuse is set with verb start when the ended instance shall be started
	// again as it is.
	reuse bool
	// wake is when to decide again though nothing happens; zero: never.
	wake time.Time
	// gone are the retirees of which nothing is left.
	gone []place
	// settled says that all was carried out that was asked for, or waits for what
	// is not this agent's to do.
	settled bool
}

// plan decides. It is a pure function of its argument.
func plan(s situation) decision {
	var d decision
	if s.vouched && s.clear(&d) {
		if !planted.On(planted.EarlyStart) || s.desired == nil || s.book.called && s.now.Sub(s.book.calledAt) >= time.Second {
			return d
		}
		d = decision{gone: d.gone, wake: s.now.Add(time.Second)}
	}
	if s.desired == nil {
		d.settled = s.vouched
		return d
	}
	s.supervise(&d)
	return d
}

// clear removes what is not wanted (any more). It returns true while there is
// something of the kind: nothing is started beside it.
func (s *situation) clear(d *decision) bool {
	blocked := false
	for _, r := range s.retiring {
		usable, offered := s.usable[r.place.runtime]
		exists := find(s.actual, r.place) != nil
		switch {
		case !offered:
			// The agent was started without this runtime: it cannot know more.
			d.gone = append(d.gone, r.place)
		case !usable:
			blocked = true
		case !exists && (r.begun || !r.book.called && !r.book.created):
			d.gone = append(d.gone, r.place)
		case len(s.hindered[r.place]) > 0 && exists:
			blocked = true
		case s.now.Before(r.notBefore):
			blocked = true
			d.wakeAt(r.notBefore)
		case d.verb == rest:
			d.verb, d.place, d.instance = remove, r.place, r.instance
		}
	}
	for _, o := range s.actual {
		if d.verb != rest || s.isDesired(o.place) || s.isRetiring(o.place) {
			continue
		}
		if s.usable[o.place.runtime] {
			d.verb, d.place, d.instance = remove, o.place, o.instance.Name
		} else {
			blocked = true
		}
	}
	if d.verb == remove && s.mayCreate() {
		d.verb, d.place, d.instance = create, s.desired.place, nil
	}
	return blocked || d.verb != rest
}

// mayCreate tells whether the desired instance is to be created before the first of
// those in its way is removed, so that nothing waits for an image then. That is tried
// once, and only for what would be started right after.
func (s *situation) mayCreate() bool {
	if !s.ahead || s.desired == nil || !s.usable[s.desired.place.runtime] || len(s.open) > 0 {
		return false
	}
	if b := &s.book; b.created || b.called || b.seen || find(s.actual, s.desired.place) != nil {
		return false
	}
	return !slices.ContainsFunc(s.retiring, func(r retiree) bool {
		// One that was created ahead in vain is enough.
		return r.begun || r.place == s.desired.place || r.book.created && !r.book.called
	})
}

func (s *situation) isDesired(p place) bool { return s.desired != nil && s.desired.place == p }

func (s *situation) isRetiring(p place) bool {
	for _, r := range s.retiring {
		if r.place == p {
			return true
		}
	}
	return false
}

// supervise keeps the desired instance as its restart policy wants it.
func (s *situation) supervise(d *decision) {
	usable, offered := s.usable[s.desired.place.runtime]
	if !offered || s.book.invalid != "" {
		d.settled = s.vouched
		return
	}
	if !usable {
		return
	}
	d.settled = s.vouched && s.book.seen
	o := find(s.actual, s.desired.place)
	policy := s.desired.workload.GetRestartPolicy()
	switch {
	case s.waits():
		d.settled = s.vouched
	case s.book.attempts > 0 || o == nil && !s.book.seen:
		s.begin(d, o != nil, false)
	case s.book.left && !s.book.seen:
		// It is there, but nothing of it runs: no more than remembered.
		s.begin(d, false, s.book.leftCode == 0)
	case o == nil:
		if s.book.wantsRestart(policy) {
			s.begin(d, false, false)
		}
	case o.instance.Status == runtime.StatusStarting:
		s.nudge(d)
	case o.instance.Status == runtime.StatusRunning:
		s.takeUp(d)
	case o.instance.Status == runtime.StatusExited:
		if s.book.wantsRestart(policy) {
			s.begin(d, true, s.book.exited && s.book.exitCode == 0)
		}
	}
}

// waits tells whether the instance is not to be started yet.
func (s *situation) waits() bool {
	if len(s.open) == 0 {
		return false
	}
	o := find(s.actual, s.desired.place)
	return o == nil || s.unstarted(o) || s.book.left && o.instance.Status == runtime.StatusExited
}

// unstarted tells whether the instance was created, in this life or in an earlier one,
// and nothing more.
func (s *situation) unstarted(o *observed) bool {
	return o.instance.Status == runtime.StatusStarting && !s.book.called && !s.book.seen
}

// awaits returns the names of those whose states the decision about a workload
// depends on.
func (s *situation) awaits(workload string) []string {
	var names []string
	for _, d := range s.open {
		names = append(names, d.name)
	}
	for _, active := range s.hindered {
		names = append(append(names, active...), workload)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// begin starts the instance as soon as its back-off allows.
func (s *situation) begin(d *decision, exists, reuse bool) {
	if !s.vouched && !s.mayPresume() && !exists && !s.book.here {
		// Only remembered: whether it is still wanted here, and nowhere else,
		// a leader must say.
		return
	}
	if s.now.Before(s.book.notBefore) {
		d.wakeAt(s.book.notBefore)
		return
	}
	d.verb, d.place, d.reuse = start, s.desired.place, reuse
}

// mayPresume tells whether the instance may be started though no leader has spoken.
// Not while an older one may be there, which is not removed before that: its runtime
// may have started it with the machine, or do so yet.
func (s *situation) mayPresume() bool {
	older := func(r retiree) bool {
		usable, offered := s.usable[r.place.runtime]
		return offered && (!usable || find(s.actual, r.place) != nil)
	}
	return s.presumed && !slices.ContainsFunc(s.retiring, older) &&
		!slices.ContainsFunc(s.actual, func(o observed) bool { return !s.isDesired(o.place) })
}

// takeUp has what serves the instance taken up from an earlier life of the agent.
func (s *situation) takeUp(d *decision) {
	switch {
	case s.book.prepared || !s.desired.workload.HasControlInterface():
	case s.now.Before(s.book.adoptAt):
		d.wakeAt(s.book.adoptAt)
	default:
		d.verb, d.place = adopt, s.desired.place
	}
}

// nudge starts an instance that was created and does not come to run: its
// creator died in between, or the runtime lost it on the way.
func (s *situation) nudge(d *decision) {
	if !s.vouched && !s.mayPresume() {
		return
	}
	if s.book.called {
		if patient := s.book.calledAt.Add(s.patience); s.now.Before(patient) {
			d.wakeAt(patient)
			return
		}
	}
	d.verb, d.place = start, s.desired.place
}

func (d *decision) wakeAt(t time.Time) {
	if d.wake.IsZero() || t.Before(d.wake) {
		d.wake = t
	}
}
