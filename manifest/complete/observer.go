package complete

import (
	"time"

	"github.com/argosy-cluster/argosy/manifest/mask"
	"github.com/argosy-cluster/argosy/manifest/tree"
	"github.com/argosy-cluster/argosy/planted"
)

// Event is what has changed of the state since the event before.
type Event struct {
	// Number counts the events of one observer, from 1.
	Number uint64
	// Revision is that up to which desired state is in it.
	Revision uint64
	// Time is when the server came to know of it, by its clock; the beginning of
	// Unix time when it does not say.
	Time time.Time
	// Current is set in the first event, which is no change but the state itself.
	Current bool
	// Restarted tells that the watch had to start again from a snapshot since the
	// event before: the changes are those of then and now together, and what came
	// and went between them is not known.
	Restarted bool
	// Changes are the differences, and the part of the state that they are in.
	*mask.Changes
}

// Observer turns the states that a mirror goes through into events. What it has
// told outlives the mirror's snapshots: no change is told twice, and none that
// stays is missed.
type Observer struct {
	masks     *mask.Set
	told      *tree.Node
	number    uint64
	life      uint64
	restarted bool
}

// NewObserver returns an observer of what masks select.
func NewObserver(masks *mask.Set) *Observer { return &Observer{masks: masks} }

// Look compares the mirror with what was told before, and returns nil when there is
// nothing to tell. The mirror must be whole.
func (o *Observer) Look(m *Mirror) *Event {
	now := m.Tree()
	event := &Event{Revision: m.revision, Time: m.time}
	if o.told != nil && o.life != m.lives && planted.On(planted.LostEvent) {
		o.told = now
	}
	if o.told == nil {
		event.Current, event.Changes = true, &mask.Changes{State: mask.Filter(now, o.masks)}
	} else {
		o.restarted = o.restarted || o.life != m.lives
		event.Changes = mask.Diff(o.told, now, o.masks)
	}
	o.told, o.life = now, m.lives
	if !event.Current && event.None() {
		return nil
	}
	o.number++
	event.Number, event.Restarted, o.restarted = o.number, o.restarted, false
	return event
}
