// Package fault does to a cluster what its plan says, and undoes it.
//
// The invariant it protects: a fault that was done is undone, or the trial ends
// and says so. Nothing is done that would make a majority of the servers lose
// what they have: that is no fault that a quorum is made to survive.
//
// A trial makes one Ledger for its cluster and supervises the processes
// (Supervise). Each step of its plan gets a World with chance of its own, asks the
// fault of its kind whether it is Available, and does it (Inject); errors that wrap
// ErrUnavailable, ErrNoTarget or ErrBudget say that it was not done, and that this
// is no fault of anybody. When its time is over it is healed. In the end
// Ledger.Settle waits until all servers are as good as each other again, and
// Ledger.Close gives up on those that are not.
package fault
