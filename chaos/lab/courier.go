package lab

import (
	"sync"
	"time"
)

// maxParcels is how many packets are under way at the most; more are dropped, as
// by a network that is full.
const maxParcels = 1 << 14

// courier delivers packets when their time has come, those of one moment in the
// order in which they were sent. It has one goroutine.
type courier struct {
	// sooner is told when a packet is due before all others.
	sooner chan struct{}
	stop   chan struct{}
	done   chan struct{}

	mu sync.Mutex
	// queue is a heap by time, then by number.
	queue []parcel
	sent  uint64
	// spare are buffers that are in no use.
	spare [][]byte
}

// parcel is a packet on its way.
type parcel struct {
	at     time.Time
	number uint64
	path   *path
	packet []byte
}

func newCourier() *courier {
	c := &courier{sooner: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go c.run()
	return c
}

// send takes a copy of a packet that is to arrive at a time.
func (c *courier) send(path *path, at time.Time, packet []byte) {
	c.mu.Lock()
	if len(c.queue) >= maxParcels {
		c.mu.Unlock()
		return
	}
	var buffer []byte
	if n := len(c.spare); n > 0 {
		buffer, c.spare = c.spare[n-1], c.spare[:n-1]
	} else {
		buffer = make([]byte, 0, mtu)
	}
	c.sent++
	first := c.push(parcel{at: at, number: c.sent, path: path, packet: append(buffer[:0], packet...)})
	c.mu.Unlock()
	if first {
		select {
		case c.sooner <- struct{}{}:
		default:
		}
	}
}

func (c *courier) run() {
	defer close(c.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var due []parcel
	for {
		var wait time.Duration
		due, wait = c.take(due[:0], time.Now())
		for i := range due {
			due[i].path.deliver(due[i].packet)
		}
		c.giveBack(due)
		timer.Reset(wait)
		select {
		case <-c.stop:
			return
		case <-c.sooner:
		case <-timer.C:
		}
	}
}

// take adds what is due to a slice, and says when the next is.
func (c *courier) take(due []parcel, now time.Time) ([]parcel, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 {
		if wait := c.queue[0].at.Sub(now); wait > 0 {
			return due, wait
		}
		due = append(due, c.pop())
	}
	return due, time.Hour
}

func (c *courier) giveBack(parcels []parcel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range parcels {
		c.spare = append(c.spare, parcels[i].packet)
		parcels[i] = parcel{}
	}
}

func (c *courier) close() {
	close(c.stop)
	<-c.done
}

func (p *parcel) before(other *parcel) bool {
	if p.at.Equal(other.at) {
		return p.number < other.number
	}
	return p.at.Before(other.at)
}

// push adds a parcel and tells whether it is the first now; c.mu is held. The
// heap of the standard library would allocate for each.
func (c *courier) push(p parcel) bool {
	c.queue = append(c.queue, p)
	i := len(c.queue) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !c.queue[i].before(&c.queue[parent]) {
			break
		}
		c.queue[i], c.queue[parent] = c.queue[parent], c.queue[i]
		i = parent
	}
	return i == 0
}

// pop removes the first; c.mu is held.
func (c *courier) pop() parcel {
	first, n := c.queue[0], len(c.queue)-1
	c.queue[0], c.queue[n] = c.queue[n], parcel{}
	c.queue = c.queue[:n]
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < n && c.queue[child].before(&c.queue[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		c.queue[i], c.queue[least] = c.queue[least], c.queue[i]
		i = least
	}
}
