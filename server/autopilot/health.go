package autopilot

import (
	"fmt"
	"slices"
	"time"

	"github.com/argosy-cluster/argosy/membership"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus"
)

// Table is the leader's view of its servers at a moment. It is never written to.
type Table struct {
	// At is when it was made, by the leader's clock.
	At time.Time
	// Term is that of the leadership, Last the last index of the leader's log.
	Term, Last uint64
	// Configuration is the fingerprint of the configuration it is about.
	Configuration uint64
	// Servers are those of the configuration, in its order.
	Servers []Health
}

// Health is how one server is, as the leader sees it.
type Health struct {
	// ID and Name are the server's; the name is empty when gossip does not know
	// it.
	ID, Name string
	// Voter tells whether it votes, Leader whether it is the leader itself.
	Voter, Leader bool
	// Answers tells whether it has just answered Raft.
	Answers bool
	// Heard is when it last answered Raft in this leadership; zero when never.
	Heard time.Time
	// Gossip tells whether gossip counts it as alive.
	Gossip bool
	// Lag is how many entries of the leader's log it lacks.
	Lag uint64
	// Level tells whether it has everything that the log had at the look before.
	Level bool
	// Installing tells that it is being sent a snapshot.
	Installing bool
	// Problem is why it is not healthy, in words; empty when it is.
	Problem string
	// Ailment is the problem that the server itself knows of.
	Ailment string
	// Healthy tells that it answers, is level and knows of no problem.
	Healthy bool
	// HealthySince is since when Healthy has been what it is.
	HealthySince time.Time
	// DeadSince is since when neither Raft nor gossip has heard of it; zero while
	// one of them does.
	DeadSince time.Time
	// StarvedSince is since when it hears the leader and takes in nothing that
	// the leader has for it; zero when it is not so.
	StarvedSince time.Time
	// Status is what it last told of itself; nil when it has told nothing yet.
	Status *argosyv1.ServerStatus
}

// Find returns a server of the table by its id.
func (t *Table) Find(id string) (Health, bool) {
	if t == nil {
		return Health{}, false
	}
	i := slices.IndexFunc(t.Servers, func(h Health) bool { return h.ID == id })
	if i < 0 {
		return Health{}, false
	}
	return t.Servers[i], true
}

// voters counts those that vote, and those of them that answer.
func (t *Table) voters() (all, answering int) {
	for _, h := range t.Servers {
		if h.Voter {
			all++
			if h.Answers {
				answering++
			}
		}
	}
	return all, answering
}

func quorum(voters int) int { return voters/2 + 1 }

// memory is what is remembered of a server from one look to the next.
type memory struct {
	healthy   bool
	since     time.Time // of healthy
	deadSince time.Time
	// match is what it had at the last look where that moved, and moved when that
	// was; behind tells that there was more for it then.
	match  uint64
	moved  time.Time
	status *argosyv1.ServerStatus
}

// looker makes tables. It remembers what it has seen in one leadership, and the
// deaths that gossip told of for as long as the process lives.
type looker struct {
	self string
	// patience is for how long an answer to Raft counts as fresh.
	patience time.Duration

	term uint64
	// before is what the log was a moment ago: what a server must have to count
	// as level. next takes its place when it has become old enough.
	before, next mark
	memories     map[string]*memory
	// deaths is since when a server has not been heard by gossip.
	deaths map[string]time.Time
}

// mark is where the log ended at a time.
type mark struct {
	last uint64
	at   time.Time
}

// markAge is how old a mark is before a server is measured by it: looks may follow
// each other at once, and nobody is level with what was written just now.
const markAge = 100 * time.Millisecond

func newLooker(self string, patience time.Duration) *looker {
	return &looker{self: self, patience: patience, memories: map[string]*memory{}, deaths: map[string]time.Time{}}
}

// hear takes in what gossip knows now. It is called on every server, so that who
// comes to lead knows for how long others have been dead.
func (l *looker) hear(servers map[string]membership.Member, now time.Time) {
	for id, m := range servers {
		if m.Alive {
			delete(l.deaths, id)
		} else if _, known := l.deaths[id]; !known {
			l.deaths[id] = now
		}
	}
}

// look makes the table of this moment.
func (l *looker) look(o consensus.Overview, servers map[string]membership.Member, now time.Time) *Table {
	if o.Term != l.term {
		// What was seen as another leadership says nothing of this one.
		l.term, l.before, l.next, l.memories = o.Term, mark{}, mark{}, map[string]*memory{}
	}
	if now.Sub(l.next.at) >= markAge {
		l.before, l.next = l.next, mark{o.Last, now}
	}
	t := &Table{At: now, Term: o.Term, Last: o.Last, Configuration: o.Configuration}
	configured := map[string]bool{}
	for _, f := range o.Servers {
		configured[f.ID] = true
		m := l.memories[f.ID]
		if m == nil {
			m = &memory{since: now, moved: now}
			l.memories[f.ID] = m
		}
		t.Servers = append(t.Servers, l.judge(m, f, o, servers[f.ID], now))
	}
	for id := range l.memories {
		if !configured[id] {
			delete(l.memories, id)
		}
	}
	for id := range l.deaths {
		if _, known := servers[id]; !known && !configured[id] {
			delete(l.deaths, id)
		}
	}
	return t
}

func (l *looker) judge(m *memory, f consensus.Follower, o consensus.Overview, gossip membership.Member, now time.Time) Health {
	h := Health{
		ID: f.ID, Name: gossip.Name, Voter: f.Voter, Leader: f.ID == l.self,
		Heard: f.Heard, Gossip: gossip.Alive, Installing: f.Installing, Status: m.status,
		Lag:   o.Last - min(o.Last, f.Match),
		Level: !l.before.at.IsZero() && f.Match >= l.before.last,
	}
	h.Answers = h.Leader || now.Sub(f.Heard) <= l.patience
	h.Level = h.Level || h.Leader
	h.Ailment = m.status.GetProblem()
	h.Problem = problem(h, now)
	h.Healthy = h.Problem == ""
	if h.Healthy != m.healthy {
		m.healthy, m.since = h.Healthy, now
	}
	h.HealthySince = m.since

	l.judgeDeath(m, &h, now)
	// A server is starved when it answers while nothing of what waits for it
	// arrives. A snapshot on its way is not nothing.
	if f.Match != m.match || h.Lag == 0 || !h.Answers || h.Installing || h.Leader {
		m.match, m.moved = f.Match, now
	} else {
		h.StarvedSince = m.moved
	}
	return h
}

// judgeDeath finds since when nobody has heard of a server: neither gossip nor,
// in this leadership, Raft.
func (l *looker) judgeDeath(m *memory, h *Health, now time.Time) {
	if h.Answers || h.Gossip {
		m.deadSince = time.Time{}
		if h.Answers {
			// Whatever gossip thinks, and since when: it lives.
			delete(l.deaths, h.ID)
		}
		return
	}
	if m.deadSince.IsZero() {
		m.deadSince = now
		if died, ok := l.deaths[h.ID]; ok && h.Heard.IsZero() {
			m.deadSince = died
		}
		if h.Heard.After(m.deadSince) {
			m.deadSince = h.Heard
		}
	}
	h.DeadSince = m.deadSince
}

func problem(h Health, now time.Time) string {
	switch {
	case h.Leader:
		return h.Ailment
	case h.Heard.IsZero():
		return "has not answered this leader yet"
	case !h.Answers:
		return fmt.Sprintf("has not answered for %v", now.Sub(h.Heard).Round(time.Millisecond))
	case h.Ailment != "":
		return h.Ailment
	case !h.Level && h.Installing:
		return "is being sent a snapshot"
	case !h.Level:
		return fmt.Sprintf("lags by %d entries", h.Lag)
	}
	return ""
}
