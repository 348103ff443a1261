// Package evidence reads, when a trial is over, what its processes have left: the
// lines of their logs, and the data directories of the servers, which do not run
// any more.
//
// The invariant it protects: nothing is changed by looking, and nothing is taken
// from a server's word that its disk can tell. What a directory holds is read from
// a copy, entry by entry, and carried out again by a state machine of its own;
// what cannot be read is said to be so.
package evidence
