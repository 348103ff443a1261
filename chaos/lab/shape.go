package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Link is how packets travel in one direction between two hosts. The zero value
// lets them pass at once.
type Link struct {
	// Delay is how late each packet is, Jitter how much more it is at the most. A
	// packet that is later than others holds up those behind it.
	Delay, Jitter time.Duration
	// Loss, Duplicate and Reorder are the shares, from 0 to 1, of the packets that
	// vanish, that arrive twice, and that are held back so that those behind
	// overtake them.
	Loss, Duplicate, Reorder float64
	// Rate is how many bytes pass in a second; 0 bounds it not. What would have to
	// wait longer than a second is dropped, as by a router with a queue.
	Rate int64
	// MaxSize is the size in bytes of the largest packet that passes, with its
	// headers; larger ones vanish without a word. 0 bounds it not.
	MaxSize int
}

const (
	// longestQueue is how long a packet waits for its turn at the most.
	longestQueue = time.Second
	// leastHold is for how long a packet is held back at the least that others
	// shall overtake.
	leastHold = 2 * time.Millisecond
)

// Validate says what is wrong with it.
func (l Link) Validate() error {
	var errs []error
	for _, share := range []struct {
		name  string
		value float64
	}{{"loss", l.Loss}, {"duplicate", l.Duplicate}, {"reorder", l.Reorder}} {
		if !(share.value >= 0 && share.value <= 1) {
			errs = append(errs, fmt.Errorf("%s is %v, it must be from 0 to 1", share.name, share.value))
		}
	}
	if l.Delay < 0 || l.Jitter < 0 || l.Rate < 0 || l.MaxSize < 0 {
		errs = append(errs, fmt.Errorf("delay %v, jitter %v, rate %d and largest size %d must not be negative", l.Delay, l.Jitter, l.Rate, l.MaxSize))
	}
	return errors.Join(errs...)
}

// shaper decides about one packet after the other of a direction. It is used by
// one goroutine.
type shaper struct {
	link Link
	rand *rand.Rand
	// free is when the last packet of those that wait for their turn has gone.
	free time.Time
	// last is when the latest packet arrives that others do not overtake.
	last time.Time
}

func newShaper(link Link, seed, stream uint64) *shaper {
	return &shaper{link: link, rand: rand.New(rand.NewPCG(seed, stream))}
}

// decide says when a packet of a size, sent now, arrives, and how often: 0, 1 or
// 2 times.
func (s *shaper) decide(now time.Time, size int) (at time.Time, copies int) {
	if s.link.MaxSize > 0 && size > s.link.MaxSize || s.chance(s.link.Loss) {
		return now, 0
	}
	at = now
	if s.link.Rate > 0 {
		if s.free.Before(now) {
			s.free = now
		}
		if s.free.Sub(now) > longestQueue {
			return now, 0
		}
		s.free = s.free.Add(time.Duration(int64(size) * int64(time.Second) / s.link.Rate))
		at = s.free
	}
	at = at.Add(s.link.Delay)
	if s.link.Jitter > 0 {
		at = at.Add(time.Duration(s.rand.Int64N(int64(s.link.Jitter) + 1)))
	}
	switch {
	case s.chance(s.link.Reorder):
		at = at.Add(max(s.link.Delay+s.link.Jitter, leastHold))
	case at.Before(s.last):
		at = s.last
	default:
		s.last = at
	}
	if s.chance(s.link.Duplicate) {
		return at, 2
	}
	return at, 1
}

func (s *shaper) chance(share float64) bool { return share > 0 && s.rand.Float64() < share }
