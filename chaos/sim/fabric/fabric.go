package fabric

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Link is how one direction between two hosts is. The zero value is the fastest
// there is, which loses nothing.
type Link struct {
	// Delay and Jitter: what is sent arrives after Delay and up to Jitter more.
	Delay, Jitter time.Duration
	// Loss is the share of datagrams that do not arrive, from 0 to 1; the same
	// share of what connections send arrives Retransmit later.
	Loss float64
	// Duplicate is the share of datagrams that arrive twice, Reorder of those that
	// are overtaken by later ones.
	Duplicate, Reorder float64
	// Largest is how many bytes may be sent at once, 0 for any number. What is
	// larger never arrives.
	Largest int
}

// Retransmit is how long it takes until a connection sends again what was lost.
const Retransmit = 200 * time.Millisecond

type direction struct{ from, to netip.Addr }

// Fabric is the network of one bubble.
type Fabric struct {
	mu    sync.Mutex
	rand  *rand.Rand
	usual Link
	links map[direction]Link
	// cuts counts who has cut a direction.
	cuts map[direction]int
	// hosts has the present life of each.
	hosts map[netip.Addr]*Host
	conns map[*half]struct{}
}

// New makes a fabric in which each link is as usual. All of its chance comes from
// random.
func New(random *rand.Rand, usual Link) *Fabric {
	return &Fabric{
		rand: random, usual: usual, links: map[direction]Link{}, cuts: map[direction]int{},
		hosts: map[netip.Addr]*Host{}, conns: map[*half]struct{}{},
	}
}

// Boot begins a life of the host at an address. A former one must be over.
func (f *Fabric) Boot(at netip.Addr) *Host {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := &Host{
		fabric: f, addr: at, dead: make(chan struct{}), port: 32768,
		listeners: map[uint16]*listener{}, sockets: map[uint16]*socket{}, conns: map[*conn]struct{}{},
	}
	f.hosts[at] = h
	return h
}

// Shape changes one direction of a link.
func (f *Fabric) Shape(from, to netip.Addr, link Link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.links[direction{from, to}] = link
	f.release()
}

// Unshape makes one direction of a link as usual.
func (f *Fabric) Unshape(from, to netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.links, direction{from, to})
	f.release()
}

// Cut cuts one direction of a link, and returns what undoes it. A direction that
// several have cut is whole again when all of them have undone it.
func (f *Fabric) Cut(from, to netip.Addr) (heal func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := direction{from, to}
	f.cuts[d]++
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.cuts[d]--; f.cuts[d] == 0 {
			delete(f.cuts, d)
		}
		f.release()
	})
}

// release sends what waits in connections for a link to be whole. The lock is
// held.
func (f *Fabric) release() {
	for h := range f.conns {
		h.release()
	}
}

// link returns how a direction is, and whether it is cut. The lock is held.
func (f *Fabric) link(d direction) (Link, bool) {
	link, shaped := f.links[d]
	if !shaped {
		link = f.usual
	}
	return link, f.cuts[d] > 0
}

// travel is how long something is under way. The lock is held.
func (f *Fabric) travel(link Link) time.Duration {
	if link.Jitter <= 0 {
		return link.Delay
	}
	return link.Delay + time.Duration(f.rand.Int64N(int64(link.Jitter)+1))
}

func (f *Fabric) happens(probability float64) bool {
	return probability > 0 && f.rand.Float64() < probability
}
