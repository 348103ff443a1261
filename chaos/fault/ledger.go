package fault

import (
	"fmt"
	"slices"
	"sync"
)

// Harm is what a fault takes from the servers while it is in effect.
type Harm struct {
	// Down are servers that do not run, or do not answer.
	Down []string
	// Slow are servers that answer, but cannot be expected to do so in time.
	Slow []string
	// Cut are pairs of servers of which the second is not reached by the first.
	Cut [][2]string
	// Spoiled are servers whose data is damaged or gone. They count until they have
	// been rebuilt.
	Spoiled []string
}

// Ledger knows what faults have taken from the servers. It keeps the rule that
// no majority ever loses data, and tells whether there was a quorum.
type Ledger struct {
	servers []string

	mu    sync.Mutex
	taken map[int]Harm
	next  int
	// lost counts the moments at which the quorum was lost.
	lost int
}

// NewLedger makes the ledger of a cluster's servers.
func NewLedger(servers []string) *Ledger {
	return &Ledger{servers: slices.Clone(servers), taken: map[int]Harm{}}
}

// Take notes harm until it is released. It is refused with ErrBudget when a
// majority would be spoiled, or when it concerns a server that another fault has
// down or spoiled: the one would undo the other.
func (l *Ledger) Take(harm Harm) (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	spoiled := map[string]bool{}
	for _, other := range l.taken {
		for _, server := range other.Spoiled {
			spoiled[server] = true
		}
		for _, server := range slices.Concat(harm.Down, harm.Spoiled, harm.Slow) {
			if slices.Contains(other.Down, server) || slices.Contains(other.Spoiled, server) {
				return nil, fmt.Errorf("%w: another fault has %s down", ErrBudget, server)
			}
		}
	}
	for _, server := range harm.Spoiled {
		spoiled[server] = true
	}
	if len(harm.Spoiled) > 0 && len(spoiled) > (len(l.servers)-1)/2 {
		return nil, fmt.Errorf("%w: %d of %d servers would have lost data", ErrBudget, len(spoiled), len(l.servers))
	}
	id := l.next
	l.next++
	had := l.quorum()
	l.taken[id] = harm
	if had && !l.quorum() {
		l.lost++
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.taken, id)
	}, nil
}

// Quorum tells whether a majority of the servers is up, whole, in time, and each
// of it reached by each other.
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

// Healthy returns the servers that no fault has down, slow or spoiled.
func (l *Ledger) Healthy() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.healthy()
}

func (l *Ledger) healthy() []string {
	var healthy []string
	for _, server := range l.servers {
		whole := true
		for _, harm := range l.taken {
			if slices.Contains(harm.Down, server) || slices.Contains(harm.Slow, server) || slices.Contains(harm.Spoiled, server) {
				whole = false
			}
		}
		if whole {
			healthy = append(healthy, server)
		}
	}
	return healthy
}

func (l *Ledger) quorum() bool {
	healthy := l.healthy()
	majority := len(l.servers)/2 + 1
	// There are few servers: every set of them is looked at.
	for set := range 1 << len(healthy) {
		var members []string
		for i, server := range healthy {
			if set&(1<<i) != 0 {
				members = append(members, server)
			}
		}
		if len(members) >= majority && l.connected(members) {
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
