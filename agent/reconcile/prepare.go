package reconcile

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/argosy-cluster/argosy/agent/runtime"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Preparer makes what instances are shown of the host, beside what their runtimes
// make. No two calls for one instance are under way at once.
type Preparer interface {
	// Prepare makes everything for an instance that is about to be started, and
	// tells what to mount. It is called before each start, and before an instance is
	// created ahead of that. A *runtime.FileError tells of a file.
	Prepare(ctx context.Context, workload *argosyv1.Workload) ([]runtime.Mount, error)
	// Adopt takes up what serves an instance that an earlier life of the agent
	// has started and that runs.
	Adopt(ctx context.Context, workload *argosyv1.Workload) error
	// Release removes what was made for an instance, which is gone.
	Release(ctx context.Context, instance *argosyv1.InstanceName) error
	// Sweep removes what earlier lives made for other instances than those that
	// are to be kept, once all runtimes have told what they have.
	Sweep(ctx context.Context, keep []*argosyv1.InstanceName) error
}

// bare prepares nothing.
type bare struct{}

func (bare) Prepare(context.Context, *argosyv1.Workload) ([]runtime.Mount, error) { return nil, nil }
func (bare) Adopt(context.Context, *argosyv1.Workload) error                      { return nil }
func (bare) Release(context.Context, *argosyv1.InstanceName) error                { return nil }
func (bare) Sweep(context.Context, []*argosyv1.InstanceName) error                { return nil }

// shows tells whether anything is prepared for the instances of a workload.
func shows(w *argosyv1.Workload) bool { return len(w.GetFiles()) > 0 || w.HasControlInterface() }

// launch prepares an instance and starts it, or creates it ahead of its start.
func (m *Manager) launch(ctx context.Context, op *operation) (i runtime.Instance, err error) {
	options := runtime.StartOptions{Reuse: op.reuse}
	if shows(op.workload) {
		if options.Mounts, err = m.preparer.Prepare(ctx, op.workload); err != nil {
			return i, err
		}
		op.prepared = true
	}
	if op.verb == create {
		creator, ok := op.host.runtime.(runtime.Creator)
		if !ok {
			return i, errors.ErrUnsupported
		}
		return creator.Create(ctx, op.workload, options)
	}
	return op.host.runtime.Start(ctx, op.workload, options)
}

// aside does what no runtime has a part in, in the lane of the slot: neither is
// the instance started or removed meanwhile.
func (m *Manager) aside(s *slot, verb verb, p place, do func(context.Context) error) {
	ctx, cancel := context.WithCancelCause(m.work)
	m.seq++
	op := &operation{slot: s, verb: verb, place: p, seq: m.seq, cancel: cancel}
	s.lane = op
	m.settle(s, false)
	m.jobs.Go(func() {
		defer cancel(nil)
		err := do(ctx)
		m.mu.Lock()
		defer m.mu.Unlock()
		s.lane = nil
		if verb == adopt {
			m.adopted(s, p, err)
		} else if err != nil {
			m.logger.Warn("could not remove what an instance was shown; that is tried again when the agent is started", "workload", s.name, "error", err)
		}
		m.decide(s)
		m.converge()
	})
}

// adopt takes up what serves an instance that is found running.
func (m *Manager) adopt(s *slot, p place) {
	w := s.desired.workload
	m.aside(s, adopt, p, func(ctx context.Context) error { return m.preparer.Adopt(ctx, w) })
}

// release removes what was made for an instance that is gone.
func (m *Manager) release(s *slot) {
	name := s.releases[0]
	s.releases = s.releases[1:]
	m.aside(s, release, place{key: name.Key()}, func(ctx context.Context) error { return m.preparer.Release(ctx, name) })
}

// adopted takes the result of an adoption.
func (m *Manager) adopted(s *slot, p place, err error) {
	switch {
	case !s.wanted(p):
	case err == nil:
		s.book.prepared = true
	default:
		now := time.Now()
		s.book.adoptions++
		s.book.adoptAt = now.Add(retryDelay(s.book.adoptions, rand.Float64()))
		m.logger.Warn("could not take up what serves a running instance; trying again", "workload", s.name, "attempt", s.book.adoptions, "after", s.book.adoptAt.Sub(now), "error", err)
	}
}

// sweep removes what earlier lives have left, as soon as it is known what there
// is.
func (m *Manager) sweep(h *host) {
	if h.known {
		return
	}
	h.known = true
	if m.unknown--; m.unknown > 0 {
		return
	}
	var keep []*argosyv1.InstanceName
	for _, s := range m.slots {
		if s.desired != nil {
			keep = append(keep, s.desired.instance)
		}
		for _, o := range s.actual {
			keep = append(keep, o.instance.Name)
		}
		for _, r := range s.retiring {
			keep = append(keep, r.instance)
		}
	}
	m.jobs.Go(func() {
		if err := m.preparer.Sweep(m.work, keep); err != nil {
			m.logger.Warn("could not remove all that an earlier life has left; that is tried again when the agent is started", "error", err)
		}
	})
}

// failedToStart takes note of a start that failed.
func (m *Manager) failedToStart(s *slot, err error) {
	now := time.Now()
	text, file := err, ""
	failed, isFile := errors.AsType[*runtime.FileError](err)
	if isFile {
		text, file = failed.Err, failed.Path
	}
	if errors.Is(err, runtime.ErrInvalidConfig) || isFile && failed.Permanent {
		s.book.invalid, s.book.file = clean(text.Error()), clean(file)
		m.logger.Warn("instance cannot be created as it is written", "workload", s.name, "error", err)
		return
	}
	s.book.failed(clean(text.Error()), clean(file), now, rand.Float64())
	m.logger.Warn("could not start instance; trying again", "workload", s.name, "attempt", s.book.attempts, "after", s.book.notBefore.Sub(now), "error", err)
}
