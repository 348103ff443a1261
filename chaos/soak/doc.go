// Package soak does one trial after the other for a given time, each from another
// seed, and accounts for them in one line of the ledger.
//
// The invariant it protects: the account is of what was judged and of nothing
// else. A trial that could not be judged adds to no figure but its own; one that
// found something is counted, kept, and ends the soak unless told otherwise; and
// what was done is accounted for also when the soak is broken off.
//
// It is bounded: in time, in what it keeps on the disk, and in how often it goes on
// after trials that could not be judged.
package soak
