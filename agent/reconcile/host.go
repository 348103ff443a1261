package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// host is the bookkeeping about one runtime.
type host struct {
	name    string
	runtime runtime.Runtime
	// listing is set while a list is under way, again when another is needed
	// after it.
	listing, again bool
	// asked is set once a list returned, well or not.
	asked bool
	// known is set once a list has told what the runtime has.
	known bool
	// failures counts the lists that failed in a row.
	failures int
	// strikes counts the times in a row that an operation found the runtime
	// unavailable though lists succeed.
	strikes int
	// problem says why the runtime cannot be used; empty when it can.
	problem string
	timer   *time.Timer
	starts  lanes
	removes lanes
}

func (h *host) stopTimer() {
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}

// watch hears of changes until the context ends.
func (m *Manager) watch(ctx context.Context, h *host) {
	for failures := 1; ; failures++ {
		err := h.runtime.Watch(ctx, func(e runtime.Event) { m.event(h, e) })
		if ctx.Err() != nil {
			return
		}
		// It should have gone on by itself. Until it does, the lists see what
		// it misses.
		m.logger.Error("watch of a runtime ended; watching again", "runtime", h.name, "error", err)
		timer := time.NewTimer(min(ceiling(failures), time.Minute))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		m.mu.Lock()
		m.list(h)
		m.mu.Unlock()
	}
}

// list asks a runtime what it has; one list at a time.
func (m *Manager) list(h *host) {
	if !m.running {
		return
	}
	if h.listing {
		h.again = true
		return
	}
	h.stopTimer()
	h.listing, h.again = true, false
	asked := m.seq
	m.jobs.Go(func() {
		ctx, cancel := context.WithTimeout(m.looking, m.cfg.ListTimeout)
		defer cancel()
		instances, err := h.runtime.List(ctx)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.listed(h, instances, err, asked)
	})
}

// listed takes the answer of a runtime that was asked at seq asked.
func (m *Manager) listed(h *host, instances []runtime.Instance, err error, asked uint64) {
	h.listing = false
	if !m.running {
		return
	}
	if !h.asked {
		h.asked = true
		if m.toList--; m.toList == 0 {
			defer close(m.ready)
		}
	}
	if err != nil {
		m.lose(h, fmt.Errorf("list instances: %w", err))
		h.failures++
		m.listAfter(h, min(ceiling(h.failures), m.cfg.Resync))
		return
	}
	h.failures = 0
	back := !m.usable[h.name]
	if back {
		m.logger.Info("runtime is usable", "runtime", h.name, "instances", len(instances))
	}
	m.usable[h.name], h.problem = true, ""
	changed := m.merge(h, instances, asked)
	m.sweep(h)
	if back {
		m.decideAll()
	} else {
		for s := range changed {
			m.decide(s)
		}
	}
	m.converge()
	if h.again {
		m.list(h)
		return
	}
	// Agents that were started together shall not list together.
	m.listAfter(h, m.cfg.Resync-time.Duration(rand.Float64()*float64(m.cfg.Resync)/5))
}

func (m *Manager) listAfter(h *host, delay time.Duration) {
	h.stopTimer()
	h.timer = time.AfterFunc(delay, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.list(h)
	})
}

// lose takes note that a runtime does not answer: nothing is concluded and
// nothing is done until a list of it succeeds again.
func (m *Manager) lose(h *host, err error) {
	problem := clean(err.Error())
	if h.problem != problem {
		h.problem = problem
		m.logger.Warn("runtime is unavailable; its workloads are left as they are", "runtime", h.name, "error", err)
	}
	if m.usable[h.name] {
		m.usable[h.name] = false
		h.starts.forget()
		h.removes.forget()
	}
}

// merge compares a list with what is known; it returns the slots that changed.
func (m *Manager) merge(h *host, instances []runtime.Instance, asked uint64) map[*slot]struct{} {
	m.seq++
	now := time.Now()
	changed := make(map[*slot]struct{})
	listed := make(map[place]struct{}, len(instances))
	for _, i := range instances {
		if i.Name.GetAgent() != m.cfg.Agent || i.Name.GetWorkload() == "" {
			continue
		}
		s := m.slot(i.Name.GetWorkload())
		p := place{runtime: h.name, key: i.Name.Key()}
		listed[p] = struct{}{}
		if s.newer(p, asked) {
			continue
		}
		o := find(s.actual, p)
		if o == nil || o.instance.Status != i.Status || o.instance.ExitCode != i.ExitCode || !runOf(o.instance).same(runOf(i)) {
			changed[s] = struct{}{}
		}
		m.saw(s, p, i)
	}
	for _, s := range m.slots {
		for _, o := range slices.Clone(s.actual) {
			if _, there := listed[o.place]; there || o.place.runtime != h.name || s.newer(o.place, asked) {
				continue
			}
			m.missed(s, o.place, o.instance.Name, o.instance.RuntimeID, now)
			changed[s] = struct{}{}
		}
		if s.bury(h.name, asked) {
			changed[s] = struct{}{}
		}
	}
	return changed
}

// newer tells whether something was learned of an instance after seq asked, or
// is just being done to it.
func (s *slot) newer(p place, asked uint64) bool {
	if s.busy(p) {
		return true
	}
	if o := find(s.actual, p); o != nil && o.seq > asked {
		return true
	}
	t := s.tomb(p)
	return t != nil && t.seq > asked
}

// busy tells whether a runtime is doing something to an instance.
func (s *slot) busy(p place) bool { return s.lane != nil && s.lane.host != nil && s.lane.place == p }

// bury forgets tombstones that a later list has confirmed.
func (s *slot) bury(runtimeName string, asked uint64) bool {
	kept := s.tombs[:0]
	for _, t := range s.tombs {
		if t.place.runtime != runtimeName || t.seq > asked {
			kept = append(kept, t)
		}
	}
	buried := len(kept) < len(s.tombs)
	s.tombs = kept
	return buried
}

// event takes news from a runtime.
func (m *Manager) event(h *host, e runtime.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running {
		return
	}
	if e.Resync {
		m.list(h)
		return
	}
	i := e.Instance
	if i.Name.GetAgent() != m.cfg.Agent || i.Name.GetWorkload() == "" {
		return
	}
	s := m.slot(i.Name.GetWorkload())
	p := place{runtime: h.name, key: i.Name.Key()}
	if !s.stale(p, e) {
		m.seq++
		if e.Gone {
			m.missed(s, p, i.Name, i.RuntimeID, time.Now())
		} else {
			m.saw(s, p, i)
		}
	}
	m.decide(s)
	m.converge()
}

// stale tells whether an event is about an instance that has made way for
// another, or was removed.
func (s *slot) stale(p place, e runtime.Event) bool {
	i := e.Instance
	o := find(s.actual, p)
	if o == nil {
		t := s.tomb(p)
		return e.Gone || t != nil && t.runtimeID == i.RuntimeID && !i.StartedAt.After(t.at)
	}
	if o.instance.RuntimeID != "" && i.RuntimeID != "" && o.instance.RuntimeID != i.RuntimeID {
		// Of the one before, unless it says that it was started later.
		ended := e.Gone || i.Status == runtime.StatusExited || i.Status == runtime.StatusStopping
		return ended && !i.StartedAt.After(o.instance.StartedAt)
	}
	if i.Status == runtime.StatusStarting && o.instance.Status == runtime.StatusRunning {
		// Nothing goes back to being created without having ended.
		return !e.Gone
	}
	return !e.Gone && !i.StartedAt.IsZero() && i.StartedAt.Before(o.instance.StartedAt)
}

// saw takes note that an instance is there.
func (m *Manager) saw(s *slot, p place, i runtime.Instance) {
	s.put(p, i, m.seq)
	// While it is being started, the result of that is what counts.
	if s.wanted(p) && !s.busy(p) {
		m.note(s, i)
	}
}

// missed takes note that an instance is not there (any more).
func (m *Manager) missed(s *slot, p place, name *argosyv1.InstanceName, runtimeID string, now time.Time) {
	s.remove(p, runtimeID, now, m.seq)
	switch {
	case s.wanted(p) && !s.busy(p):
		s.book.vanish(now, m.cfg.pace(), rand.Float64())
	case !s.wanted(p) && s.retiree(p) == nil && !s.beside(p):
		m.vanished(s, p, name)
	}
}

func unavailable(err error) bool { return errors.Is(err, runtime.ErrUnavailable) }
