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
// What it cannot do: a process cannot be frozen, only cut off from everybody;
// what was written to a file survives, since power is lost between two writes and
// never within one, except to the log, where the layer around the disk decides
// whether a write that was under way has happened. And a seed does not repeat a
// run exactly: the scheduler has its own chance.
package sim
