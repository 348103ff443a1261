// Package damage does to the data directory of a server that is down what disks
// and people do to it: it changes bits, cuts files, puts old copies in their
// place, and removes what there was.
//
// The invariant it protects: chance is the caller's alone. The same numbers damage
// the same bytes of the same files.
package damage
