package writer

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// clocks are two clocks that a test sets.
type clocks struct {
	mu     sync.Mutex
	wall   time.Time
	uptime time.Duration
	// looked gets a value each time that the writer asks how late it is.
	looked chan struct{}
}

func (c *clocks) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

func (c *clocks) Uptime() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.looked <- struct{}{}:
	default:
	}
	return c.uptime
}

// jump sets the wall clock, pass lets time go by for both.
func (c *clocks) jump(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(by)
}

func (c *clocks) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.uptime = c.wall.Add(d), c.uptime+d
}

func startWithClocks(t *testing.T, log *ledger) (*harness, *clocks) {
	t.Helper()
	c := &clocks{wall: time.Unix(1_000_000, 0), looked: make(chan struct{}, 1)}
	return start(t, log, func(cfg *Config, d *Deps) {
		cfg.ExpireInterval = time.Millisecond
		d.Now, d.Uptime = c.Now, c.Uptime
	}), c
}

// remembered returns how many outcomes are remembered.
func remembered(log *ledger) int {
	count, _, _, _ := log.View().OutcomeStats()
	return count
}

// mustForget waits until so few outcomes are remembered.
func (c *clocks) mustForget(t *testing.T, log *ledger, down int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for remembered(log) > down {
		select {
		case <-c.looked: // what was found before is carried out by now, or soon
		case <-deadline:
			t.Fatalf("%d outcomes are remembered, want %d", remembered(log), down)
		}
	}
}

func TestOldOutcomesAreForgotten(t *testing.T) {
	log := newLedger(t, false)
	h, c := startWithClocks(t, log)
	h.must(t, apply(workload("a", "1")))
	c.pass(9 * time.Minute)
	h.must(t, apply(workload("b", "1")))
	c.mustLook(t)
	if n := remembered(log); n != 2 {
		t.Fatalf("%d outcomes are remembered after nine minutes", n)
	}
	// What was there at the last look is old enough ten minutes after it.
	c.pass(10 * time.Minute)
	c.mustForget(t, log, 0)
}

// mustLook waits until the writer has looked for old outcomes, from beginning to
// end, since it was called. What it found is carried out before what is asked of
// it next.
func (c *clocks) mustLook(t *testing.T) {
	t.Helper()
	for range 3 { // the first may have been of before, the second is over when the third begins
		select {
		case <-c.looked:
		case <-time.After(30 * time.Second):
			t.Fatal("the writer does not look for old outcomes")
		}
	}
}

// again is a request that is repeated.
func again(r *Request) *Request { return &Request{Principal: r.Principal, Apply: r.Apply} }

// stop ends the writer.
func (h *harness) stop() {
	h.cancel(nil)
	<-h.Stopped()
}

func TestAClockThatJumpsMakesNothingHappenTwice(t *testing.T) {
	for name, by := range map[string]time.Duration{"ahead": 365 * 24 * time.Hour, "back": -365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			log := newLedger(t, false)
			h, c := startWithClocks(t, log)
			request := apply(workload("a", "1"))
			first := h.must(t, request)
			c.jump(by)
			h.must(t, apply(workload("b", "1")))
			c.mustLook(t)
			if o := h.must(t, again(request)); !o.Replayed || o.Revision != first.Revision {
				t.Fatalf("a request that was repeated after the clock was set was answered %+v, first %+v", o, first)
			}
		})
	}
}

func TestANewLeaderWhoseClockIsAheadForgetsNothingOfTheOldOnes(t *testing.T) {
	log := newLedger(t, false)
	first, _ := startWithClocks(t, log)
	request := apply(workload("a", "1"))
	first.must(t, request)
	first.stop()

	second, c := startWithClocks(t, log)
	c.jump(time.Hour)
	c.mustLook(t)
	if o := second.must(t, again(request)); !o.Replayed {
		t.Fatal("a request was carried out twice")
	}
	// It counts anew, and then they go.
	c.pass(11 * time.Minute)
	c.mustForget(t, log, 0)
}

func TestStampsNeverGoBack(t *testing.T) {
	log := newLedger(t, false)
	var last int64
	for leader := range 3 {
		h, c := startWithClocks(t, log)
		c.jump(-time.Duration(leader) * time.Hour)
		for i := range 3 {
			h.must(t, apply(workload(fmt.Sprintf("w-%d-%d", leader, i), "1")))
			stamp := log.entry(t, log.count()-1).GetProposedUnixNanos()
			if stamp < last {
				t.Fatalf("leader %d stamped entry %d with %v, the one before had %v", leader, i, time.Unix(0, stamp), time.Unix(0, last))
			}
			last = stamp
			c.jump(-time.Minute)
		}
		h.stop()
	}
}
