// Package fault does to a cluster what its plan says, and undoes it.
//
// The invariant it protects: a fault that was done is undone, or the trial ends
// and says so. Nothing is done that would make a majority of the servers lose
// what they have: that is no fault that a quorum is made to survive.
package fault
