package consensus

import "errors"

var (
	// ErrNotLeader is returned when this server does not lead, or not any more.
	// What was asked has certainly not been done and may be asked elsewhere.
	ErrNotLeader = errors.New("this server does not lead")
	// ErrFateUnknown is returned when a proposal was handed to Raft and its
	// outcome was not seen: it may still be carried out, or have been. Only a
	// retry that is recognised as one is safe.
	ErrFateUnknown = errors.New("fate unknown")
	// ErrUnconfirmed is returned when a quorum did not confirm in time that
	// this server still leads.
	ErrUnconfirmed = errors.New("leadership not confirmed by a quorum in time")
	// ErrStopped is returned by everything on a node that was shut down.
	ErrStopped = errors.New("server is stopping")
	// ErrLocked is returned when another process uses the data directory.
	ErrLocked = errors.New("data directory is in use")
	// ErrDataDir is returned when the data directory is not one, or not whole.
	ErrDataDir = errors.New("unusable data directory")
	// ErrClusterID is returned when something belongs to another cluster.
	ErrClusterID = errors.New("wrong cluster")
	// ErrIncarnation is returned when something belongs to another incarnation
	// of the cluster: from before or after a recovery.
	ErrIncarnation = errors.New("wrong incarnation of the cluster")
	// ErrTwin is returned when another process runs under the id of a server.
	ErrTwin = errors.New("another process has the id of this server")
	// ErrTooNew is returned for a data directory that a newer binary has written.
	ErrTooNew = errors.New("data directory is too new")
	// ErrBootstrapped is returned by Bootstrap on a server that has Raft state.
	ErrBootstrapped = errors.New("server is part of a cluster already")
	// ErrUnknownServer is returned when the configuration has no such server.
	ErrUnknownServer = errors.New("no such server in the cluster")
	// ErrBehind is returned when a server that is to take over lacks entries of
	// the log.
	ErrBehind = errors.New("the server is behind")
	// ErrChanged is returned when the configuration has changed since a change of
	// it was decided on. What was asked has not been done.
	ErrChanged = errors.New("the configuration has changed meanwhile")
	// ErrRemoved is returned when this server was removed from its cluster. Its
	// data is of no use any more.
	ErrRemoved = errors.New("this server was removed from its cluster")
	// ErrAddressTaken is returned when a server is to be added at the address
	// of another one.
	ErrAddressTaken = errors.New("raft address is taken")
	// ErrInUse is returned when a server shall be replaced that still answers.
	ErrInUse = errors.New("the server is still there")
	// ErrNoQuorumLeft is returned when too few servers would answer after a
	// change of the configuration.
	ErrNoQuorumLeft = errors.New("the servers that remained could not decide anything")
	// ErrLastCopy is returned when damaged data may not be given up.
	ErrLastCopy = errors.New("damaged data may be the last copy")
	// ErrRolledBack is returned when this server has taken over a restored state
	// that the others went on without. Its data must be given up.
	ErrRolledBack = errors.New("a restore was broken off, and the cluster went on without it")
	// ErrRestoring is returned while a state is being put in the place of the
	// present one.
	ErrRestoring = errors.New("another state is being restored")
	// ErrBroken is returned when the node cannot go on: its disk or its state
	// machine failed. The process must stop.
	ErrBroken = errors.New("server cannot go on")
)
