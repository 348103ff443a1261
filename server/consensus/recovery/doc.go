// Package recovery brings a cluster back of which a quorum is lost for good: it
// looks into the data directories that are left, says which is the newest and
// what would come of it, and makes a cluster of one server of it.
//
// The invariant it protects: of what was the cluster before, nothing can ever
// take part in the new one. The survivor goes on in the next incarnation of the
// cluster, which every connection names; terms and revisions go on far above
// those that the lost servers may have reached, so that nobody who remembers
// one of theirs (an agent, a watcher, a compare-and-set) takes it for one of the
// new cluster's.
//
// Looking changes nothing: everything is read from a copy. A recovery builds
// the new Raft directory aside and exchanges it with the old one, which stays
// beside it; a crash leaves the old one or the new one.
package recovery

import "errors"

var (
	// ErrDamaged is returned when the Raft state of a data directory cannot be
	// read to its end.
	ErrDamaged = errors.New("the state in the data directory is not whole")
	// ErrNoState is returned for a data directory of a server that was never in a
	// cluster.
	ErrNoState = errors.New("the data directory belongs to no cluster")
	// ErrMixed is returned when directories do not belong together.
	ErrMixed = errors.New("the data directories are not of one cluster")
)
