package sessions

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/observed"
)

// roster knows which process holds which agent's name, and until when a name is
// kept for a process that is not heard of. It is the only place that writes
// observed state, always for the session that holds the seat.
type roster struct {
	cfg  Config
	lead *observed.Lead
	log  *slog.Logger
	// losses are logged by it.
	losses *tally
	kick   func() // asks for expire to be called: a deadline was set
	// mayHave returns what an agent may have beyond what it has told.
	mayHave func(agent string) observed.Lost
	// agentLost is called when an agent is marked as disconnected.
	agentLost func(name string)

	mu    sync.Mutex
	seats map[string]*seat
}

// seat is one agent's name.
type seat struct {
	mu      sync.Mutex
	session *session // nil while the agent has none
	seated  bool     // the session was accepted
	// The process that had the name last, and until when it is kept for it; zero
	// when it is kept for nobody.
	last  holder
	until time.Time
}

type holder struct {
	instanceID, bootID, homeID, address string
}

// newRoster starts from what the mirror of the leader before says: the agents
// that were connected to it are given time to come here.
func newRoster(cfg Config, lead *observed.Lead, known []*argosyv1.AgentStatus, log *slog.Logger, kick func()) *roster {
	r := &roster{cfg: cfg, lead: lead, log: log, kick: kick, seats: map[string]*seat{}}
	r.losses = &tally{log: log, summary: "more agents lost"}
	until := time.Now().Add(cfg.SessionTimeout)
	for _, status := range known {
		if !status.GetConnected() {
			continue
		}
		r.seats[status.GetName()] = &seat{
			last: holder{
				instanceID: status.GetInstanceId(), bootID: status.GetBootId(), homeID: status.GetHomeId(), address: status.GetAddress(),
			},
			until: until,
		}
	}
	return r
}

func (r *roster) seat(name string) *seat {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.seats[name]
	if !ok {
		s = &seat{}
		r.seats[name] = s
	}
	return s
}

// seated returns how many agents have a session.
func (r *roster) seated() int {
	n := 0
	for _, s := range r.all() {
		s.mu.Lock()
		if s.session != nil && s.seated {
			n++
		}
		s.mu.Unlock()
	}
	return n
}

func (r *roster) all() map[string]*seat {
	r.mu.Lock()
	defer r.mu.Unlock()
	seats := make(map[string]*seat, len(r.seats))
	for name, s := range r.seats {
		seats[name] = s
	}
	return seats
}

// session returns the accepted session of an agent.
func (r *roster) session(name string) (*session, bool) {
	r.mu.Lock()
	s, ok := r.seats[name]
	r.mu.Unlock()
	if !ok {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.seated || s.session == nil {
		return nil, false
	}
	return s.session, true
}

// claim gives a session its agent's name, or refuses it because another process
// has it. The same process takes over from its own older session at once: its
// network was interrupted and it noticed first. So does the holder's successor.
func (r *roster) claim(next *session) error {
	s := r.seat(next.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.session; old != nil {
		switch {
		case old.instanceID == next.instanceID, old.holder().succeeded(next):
			old.end(argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT,
				"end session of agent %q: %s has begun a new one", next.name, next))
		case old.silentFor() >= r.cfg.SessionTimeout:
			old.end(silence(old))
		case old.ctx.Err() == nil:
			return taken(next, old.String(), "")
		}
		r.vacate(s)
	}
	if wait := time.Until(s.until); wait > 0 && s.last.instanceID != next.instanceID && !s.last.succeeded(next) {
		return taken(next, "process "+clip(s.last.instanceID)+" last seen at "+s.last.address,
			", which may come back; the name is free in "+wait.Round(time.Millisecond).String())
	}
	s.session = next
	next.noteAlive()
	r.kick()
	return nil
}

// succeeded tells whether a process that asks for the name can only be the
// holder started again: it has the holder's data directory, which one process
// at a time can have. Any other process has to wait, on the same machine too,
// since the holder may live on and merely be on its way to this leader.
func (h holder) succeeded(next *session) bool {
	return h.homeID != "" && h.bootID != "" && h.homeID == next.homeID && h.bootID == next.bootID
}

func taken(next *session, by, more string) error {
	return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT,
		"accept agent %q, %s: the name is held by %s%s; give each agent a name of its own",
		next.name, next, by, more)
}

// accept makes the session of a claimed seat visible.
func (r *roster) accept(s *session, status *argosyv1.AgentStatus) error {
	return r.with(s, func(seat *seat) error {
		if err := r.lead.SetAgent(status); err != nil {
			return err
		}
		seat.seated = true
		seat.last, seat.until = holder{}, time.Time{}
		return nil
	})
}

// with runs a write while a session holds its seat.
func (r *roster) with(s *session, write func(*seat) error) error {
	seat := r.seat(s.name)
	seat.mu.Lock()
	defer seat.mu.Unlock()
	if seat.session != s {
		return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "end session of agent %q: another has taken its place", s.name)
	}
	return write(seat)
}

// leave gives the seat of a session up at its end.
func (r *roster) leave(s *session) {
	seat := r.seat(s.name)
	seat.mu.Lock()
	defer seat.mu.Unlock()
	if seat.session == s {
		r.vacate(seat)
	}
}

// vacate takes an ended session off its seat. Unless the agent said goodbye or
// was silent for long enough already, the seat is kept for it.
func (r *roster) vacate(s *seat) {
	old, accepted := s.session, s.seated
	s.session, s.seated = nil, false
	switch {
	case !accepted: // whoever had the seat before it still is the last holder
	case errors.Is(old.Err(), errGoodbye), errors.Is(old.Err(), errSilent):
		r.lost(old.name)
	default:
		s.last = old.holder()
		s.until = time.Now().Add(r.cfg.SessionTimeout)
		r.kick()
	}
}

// lost marks an agent as disconnected. The caller holds its seat, so that no
// later session of it is meant, and has ended its session, so that nothing more
// is sent to it.
func (r *roster) lost(name string) {
	if err := r.lead.Disconnect(name, r.mayHave(name)); err != nil {
		r.log.Debug("agent not marked as disconnected", "agent", name, "error", err)
	}
	r.agentLost(name)
}

// remove ends the session of an agent that is not registered any more, and
// forgets it.
func (r *roster) remove(name string) error {
	s := r.seat(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		s.session.end(argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "end session of agent %q: the agent was deleted", name))
		s.session, s.seated = nil, false
	}
	s.last, s.until = holder{}, time.Time{}
	return r.lead.RemoveAgent(name)
}

// expire ends what has run out of time and returns how long nothing else can
// run out; 0 means that nothing is waited for.
func (r *roster) expire() time.Duration {
	var next time.Duration
	soonest := func(d time.Duration) {
		d = max(d, time.Millisecond)
		if next == 0 || d < next {
			next = d
		}
	}
	for name, s := range r.all() {
		s.mu.Lock()
		switch {
		case s.session != nil:
			soonest(r.check(s.session))
		case !s.until.IsZero():
			if wait := time.Until(s.until); wait > 0 {
				soonest(wait)
				break
			}
			r.losses.warn("agent lost", "agent", name, "address", s.last.address, "after", r.cfg.SessionTimeout)
			s.last, s.until = holder{}, time.Time{}
			r.lost(name)
		}
		s.mu.Unlock()
	}
	return next
}

// check ends a session that is silent or does not take its messages, and
// returns when to look again.
func (r *roster) check(s *session) time.Duration {
	silent, stuck := s.silentFor(), s.stuckFor()
	switch {
	case silent >= r.cfg.SessionTimeout:
		s.end(silence(s))
	case stuck >= r.cfg.SendTimeout:
		s.end(argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_SLOW_CONSUMER,
			"end session of agent %q: it did not take a message within %s", s.name, r.cfg.SendTimeout))
	}
	return min(r.cfg.SessionTimeout-silent, r.cfg.SendTimeout-stuck)
}

func silence(s *session) error {
	return fmt.Errorf("end session of agent %q after %s: %w", s.name, s.silentFor().Round(time.Millisecond), errSilent)
}
