package observed

import "errors"

var (
	// ErrFenced is returned to a writer that another one has replaced: this
	// server leads in a later term now, or follows.
	ErrFenced = errors.New("observed state has another writer now")
	// ErrStaleTerm is returned when a leader of a lower term than one seen
	// before wants to write.
	ErrStaleTerm = errors.New("term is lower than one seen before: that leader was replaced")
	// ErrNoCopy is returned when a mirror stream sends changes before it has
	// sent a full copy to apply them to.
	ErrNoCopy = errors.New("mirror sent changes before a full copy")
	// ErrCompacted is returned to a subscriber whose position is not in the ring
	// any more. It starts again from a new subscription.
	ErrCompacted = errors.New("observed changes are not in the ring any more: subscribe again")
)
