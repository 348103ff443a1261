package sessions

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

// manager is what a Service has for one leadership.
type manager struct {
	cfg       Config
	deps      Deps
	log       *slog.Logger
	term      uint64
	lead      *observed.Lead
	registrar Registrar
	roster    *roster
	assigner  *assigner
	changes   *fsm.Subscription
	began     time.Time
	admission *admission
	// beginnings, ended and failed are logged by them.
	beginnings, ended, failed *tally

	ctx    context.Context
	cancel context.CancelCauseFunc
	kicked chan struct{} // holds a token when a deadline was set
	armed  atomic.Bool   // the timer of deadlines runs

	mu       sync.Mutex
	closed   bool
	handlers sync.WaitGroup // calls and their goroutines
}

func newManager(ctx context.Context, s *Service, lead *observed.Lead, leadership Leadership) (*manager, error) {
	view, changes, err := viewAndChanges(s.deps.Machine)
	if err != nil {
		return nil, err
	}
	m := &manager{
		cfg:       s.cfg,
		deps:      s.deps,
		log:       s.log.With("term", leadership.Term),
		term:      leadership.Term,
		lead:      lead,
		registrar: leadership.Registrar,
		changes:   changes,
		began:     time.Now(),
		kicked:    make(chan struct{}, 1),
		admission: newAdmission(s.cfg),
	}
	m.beginnings = &tally{log: m.log, summary: "more agent sessions began"}
	m.ended = &tally{log: m.log, summary: "more agent sessions ended"}
	m.failed = &tally{log: m.log, summary: "more agent sessions were not begun"}
	// Sessions end with the reason that run gives, not with that of ctx.
	m.ctx, m.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	m.roster = newRoster(s.cfg, lead, s.deps.Store.Agents(), m.log, m.kick)
	m.assigner = newAssigner(s.deps.Machine, s.deps.Store, leadership.Registrar, view, leadership.Term, s.cfg, m.log)
	m.assigner.agentDeleted = m.agentDeleted
	m.roster.mayHave = m.assigner.lost
	m.roster.agentLost = func(name string) { m.assigner.ledger.look(name) }
	m.assigner.forgetRemoved()
	return m, nil
}

func viewAndChanges(machine Machine) (*fsm.View, *fsm.Subscription, error) {
	for {
		view := machine.View()
		changes, err := machine.Subscribe(view.Revision())
		if errors.Is(err, fsm.ErrCompacted) {
			continue // more was applied in between than the feed holds
		}
		return view, changes, err
	}
}

// run distributes assignments and watches deadlines until the leadership ends,
// then ends all sessions.
func (m *manager) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.assigner.run(ctx, m.changes) })
	group.Go(func() error { return m.assigner.neighbours.run(ctx) })
	group.Go(func() error { return m.assigner.ledger.run(ctx) })
	group.Go(func() error { m.assigner.learn(); return nil })
	group.Go(func() error { return m.watchDeadlines(ctx) })
	err := group.Wait()

	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel(argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER,
		"end session: server %s does not lead any more; ask another server", m.deps.ServerID))
	m.handlers.Wait()
	return err
}

// kick says that a deadline was set. Each lies a whole timeout ahead, so a timer
// that runs goes off before it.
func (m *manager) kick() {
	if m.armed.Load() {
		return
	}
	select {
	case m.kicked <- struct{}{}:
	default:
	}
}

// watchDeadlines looks after all sessions with one timer.
func (m *manager) watchDeadlines(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	waiting := true // for agents of the leader before
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.kicked:
		case <-timer.C:
		}
		m.armed.Store(false)
		next := m.roster.expire()
		if waiting {
			left := m.cfg.SessionTimeout - time.Since(m.began)
			if left <= 0 {
				waiting = false
				m.assigner.settleAll()
			} else if next == 0 || left < next {
				next = left
			}
		}
		if next == 0 {
			timer.Stop()
			continue
		}
		timer.Reset(next)
		m.armed.Store(true)
	}
}

// enter counts goroutines of a session in, unless the leadership is over.
func (m *manager) enter(goroutines int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.handlers.Add(goroutines)
	return true
}

// serve runs one session.
func (m *manager) serve(stream Stream, hello *argosyv1.AgentHello, protocol uint32) error {
	if !m.enter(1) {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER,
			"begin session: server %s does not lead any more; ask another server", m.deps.ServerID)
	}
	defer m.handlers.Done()
	s := newSession(stream.Context(), hello, m.cfg, m)
	defer s.end(nil)
	defer context.AfterFunc(m.ctx, func() { s.end(context.Cause(m.ctx)) })()

	if err := m.roster.claim(s); err != nil {
		m.log.Warn("agent refused", "agent", s.name, "address", s.address, "error", err)
		return err
	}
	defer m.roster.leave(s)
	if err := m.begin(s, hello, protocol); err != nil {
		s.end(err)
		m.failed.warn("agent session not begun", "agent", s.name, "address", s.address, "error", err)
		return s.answer()
	}
	defer m.assigner.detach(s)

	// Both loops end when this call returns, since its stream ends with it.
	if m.enter(2) {
		go func() { defer m.handlers.Done(); s.sendLoop(stream) }()
		go func() { defer m.handlers.Done(); s.receiveLoop(stream) }()
	}
	<-s.Done()
	if errors.Is(s.Err(), errGoodbye) {
		m.assigner.departed(s)
	}
	m.ended.info("agent session ended", "agent", s.name, "address", s.address,
		"lasted", time.Since(s.began).Round(time.Millisecond), "reason", s.Err())
	return s.answer()
}

// begin makes the agent's durable record if there is need, shows the agent as
// connected and queues what it has to be told first.
func (m *manager) begin(s *session, hello *argosyv1.AgentHello, protocol uint32) error {
	returns, err := m.register(s.ctx, hello)
	if err != nil {
		return err
	}
	if err := m.admission.enterSoon(s.ctx, s.name); err != nil {
		return err
	}
	defer m.admission.leave()
	status := m.status(s, hello)
	status.Returns = returns
	if err := m.roster.accept(s, status); err != nil {
		return err
	}
	welcome := &argosyv1.Welcome{
		ClusterId:           m.deps.ClusterID(),
		Incarnation:         m.deps.incarnation(),
		LeaderId:            m.deps.ServerID,
		Term:                m.term,
		Protocol:            protocol,
		HeartbeatIntervalMs: uint32(m.cfg.HeartbeatInterval.Milliseconds()),
		SessionTimeoutMs:    uint32(m.cfg.SessionTimeout.Milliseconds()),
		ServerAddresses:     m.deps.Directory.Servers(),
		ReconnectSpreadMs:   uint32(m.cfg.spread(m.agents()).Milliseconds()),
	}
	m.assigner.attach(s, hello, welcome)
	s.noteAlive()
	m.beginnings.info("agent session began", "agent", s.name, "address", s.address, "instance_id", clip(s.instanceID),
		"version", clip(hello.GetVersion()), "assignments_current", welcome.GetAssignmentsCurrent())
	return nil
}

// agents returns how many agents there are.
func (m *manager) agents() int {
	return m.deps.Machine.View().Count(argosyv1.RowKind_ROW_KIND_AGENT)
}

// register writes the agent's record when there is none, its tags differ, or it
// is back after it counted as lost: a later leader whose mirror has heard of the
// loss, and not of the return, knows by that that it was here. It returns how often
// it was back. A reconnect before that writes nothing.
func (m *manager) register(ctx context.Context, hello *argosyv1.AgentHello) (returns uint64, err error) {
	if row, ok := m.deps.Machine.View().Agent(hello.GetName()); ok {
		if known, err := row.Agent(); err == nil {
			returns = known.GetReturns()
			status, ok := m.deps.Store.Agent(hello.GetName())
			back := ok && !status.GetConnected() && !status.GetUnheard() && status.GetReturns() == returns
			if !back && maps.Equal(known.GetTags(), hello.GetTags()) {
				return returns, nil
			}
			if back {
				returns++
			}
		}
	}
	return returns, m.registrar.RegisterAgent(ctx, &argosyv1.Agent{Name: hello.GetName(), Tags: hello.GetTags(), Returns: returns})
}

func (m *manager) status(s *session, hello *argosyv1.AgentHello) *argosyv1.AgentStatus {
	status := &argosyv1.AgentStatus{
		Name:               s.name,
		Connected:          true,
		BootId:             s.bootID,
		Version:            hello.GetVersion(),
		Runtimes:           hello.GetRuntimes(),
		ConnectedUnixNanos: s.began.UnixNano(),
		Address:            s.address,
		InstanceId:         s.instanceID,
		HomeId:             s.homeID,
	}
	if known, ok := m.deps.Store.Agent(s.name); ok && known.GetInstanceId() == s.instanceID {
		status.CpuPercent = known.GetCpuPercent()
		status.FreeMemoryBytes = known.GetFreeMemoryBytes()
		status.ConvergedRevision = known.GetConvergedRevision()
	}
	return status
}

func (m *manager) report(s *session, r *argosyv1.StateReport) error {
	if r.GetFull() {
		if err := m.admission.enter(s.ctx); err != nil {
			return err
		}
		defer m.admission.leave()
	}
	var result observed.Reported
	err := m.roster.with(s, func(*seat) (err error) {
		result, err = m.lead.Report(s.name, r.GetFull(), r.GetStates())
		return err
	})
	if err != nil {
		return err
	}
	if result.Foreign > 0 {
		m.log.Warn("states dropped that are not the agent's to report", "agent", s.name, "address", s.address, "count", result.Foreign)
	}
	if result.Excess > 0 {
		m.log.Warn("states dropped of an agent that has too many", "agent", s.name, "address", s.address, "count", result.Excess)
	}
	m.assigner.reported(s, r, result.Gone)
	return nil
}

func (m *manager) load(s *session, l *argosyv1.LoadReport) error {
	return m.roster.with(s, func(*seat) error {
		return m.lead.UpdateAgent(s.name, func(status *argosyv1.AgentStatus) {
			status.CpuPercent, status.FreeMemoryBytes = l.GetCpuPercent(), l.GetFreeMemoryBytes()
			if len(l.GetRuntimes()) > 0 {
				status.Runtimes = l.GetRuntimes()
			}
		})
	})
}

func (m *manager) converged(s *session, revision uint64) error {
	err := m.roster.with(s, func(*seat) error {
		return m.lead.UpdateAgent(s.name, func(status *argosyv1.AgentStatus) {
			status.ConvergedRevision = max(status.ConvergedRevision, revision)
		})
	})
	if err == nil {
		m.assigner.converged(s, revision)
	}
	return err
}

func (m *manager) agentDeleted(name string) {
	if err := m.roster.remove(name); err != nil {
		m.log.Debug("deleted agent not forgotten", "agent", name, "error", err)
	}
	m.assigner.deleted(name)
}
