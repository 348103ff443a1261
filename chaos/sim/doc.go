// Package sim runs the whole system in virtual time: real servers, real agents and
// real clients in one bubble of testing/synctest, joined by a network in memory,
// with runtimes that only pretend to run workloads, and faults done to all of it.
// Hours pass in seconds, since nobody waits for a clock.
//
// The invariant it protects: what is tried is the product. Nothing of it is
// replaced but the network, the runtimes below the agents, and a layer around
// each disk; a violation is one of the product, or of those three.
//
// What it assumes: whatever runs in the bubble waits for virtual time or for
// another goroutine of it. A goroutine that waits for a lock which is held by one
// that waits for time would keep time from passing; that is a finding, too.
//
// What it cannot do: a process cannot be frozen. Whoever is frozen and goes on
// finds all his timers due at once, while everybody else's clock has run; here
// there is one clock, and it moves only when nobody has anything to do. To hold
// one at its network and disk is done, as a cut link and a stalled disk.
//
// Nor does it see a flush. A loss of power strikes in the middle of a write to the
// log, and leaves nothing of it, all of it, or some (see torn.go); what a server
// was receiving is cut anywhere. But that a store which has returned from a write
// has flushed it is believed, and so it is of the files that are written at once,
// such as term and vote: a flush that is missing is found with real disks only.
//
// And a seed does not repeat a run exactly: the scheduler has its own chance.
package sim
