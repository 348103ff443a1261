package fault

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// ClientHost is the name of the host of the clients: a quorum that they do not
// reach is none to them.
const ClientHost = "client"

// Harm is what a fault takes from the servers while it is in effect.
type Harm struct {
	// Down are servers and agents that do not run, or do not answer. Nobody but the
	// fault starts them again.
	Down []string
	// Slow are servers that answer, but cannot be expected to do so in time.
	Slow []string
	// Cut are pairs of servers of which the second is not reached by the first;
	// ClientHost may be one of them.
	Cut [][2]string
	// Spoiled are servers whose data is damaged or gone. They count until they have
	// been rebuilt.
	Spoiled []string
	// Doubtful are servers that run, or will, and that nobody can count on: they
	// have not been seen to be as good as the others since they were away, or were
	// damaged and have not noticed. They are no part of a quorum, and no other server
	// may be spoiled that would leave no majority without them: what they have may
	// turn out to be gone. Other faults may strike them.
	Doubtful []string
	// Busy are servers and agents whose process or disk the fault has its hands on:
	// another one would undo what it did, or wait for it.
	Busy []string
	// Alone is set when nothing else may be wrong with any server at the same time:
	// Raft does not survive a server that has forgotten and does not know it while
	// another one is away.
	Alone bool
}

// Ledger knows what faults have taken from the servers. It keeps the rule that
// no majority ever loses data, and tells whether there was a quorum. It also
// knows which links are cut by how many of them, and which servers are still on
// their way back after what was done to them.
//
// What counts against a majority's data is every server that is spoiled or
// doubtful, each once: one that ended by itself from that moment, one that was
// down from when it is started again, both until they are level with the others;
// one whose data was damaged until it has been rebuilt, whether it knows of the
// damage or not.
//
// All faults of a cluster share one. Settle waits for those that are on their
// way back, Close gives them up.
type Ledger struct {
	servers []string
	links   links
	returns returns

	mu    sync.Mutex
	taken map[int]Harm
	next  int
	// lost counts the moments at which the quorum was lost.
	lost int
}

// NewLedger makes the ledger of a cluster's servers.
func NewLedger(servers []string) *Ledger {
	l := &Ledger{servers: slices.Clone(servers), taken: map[int]Harm{}}
	l.links.held = map[direction]int{}
	l.returns.begin()
	return l
}

// Take notes harm until it is released. It is refused with ErrBudget when a
// server would be spoiled and no majority were left that nothing is known against,
// or when it concerns a server that another fault has down, spoiled or its hands
// on: the one would undo the other.
func (l *Ledger) Take(harm Harm) (*Hold, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refuse(harm, -1); err != nil {
		return nil, err
	}
	return l.add(harm), nil
}

// Note notes harm that nobody has chosen to do, such as that a server ended by
// itself. It is never refused.
func (l *Ledger) Note(harm Harm) *Hold {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.add(harm)
}

// add begins a hold; l.mu is held.
func (l *Ledger) add(harm Harm) *Hold {
	h := &Hold{l, l.next}
	l.next++
	l.note(h.id, harm)
	return h
}

// Hold is harm that was taken or noted.
type Hold struct {
	ledger *Ledger
	id     int
}

// Release gives back what was taken. It may be called twice.
func (h *Hold) Release() {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	delete(h.ledger.taken, h.id)
}

// Become changes what is taken. It must not have been released.
func (h *Hold) Become(harm Harm) {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	h.ledger.note(h.id, harm)
}

// Grow changes what is taken where Take would not refuse that; what was taken
// before stays otherwise. There is no moment at which neither is.
func (h *Hold) Grow(harm Harm) error {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	if err := h.ledger.refuse(harm, h.id); err != nil {
		return err
	}
	h.ledger.note(h.id, harm)
	return nil
}

// note writes harm down, and whether it cost the quorum; l.mu is held.
func (l *Ledger) note(id int, harm Harm) {
	had := l.quorum()
	l.taken[id] = harm
	if had && !l.quorum() {
		l.lost++
	}
}

// refuse says why harm may not be done now, in place of what one hold has; l.mu is
// held.
func (l *Ledger) refuse(harm Harm, instead int) error {
	lost := map[string]bool{}
	for id, other := range l.taken {
		if id == instead {
			continue
		}
		for _, server := range slices.Concat(other.Spoiled, other.Doubtful) {
			lost[server] = true
		}
		for _, name := range slices.Concat(harm.Down, harm.Spoiled, harm.Slow) {
			if slices.Contains(other.Down, name) || slices.Contains(other.Spoiled, name) {
				return fmt.Errorf("%w: another fault has %s down", ErrBudget, name)
			}
		}
		for _, name := range harm.Busy {
			if slices.Contains(other.Busy, name) {
				return fmt.Errorf("%w: another fault has its hands on %s", ErrBudget, name)
			}
		}
		if harm.Alone && l.strikes(other) || other.Alone && l.strikes(harm) {
			return fmt.Errorf("%w: a server that may have forgotten something without knowing it must be the only one with which something is wrong", ErrBudget)
		}
	}
	for _, server := range harm.Spoiled {
		lost[server] = true
	}
	if len(harm.Spoiled) > 0 && len(lost) > (len(l.servers)-1)/2 {
		return fmt.Errorf("%w: %d of %d servers would have lost data, or may have (%s)", ErrBudget, len(lost), len(l.servers),
			strings.Join(slices.Sorted(maps.Keys(lost)), ", "))
	}
	return nil
}

// strikes tells whether harm takes anything from servers.
func (l *Ledger) strikes(harm Harm) bool {
	return len(harm.Cut) > 0 || slices.ContainsFunc(slices.Concat(harm.Down, harm.Slow, harm.Spoiled, harm.Doubtful), func(name string) bool {
		return slices.Contains(l.servers, name)
	})
}

// Down tells whether a fault keeps a server or agent from running.
func (l *Ledger) Down(name string) bool {
	return l.any(func(harm Harm) bool { return slices.Contains(harm.Down, name) })
}

// free tells whether no fault has a server or agent down, spoiled or its hands on.
func (l *Ledger) free(name string) bool {
	return !l.any(func(harm Harm) bool {
		return slices.Contains(harm.Down, name) || slices.Contains(harm.Spoiled, name) || slices.Contains(harm.Busy, name)
	})
}

func (l *Ledger) any(is func(Harm) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, harm := range l.taken {
		if is(harm) {
			return true
		}
	}
	return false
}

// Quorum tells whether a majority of the servers is up, whole, in time, each of
// it reached by each other, and one of it by the clients.
func (l *Ledger) Quorum() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.quorum()
}

// Losses returns how often the quorum was lost so far: when it is the same as
// before, and there is a quorum, there was one all the time.
func (l *Ledger) Losses() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Healthy returns the servers that nothing has down, slow, spoiled or doubtful.
func (l *Ledger) Healthy() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.healthy()
}

func (l *Ledger) healthy() []string {
	return l.without(func(harm Harm) []string { return slices.Concat(harm.Down, harm.Slow, harm.Spoiled, harm.Doubtful) })
}

// without returns the servers of which no harm takes something.
func (l *Ledger) without(of func(Harm) []string) []string {
	struck := map[string]bool{}
	for _, harm := range l.taken {
		for _, name := range of(harm) {
			struck[name] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(l.servers), func(server string) bool { return struck[server] })
}

// Due tells whether those that are on their way back can be expected to get there:
// nothing but they themselves keeps a majority from answering in time.
func (l *Ledger) Due() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.majority(l.without(func(harm Harm) []string { return slices.Concat(harm.Down, harm.Slow) }))
}

func (l *Ledger) quorum() bool { return l.majority(l.healthy()) }

// majority tells whether there is a majority among some servers, each of it
// reached by each other, and one of it by the clients.
func (l *Ledger) majority(healthy []string) bool {
	majority := len(l.servers)/2 + 1
	// There are few servers: every set of them is looked at.
	for set := range 1 << len(healthy) {
		var members []string
		for i, server := range healthy {
			if set&(1<<i) != 0 {
				members = append(members, server)
			}
		}
		if len(members) >= majority && l.connected(members) && slices.ContainsFunc(members, func(server string) bool {
			return l.connected([]string{server, ClientHost})
		}) {
			return true
		}
	}
	return false
}

func (l *Ledger) connected(members []string) bool {
	for _, harm := range l.taken {
		for _, pair := range harm.Cut {
			if slices.Contains(members, pair[0]) && slices.Contains(members, pair[1]) {
				return false
			}
		}
	}
	return true
}
