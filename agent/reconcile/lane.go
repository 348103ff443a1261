package reconcile

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// errSuperseded is the cause with which a start or a creation is cut off whose
// workload is not wanted any more.
var errSuperseded = errors.New("superseded")

// operation is one call of a runtime or of the preparer for one slot. While it is
// in flight the slot starts no other.
type operation struct {
	slot     *slot
	host     *host
	verb     verb
	place    place
	instance *argosyv1.InstanceName
	workload *argosyv1.Workload
	reuse    bool
	// seq is the order in which it began.
	seq    uint64
	cancel context.CancelCauseFunc
	lanes  *lanes
	// prepared is set once what the instance is shown was made.
	prepared bool
	// slow is set when it does not count against the limit any more.
	slow  bool
	timer *time.Timer
}

// lanes bounds the operations of one kind at one runtime, and keeps those that
// wait in order.
type lanes struct {
	busy, slow int
	waiting    []*slot
}

func (l *lanes) free(limit, bound int) bool { return l.busy < limit && l.busy+l.slow < bound }

// next returns the slot that has waited longest; nil when none waits.
func (l *lanes) next() *slot {
	for len(l.waiting) > 0 {
		s := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		// One that came to want something else has queued there.
		if s.queued == l {
			s.queued = nil
			return s
		}
	}
	l.waiting = nil
	return nil
}

func (l *lanes) forget() {
	for l.next() != nil {
	}
}

// starts tells whether it works on the desired instance; a creation is half a start,
// and counts as one.
func (v verb) starts() bool { return v == start || v == create }

func (m *Manager) lanesOf(h *host, v verb) (*lanes, int) {
	if v.starts() {
		return &h.starts, m.cfg.Starts
	}
	return &h.removes, m.cfg.Removals
}

// execute begins what was decided, or queues the slot until there is room; it
// decides anew then.
func (m *Manager) execute(s *slot, d decision) {
	h := m.hosts[d.place.runtime]
	l, limit := m.lanesOf(h, d.verb)
	if s.queued == l {
		return
	}
	if !l.free(limit, m.cfg.Operations) || len(l.waiting) > 0 && !s.turn {
		s.queued = l
		l.waiting = append(l.waiting, s)
		return
	}
	s.queued = nil
	m.seq++
	ctx, cancel := context.WithCancelCause(m.work)
	op := &operation{
		slot: s, host: h, verb: d.verb, place: d.place, instance: d.instance,
		reuse: d.reuse, seq: m.seq, cancel: cancel, lanes: l,
	}
	s.lane = op
	l.busy++
	op.timer = time.AfterFunc(m.cfg.SlowAfter, func() { m.slowed(op) })
	switch op.verb {
	case start:
		op.workload = s.desired.workload
		s.book.call(time.Now())
		m.tell(s)
	case create:
		op.workload = s.desired.workload
		s.book.created = true
	default:
		m.removing(s, op)
	}
	m.settle(s, false)
	m.jobs.Go(func() {
		defer cancel(nil)
		var instance runtime.Instance
		var err error
		if op.verb.starts() {
			instance, err = m.launch(ctx, op)
		} else {
			err = h.runtime.Remove(ctx, op.instance)
		}
		cut := err != nil && ctx.Err() != nil
		m.mu.Lock()
		defer m.mu.Unlock()
		m.finish(op, instance, err, cut)
	})
}

// removing marks the instance as on its way out.
func (m *Manager) removing(s *slot, op *operation) {
	r := s.retiree(op.place)
	if r == nil {
		// Found, not assigned (any more).
		s.retiring = append(s.retiring, retiree{place: op.place, instance: op.instance})
		r = &s.retiring[len(s.retiring)-1]
		m.recorder.Leaving(assignments.Leaving{Runtime: op.place.runtime, Instance: op.instance})
	}
	r.begun = true
	m.tellStopping(s, r)
}

func (m *Manager) tellStopping(s *slot, r *retiree) {
	m.publish(s, r.place.key, r.instance, stopping(r, find(s.actual, r.place)))
}

// slowed gives the place of an operation that waits for something to another.
func (m *Manager) slowed(op *operation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if op.slot.lane != op {
		return
	}
	op.slow = true
	op.lanes.busy--
	op.lanes.slow++
	m.admit(op.host)
}

// admit lets those in who wait, as far as there is room.
func (m *Manager) admit(h *host) {
	for _, v := range []verb{start, remove} {
		l, limit := m.lanesOf(h, v)
		for m.running && m.usable[h.name] && l.free(limit, m.cfg.Operations) {
			s := l.next()
			if s == nil {
				break
			}
			s.turn = true
			m.decide(s)
			s.turn = false
		}
	}
}

// finish takes the result of an operation; cut says that it was cut off.
func (m *Manager) finish(op *operation, instance runtime.Instance, err error, cut bool) {
	s := op.slot
	op.timer.Stop()
	if op.slow {
		op.lanes.slow--
	} else {
		op.lanes.busy--
	}
	s.lane = nil
	m.seq++
	switch {
	case cut:
		// Nothing is known of it but that it is not wanted, or that the agent
		// ends.
	case unavailable(err):
		if m.usable[op.host.name] {
			op.host.strikes++
			m.lose(op.host, err)
			m.listAfter(op.host, min(ceiling(op.host.strikes), m.cfg.Resync))
		}
	case op.verb == start:
		op.host.strikes = 0
		m.started(op, instance, err)
	case op.verb == create:
		op.host.strikes = 0
		m.created(op, instance, err)
	default:
		op.host.strikes = 0
		m.removed(op, err)
	}
	if o := find(s.actual, op.place); op.verb == start && err != nil && o != nil && o.seq > op.seq && s.wanted(op.place) {
		// It may have come to run all the same.
		m.note(s, o.instance)
	}
	m.decide(s)
	m.admit(op.host)
	m.converge()
}

// started takes the result of a start.
func (m *Manager) started(op *operation, i runtime.Instance, err error) {
	s := op.slot
	wanted := s.wanted(op.place)
	if wanted && op.prepared {
		s.book.prepared = true
	}
	if err == nil {
		i.Name = argosyv1.InstanceOf(op.workload)
		if o := find(s.actual, op.place); o == nil || o.seq < op.seq || !overtaken(o.instance, i) {
			s.put(op.place, i, m.seq)
		} else {
			i = o.instance
		}
		if wanted {
			s.book.begin(i)
			m.note(s, i)
		}
		return
	}
	if !wanted {
		return
	}
	m.failedToStart(s, err)
}

// created takes the result of a creation ahead of the start. What went wrong with it
// goes wrong again when it is started, and is told then.
func (m *Manager) created(op *operation, i runtime.Instance, err error) {
	s := op.slot
	if op.prepared && s.wanted(op.place) {
		s.book.prepared = true
	}
	if err == nil {
		i.Name = argosyv1.InstanceOf(op.workload)
		if o := find(s.actual, op.place); o == nil || o.seq < op.seq {
			s.put(op.place, i, m.seq)
		}
	} else if !errors.Is(err, errors.ErrUnsupported) {
		m.logger.Warn("could not create instance before the one in its way is removed; trying again after that", "workload", s.name, "error", err)
	}
}

// overtaken tells whether an event that came while Start was under way is newer
// than Start's result: the instance has ended by now.
func overtaken(event, result runtime.Instance) bool {
	return event.RuntimeID == result.RuntimeID && event.Status == runtime.StatusExited &&
		!event.StartedAt.Before(result.StartedAt) && result.Status != runtime.StatusExited
}

// removed takes the result of a removal.
func (m *Manager) removed(op *operation, err error) {
	s := op.slot
	if err == nil || errors.Is(err, runtime.ErrNotFound) {
		s.remove(op.place, "", time.Now(), m.seq)
		m.retired(s, op.place)
		return
	}
	r := s.retiree(op.place)
	if r == nil {
		return
	}
	now := time.Now()
	r.failures++
	r.reason = clean(err.Error())
	r.notBefore = now.Add(retryDelay(r.failures, rand.Float64()))
	m.logger.Warn("could not remove instance; trying again", "workload", s.name, "attempt", r.failures, "after", r.notBefore.Sub(now), "error", err)
	m.tellStopping(s, r)
}
