package reconcile

import (
	"github.com/argosy-cluster/argosy/agent/assignments"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// tell publishes the states of a slot's instances but of those that are being
// removed.
func (m *Manager) tell(s *slot) {
	for _, o := range s.actual {
		// Nobody asked for it (any more); that it is here must be known all the
		// same, or its workload could be started elsewhere beside it.
		if !s.wanted(o.place) && !s.retiringKey(o.place.key) {
			m.publish(s, o.place.key, o.instance.Name, (&situation{}).ofInstance(o.instance))
		}
	}
	for at := range s.retiring {
		if r := &s.retiring[at]; !r.begun && find(s.actual, r.place) != nil {
			if active := m.inTheWay(s, r); len(active) > 0 {
				m.publish(s, r.place.key, r.instance, waitingToStop(r, find(s.actual, r.place), active))
			}
		}
	}
	if s.desired == nil || s.retiringKey(s.desired.place.key) || s.beside(s.desired.place) {
		return
	}
	starting := s.lane != nil && s.lane.verb == start && s.lane.place == s.desired.place
	if e := show(m.situation(s), starting); e != nil {
		m.publish(s, s.desired.place.key, s.desired.instance, e)
	}
}

func (m *Manager) publish(s *slot, key string, name *argosyv1.InstanceName, e *argosyv1.ExecutionState) {
	if m.journal.set(key, name, e) {
		m.stirred[s.name] = struct{}{}
		m.logger.Info("instance changed state", "workload", s.name, "state", e.Text(), "info", e.GetAdditionalInfo(), "restarts", e.GetRestarts())
	}
}

// retired takes note that a retiree is gone for good.
func (m *Manager) retired(s *slot, p place) {
	if r := s.retiree(p); r != nil {
		name := r.instance
		if r.workload == nil || shows(r.workload) {
			s.releases = append(s.releases, name)
		}
		s.drop(p)
		m.recorder.Left(assignments.Leaving{Runtime: p.runtime, Instance: name})
		m.vanished(s, p, name)
		m.logger.Info("instance was removed", "workload", s.name, "runtime", p.runtime)
	}
}

// vanished tells that an instance is gone that is not the desired one.
func (m *Manager) vanished(s *slot, p place, name *argosyv1.InstanceName) {
	m.journal.removed(p.key, name)
	m.stirred[s.name] = struct{}{}
	if s.desired != nil && s.desired.place.key == p.key {
		m.journal.expect(p.key, s.desired.instance)
	}
}
