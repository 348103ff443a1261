package consensus

import (
	"fmt"
	"time"
)

// Timing is how long the servers of a cluster wait for each other. All servers
// of a cluster should have the same.
type Timing struct {
	// Heartbeat is how long a follower waits for its leader before it campaigns
	// by itself, the fallback when there is no evidence. Heartbeats are sent
	// every one to two tenths of it.
	Heartbeat time.Duration
	// Election is how long a candidate waits for votes.
	Election time.Duration
	// Lease is how long a leader goes on without a quorum. Nothing that must be
	// true rests on it, and to step down costs an election: as long as Heartbeat
	// it does not happen to a leader that was only starved for a moment.
	Lease time.Duration
	// Silence is how long a follower has not heard from its leader when it asks
	// the others whether they have. It must be well above two tenths of
	// Heartbeat. Less finds a frozen leader sooner, but may depose one that was
	// only slow.
	Silence time.Duration
	// Stagger is by how much a server waits longer than the one before it in
	// rank, so that two do not campaign at once.
	Stagger time.Duration
	// Commit is how often an idle leader sends each follower what is committed,
	// beside the word that follows each commit. It also paces the attempts to
	// reach one that is down. Less costs messages all day long.
	Commit time.Duration
	// RPC is how long a message between servers may take.
	RPC time.Duration
}

// LAN suits servers in one place: round trips below about 5 ms.
func LAN() Timing {
	return Timing{
		Heartbeat: 200 * time.Millisecond,
		Election:  200 * time.Millisecond,
		Lease:     200 * time.Millisecond,
		Silence:   100 * time.Millisecond,
		Stagger:   50 * time.Millisecond,
		Commit:    100 * time.Millisecond,
		RPC:       10 * time.Second,
	}
}

// WAN suits servers in several places: round trips up to about 100 ms.
func WAN() Timing {
	return Timing{
		Heartbeat: 1500 * time.Millisecond,
		Election:  1500 * time.Millisecond,
		Lease:     1500 * time.Millisecond,
		Silence:   900 * time.Millisecond,
		Stagger:   400 * time.Millisecond,
		Commit:    400 * time.Millisecond,
		RPC:       20 * time.Second,
	}
}

// TimingProfile returns the profile of a name, "lan" or "wan", with every time
// multiplied.
func TimingProfile(name string, multiplier float64) (Timing, error) {
	if multiplier < 0.25 || multiplier > 100 {
		return Timing{}, fmt.Errorf("choose timing: multiplier %v is not between 0.25 and 100", multiplier)
	}
	switch name {
	case "lan":
		return LAN().Scale(multiplier), nil
	case "wan":
		return WAN().Scale(multiplier), nil
	default:
		return Timing{}, fmt.Errorf("choose timing: profile %q is not known, use \"lan\" or \"wan\"", name)
	}
}

// Scale multiplies every time.
func (t Timing) Scale(factor float64) Timing {
	scale := func(d time.Duration) time.Duration { return time.Duration(float64(d) * factor) }
	return Timing{
		Heartbeat: scale(t.Heartbeat),
		Election:  scale(t.Election),
		Lease:     scale(t.Lease),
		Silence:   scale(t.Silence),
		Stagger:   scale(t.Stagger),
		Commit:    scale(t.Commit),
		RPC:       max(scale(t.RPC), t.RPC),
	}
}

// Validate checks that the times make sense together.
func (t Timing) Validate() error {
	for _, each := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"heartbeat", t.Heartbeat, 20 * time.Millisecond},
		{"election", t.Election, t.Heartbeat},
		{"lease", t.Lease, 5 * time.Millisecond},
		{"silence", t.Silence, t.Heartbeat / 4},
		{"stagger", t.Stagger, time.Millisecond},
		{"commit", t.Commit, time.Millisecond},
		{"rpc", t.RPC, t.Election},
	} {
		if each.value < each.least {
			return fmt.Errorf("check timing: %s %v is less than %v", each.name, each.value, each.least)
		}
	}
	if t.Lease > t.Heartbeat {
		return fmt.Errorf("check timing: lease %v is more than heartbeat %v", t.Lease, t.Heartbeat)
	}
	return nil
}
