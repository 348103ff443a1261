package reconcile

import (
	"github.com/argosy-cluster/argosy/agent/assignments"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// want changes what a slot is to run; nil means nothing.
func (m *Manager) want(s *slot, w *argosyv1.Workload, started bool) {
	switch {
	case s.desired == nil && w == nil:
		return
	case s.desired != nil && w != nil && assignments.Same(s.desired.workload, w):
		// Tags and restart policy count from the next decision on.
		s.desired.workload = w
		return
	}
	if old := s.desired; old != nil {
		m.retire(s, old)
	}
	s.desired, s.book = nil, book{}
	if w == nil {
		m.neighbours.Forget(s.name)
		return
	}
	s.desired = desire(w)
	m.journal.expect(s.desired.place.key, s.desired.instance)
	s.book.seen, s.book.owed = started, started
	if r := s.retiree(s.desired.place); r != nil {
		if r.begun || r.workload == nil || !assignments.Same(r.workload, w) {
			return
		}
		// Wanted again before its removal began.
		s.book = r.book
		s.drop(s.desired.place)
		m.recorder.Left(assignments.Leaving{Runtime: s.desired.place.runtime, Instance: s.desired.instance})
	}
	if o := find(s.actual, s.desired.place); o != nil {
		m.note(s, o.instance)
	}
}

// retire hands the desired instance over to removal.
func (m *Manager) retire(s *slot, old *desired) {
	if s.lane != nil && s.lane.verb.starts() && s.lane.place == old.place {
		// It may be waiting for an image for minutes. What it has made by now
		// is removed after it has returned.
		s.lane.cancel(errSuperseded)
	}
	if s.retiree(old.place) != nil {
		// Deleted, made again, and deleted again while being removed.
		return
	}
	dependents := m.neighbours.Dependents(s.name)
	s.retiring = append(s.retiring, retiree{
		place: old.place, instance: old.instance, workload: old.workload, book: s.book, dependents: dependents,
	})
	if s.book.called || s.book.created || s.book.seen || find(s.actual, old.place) != nil {
		m.recorder.Leaving(assignments.Leaving{Runtime: old.place.runtime, Instance: old.instance, Dependents: dependents})
	}
}

// resume goes on with a removal of an earlier life.
func (m *Manager) resume(s *slot, l assignments.Leaving) {
	p := place{runtime: l.Runtime, key: l.Instance.Key()}
	if l.Instance.GetAgent() != m.cfg.Agent || s.retiree(p) != nil {
		return
	}
	// Of one that had to wait for others it is not known whether it still had to.
	waits := len(l.Dependents) > 0
	s.retiring = append(s.retiring, retiree{place: p, instance: l.Instance, dependents: l.Dependents, begun: !waits})
	if !waits {
		m.tellStopping(s, s.retiree(p))
	}
}
