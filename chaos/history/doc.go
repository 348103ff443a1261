// Package history is the record of a trial: what was asked of a cluster and what
// it answered, what was done to it, and what it was seen to do, with times.
//
// The invariant it protects: a judgement rests on nothing but what is on disk.
// Whoever judges reads a finished directory, any number of times, on any machine;
// and what was cut off in the middle is told from what is whole.
//
// All times are microseconds of the machine's monotonic clock, of which there is
// one for all processes and network namespaces: intervals of different processes
// compare exactly.
package history
