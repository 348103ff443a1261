// Package trial carries one plan out: it builds a cluster on hosts and disks of
// its own, lets clients use it, does the faults of the plan, leaves the cluster
// alone until it must be whole again, and has the record of it all judged.
//
// The invariant it protects: a trial ends in one of three ways, and says which.
// What was promised held, and everything was checked; or it did not, and what
// shows it is kept; or the trial cannot say, because it was broken off, a fault
// could not be done or undone, or a part of its record is missing. It always
// ends, and leaves nothing but its directory.
package trial
