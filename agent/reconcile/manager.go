package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/agent/assignments"
	"github.com/argosy-cluster/argosy/agent/runtime"
	"github.com/argosy-cluster/argosy/planted"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Manager makes what runs equal to what is assigned.
type Manager struct {
	cfg      Config
	logger   *slog.Logger
	recorder Recorder
	// neighbours are what is known of workloads that others run.
	neighbours Neighbours
	preparer   Preparer
	journal    *Journal
	ready      chan struct{}

	mu    sync.Mutex
	hosts map[string]*host
	// usable mirrors hosts for the planner.
	usable map[string]bool
	slots  map[string]*slot
	// awaiting are the slots that wait for a workload; stirred are the workloads of
	// which something has become since they were last looked at.
	awaiting map[string]map[*slot]struct{}
	stirred  map[string]struct{}
	// seq orders what was learned: an answer that was asked for at seq n says
	// nothing against what was learned later.
	seq     uint64
	vouched bool
	// presumed is set once the agent goes by what it remembers.
	presumed bool
	// born is when this life began.
	born      time.Time
	revision  uint64
	unsettled int
	running   bool
	// toList counts the runtimes that were not asked yet what they have.
	toList int
	// unknown counts those that have not told it yet.
	unknown int
	// work is the context of operations; it outlives looking, that of Run and
	// of lists, by StopGrace.
	work, looking context.Context
	jobs          sync.WaitGroup
}

// New makes a manager for runtimes. It starts nothing. A nil recorder remembers
// nothing.
func New(cfg Config, runtimes []runtime.Runtime, recorder Recorder) (*Manager, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if recorder == nil {
		recorder = forgetful{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Neighbours == nil {
		cfg.Neighbours = alone{}
	}
	if cfg.Preparer == nil {
		cfg.Preparer = bare{}
	}
	m := &Manager{
		cfg:        cfg,
		logger:     cfg.Logger,
		recorder:   recorder,
		journal:    newJournal(cfg.QueueLimit),
		ready:      make(chan struct{}),
		hosts:      make(map[string]*host),
		usable:     make(map[string]bool),
		slots:      make(map[string]*slot),
		awaiting:   make(map[string]map[*slot]struct{}),
		stirred:    make(map[string]struct{}),
		born:       time.Now(),
		neighbours: cfg.Neighbours,
		preparer:   cfg.Preparer,
		toList:     len(runtimes),
		unknown:    len(runtimes),
	}
	for _, rt := range runtimes {
		name := rt.Info(context.Background()).GetName()
		if name == "" || m.hosts[name] != nil {
			return nil, fmt.Errorf("reconcile: two runtimes are named %q: %w", name, ErrConfig)
		}
		m.hosts[name] = &host{name: name, runtime: rt}
		m.usable[name] = false
	}
	return m, nil
}

// Run works until the context ends. What runs goes on running then.
func (m *Manager) Run(ctx context.Context) error {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)

	m.mu.Lock()
	m.work, m.looking, m.running = work, ctx, true
	if m.toList == 0 {
		close(m.ready)
	}
	var watchers sync.WaitGroup
	for _, h := range m.hosts {
		watchers.Go(func() { m.watch(ctx, h) })
		m.list(h)
	}
	m.mu.Unlock()
	presume := m.presumeLater()

	<-ctx.Done()
	if presume != nil {
		presume.Stop()
	}
	m.mu.Lock()
	m.running = false
	for _, h := range m.hosts {
		h.stopTimer()
	}
	for _, s := range m.slots {
		s.stopTimer()
	}
	m.mu.Unlock()

	grace := time.AfterFunc(m.cfg.StopGrace, func() { cancel(context.Cause(ctx)) })
	watchers.Wait()
	m.jobs.Wait()
	grace.Stop()
	return nil
}

// presumeLater has the agent go by what it remembers when the machine was started
// anew and no leader has spoken for a while. That is safe: what an agent is said
// to have is started nowhere else before it has said that it is gone.
func (m *Manager) presumeLater() *time.Timer {
	if !m.cfg.Rebooted || m.cfg.PresumeAfter == 0 {
		return nil
	}
	return time.AfterFunc(m.cfg.PresumeAfter, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.vouched || !m.running {
			return
		}
		m.logger.Warn("no leader has spoken since the machine was started; starting what was last assigned", "after", m.cfg.PresumeAfter, "workloads", len(m.slots))
		m.presumed = true
		m.decideAll()
		m.converge()
	})
}

// Ready is closed once every runtime was asked what it has, or failed to
// answer: from then on a full report says something.
func (m *Manager) Ready() <-chan struct{} { return m.ready }

// Journal returns what there is to tell of the instances.
func (m *Manager) Journal() *Journal { return m.journal }

// Apply takes a change of what shall run.
func (m *Manager) Apply(change assignments.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	vouches := change.Vouched && !m.vouched
	m.vouched = m.vouched || change.Vouched
	m.revision = change.Revision
	var touched []*slot
	for _, l := range change.Leaving {
		s := m.slot(l.Instance.GetWorkload())
		m.resume(s, l)
		touched = append(touched, s)
	}
	for _, name := range change.Removals {
		if s := m.slots[name]; s != nil {
			m.want(s, nil, false)
			touched = append(touched, s)
		}
	}
	upserted := make(map[string]struct{}, len(change.Upserts))
	for _, w := range change.Upserts {
		if w.GetAgent() != m.cfg.Agent {
			m.logger.Error("refused a workload that names another agent", "workload", w.GetName(), "agent", w.GetAgent())
			continue
		}
		s := m.slot(w.GetName())
		m.want(s, w, change.Started[w.GetName()])
		touched = append(touched, s)
		upserted[w.GetName()] = struct{}{}
	}
	if change.Full && !planted.On(planted.Orphan) {
		for name, s := range m.slots {
			if _, there := upserted[name]; !there {
				m.want(s, nil, false)
				touched = append(touched, s)
			}
		}
	}
	for _, s := range touched {
		m.decide(s)
	}
	if vouches {
		m.decideAll()
	}
	m.converge()
}

// Confirm says that a leader vouches for the assignments as they are.
func (m *Manager) Confirm() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.vouched {
		m.vouched = true
		m.decideAll()
	} else if planted.On(planted.NewBroom) {
		for _, name := range slices.Collect(maps.Keys(m.slots)) {
			m.renew(m.slots[name])
		}
	}
	m.converge()
}

// renew removes what a slot has and makes it anew.
func (m *Manager) renew(s *slot) {
	if s == nil || s.desired == nil {
		return
	}
	w := s.desired.workload
	m.want(s, nil, false)
	m.decide(s)
	s = m.slot(s.name)
	m.want(s, w, false)
	m.decide(s)
}

// Runtimes tells the runtimes as they are now.
func (m *Manager) Runtimes(ctx context.Context) []*argosyv1.RuntimeInfo {
	m.mu.Lock()
	hosts := make([]*host, 0, len(m.hosts))
	problems := make(map[string]string)
	for name, h := range m.hosts {
		hosts = append(hosts, h)
		problems[name] = h.problem
	}
	m.mu.Unlock()
	slices.SortFunc(hosts, func(a, b *host) int { return strings.Compare(a.name, b.name) })
	infos := make([]*argosyv1.RuntimeInfo, 0, len(hosts))
	for _, h := range hosts {
		info := h.runtime.Info(ctx)
		problem := info.GetProblem()
		if problem == "" {
			problem = problems[h.name]
		}
		infos = append(infos, &argosyv1.RuntimeInfo{Name: h.name, Version: clean(info.GetVersion()), Problem: clean(problem)})
	}
	return infos
}

// Locate returns the runtime that has an instance, for reading its logs.
func (m *Manager) Locate(name *argosyv1.InstanceName) (runtime.LogReader, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.slots[name.GetWorkload()]
	if s == nil {
		return nil, false
	}
	key := name.Key()
	for _, o := range s.actual {
		if o.place.key == key {
			return m.hosts[o.place.runtime].runtime, true
		}
	}
	return nil, false
}

func (m *Manager) slot(name string) *slot {
	s := m.slots[name]
	if s == nil {
		s = &slot{name: name, settled: true}
		m.slots[name] = s
	}
	return s
}

// note brings the book up to date with the desired instance as it is now.
func (m *Manager) note(s *slot, i runtime.Instance) {
	if m.cfg.Rebooted && i.Status == runtime.StatusExited && !m.sinceBorn(i.StartedAt) && !s.book.called && !s.book.here {
		// It ended with the machine, or before: what the policy says about an end
		// does not apply, it is to be started again.
		s.book.left, s.book.leftCode = true, i.ExitCode
		return
	}
	seen := s.book.seen
	s.book.observe(i, time.Now(), m.cfg.pace(), rand.Float64())
	if s.book.seen && !seen {
		m.recorder.Started(s.desired.workload)
	}
}

// sinceBorn tells whether a time of day lies within this life. It goes by how long ago
// that was: the clock may have begun in the past with the machine, and been set since.
func (m *Manager) sinceBorn(at time.Time) bool {
	ago := time.Now().Round(0).Sub(at)
	return ago >= 0 && ago < time.Since(m.born)
}

// situation gathers what the planner looks at.
func (m *Manager) situation(s *slot) situation {
	var open []dependency
	if s.desired != nil && !s.book.seen && s.book.attempts == 0 {
		open = m.unmet(s.desired.workload)
	}
	return situation{
		now: time.Now(), vouched: m.vouched, presumed: m.presumed, open: open, hindered: m.hindered(s), desired: s.desired, book: s.book,
		retiring: s.retiring, actual: s.actual, usable: m.usable, patience: m.cfg.StartingPatience,
		ahead: m.createsAhead(s),
	}
}

// createsAhead tells whether what is desired can be created ahead of its start.
func (m *Manager) createsAhead(s *slot) bool {
	if s.desired == nil {
		return false
	}
	h := m.hosts[s.desired.place.runtime]
	if h == nil {
		return false
	}
	_, ok := h.runtime.(runtime.Creator)
	return ok
}

func (m *Manager) decideAll() {
	for _, s := range m.slots {
		m.decide(s)
	}
}

// decide tells the state of a slot and does the next thing about it.
func (m *Manager) decide(s *slot) {
	if s.lane != nil {
		m.tell(s)
		m.settle(s, false)
		return
	}
	at := m.situation(s)
	m.await(s, at.awaits(s.name))
	d := plan(at)
	for _, p := range d.gone {
		m.retired(s, p)
	}
	m.tell(s)
	m.settle(s, d.settled)
	s.stopTimer()
	switch {
	case !m.running:
	case len(s.releases) > 0:
		m.release(s)
	case d.verb == adopt:
		m.adopt(s, d.place)
	case d.verb != rest:
		m.execute(s, d)
	case !d.wake.IsZero():
		s.timer = time.AfterFunc(time.Until(d.wake), func() { m.wake(s) })
	}
	m.collect(s)
}

func (m *Manager) wake(s *slot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.slots[s.name] == s && m.running {
		m.decide(s)
		m.converge()
	}
}

func (m *Manager) settle(s *slot, settled bool) {
	if s.settled == settled {
		return
	}
	s.settled = settled
	if settled {
		m.unsettled--
	} else {
		m.unsettled++
	}
}

// converge comes last in whatever changes slots.
func (m *Manager) converge() {
	m.ripple()
	if m.vouched && m.unsettled == 0 {
		m.journal.converge(m.revision)
	}
}

func (m *Manager) collect(s *slot) {
	if s.empty() && m.slots[s.name] == s {
		m.settle(s, true)
		s.stopTimer()
		m.await(s, nil)
		delete(m.slots, s.name)
	}
}

func (s *slot) stopTimer() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// beside tells whether another runtime has an instance of the same name.
func (s *slot) beside(p place) bool {
	return slices.ContainsFunc(s.actual, func(o observed) bool { return o.place != p && o.place.key == p.key })
}

func (s *slot) retiringKey(key string) bool {
	return slices.ContainsFunc(s.retiring, func(r retiree) bool { return r.place.key == key })
}
