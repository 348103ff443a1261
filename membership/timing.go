package membership

import (
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
)

// Timing is how eagerly members watch each other. Death is found earlier and
// flapping grows with shorter times; so does the load, which is about 0.4 % of a
// core on each node with TimingLAN.
type Timing struct {
	// ProbeInterval is how often a node probes one other.
	ProbeInterval time.Duration
	// ProbeTimeout is how long it waits for an answer before it asks others to
	// try, and tries TCP. It should be well above a round trip.
	ProbeTimeout time.Duration
	// SuspicionMult is how many probe intervals a suspect has to defend itself,
	// times the decimal logarithm of the number of members.
	SuspicionMult int
	// GossipInterval is how often news is passed on.
	GossipInterval time.Duration
}

// TimingLAN finds a killed member in 1.5 to 2 s, with up to 30 members.
func TimingLAN() Timing {
	return Timing{
		ProbeInterval:  300 * time.Millisecond,
		ProbeTimeout:   150 * time.Millisecond,
		SuspicionMult:  3,
		GossipInterval: 100 * time.Millisecond,
	}
}

// TimingWAN is for round trips of up to some 300 ms; it finds a killed member in
// about 8 s.
func TimingWAN() Timing {
	return Timing{
		ProbeInterval:  1500 * time.Millisecond,
		ProbeTimeout:   750 * time.Millisecond,
		SuspicionMult:  4,
		GossipInterval: 250 * time.Millisecond,
	}
}

// Scale multiplies all times.
func (t Timing) Scale(factor float64) Timing {
	scale := func(d time.Duration) time.Duration { return time.Duration(float64(d) * factor) }
	t.ProbeInterval = scale(t.ProbeInterval)
	t.ProbeTimeout = scale(t.ProbeTimeout)
	t.GossipInterval = scale(t.GossipInterval)
	return t
}

func (t Timing) validate() error {
	switch {
	case t.ProbeInterval <= 0 || t.ProbeTimeout <= 0 || t.GossipInterval <= 0:
		return fmt.Errorf("gossip timing: all times must be above 0, got %+v", t)
	case t.ProbeTimeout >= t.ProbeInterval:
		return fmt.Errorf("gossip timing: the probe timeout %s must be below the probe interval %s", t.ProbeTimeout, t.ProbeInterval)
	case t.SuspicionMult < 2:
		return fmt.Errorf("gossip timing: the suspicion multiplier must be at least 2, got %d", t.SuspicionMult)
	}
	return nil
}

func (t Timing) apply(config *memberlist.Config) {
	config.ProbeInterval = t.ProbeInterval
	config.ProbeTimeout = t.ProbeTimeout
	config.SuspicionMult = t.SuspicionMult
	config.GossipInterval = t.GossipInterval
	// A suspect that nobody else suspects waits this much longer. memberlist's 6
	// would make it 5.4 s when two of three servers die at once, with nobody
	// left to confirm.
	config.SuspicionMaxTimeoutMult = 3
	// A node that fails to hear answers slows its probes down, for the fault may
	// be its own. More than twice would delay finding the dead too much.
	config.AwarenessMaxMultiplier = 2
}
