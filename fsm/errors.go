package fsm

import "errors"

var (
	// ErrFailed is returned by everything that would need the machine to go on
	// after it met an entry that it could not apply. The wrapped error says
	// which entry and why.
	ErrFailed = errors.New("state machine failed")
	// ErrUnknown is returned when an entry or a snapshot holds something that
	// this version of the code does not know.
	ErrUnknown = errors.New("not known to this version: run the version that the other servers run")
	// ErrMalformed is returned when an entry is not what the log is made of.
	ErrMalformed = errors.New("malformed: the log is damaged, rebuild this server from the others")
	// ErrOutOfOrder is returned when an entry does not come after the one that
	// was applied last.
	ErrOutOfOrder = errors.New("out of order: log and state do not belong together, rebuild this server from the others")
	// ErrDamaged is returned when the state in memory is not what its running
	// hash says: memory was damaged, or somebody wrote to a shared row. What is
	// on disk may be right.
	ErrDamaged = errors.New("state in memory does not have its hash: memory is damaged")
	// ErrSnapshot is returned when a snapshot is cut off, damaged, or does not
	// hold the state that its header promises.
	ErrSnapshot = errors.New("bad snapshot")
	// ErrCompacted is returned to a subscriber when changes after its position
	// are not in the feed any more, or when the state was replaced by a
	// snapshot. It starts again from a View.
	ErrCompacted = errors.New("changes are not in the feed any more: start again from the current state")
)
