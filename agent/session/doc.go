// Package session keeps the agent's one stream to whoever leads the cluster.
//
// It protects two invariants: an agent follows one leader at a time, and never
// one of a lower term than it followed before; and whatever happens to the
// stream, nothing that runs is touched by it: losing a session, finding
// another leader, or never finding one changes what is reported, not what
// runs.
//
// Finding the leader (hunt): every server that is known from flags, from the
// last Welcome, from gossip or from a redirect may be asked; the one that most
// probably leads is asked first, and all others at once when it does not
// answer within some milliseconds. Each is asked again after a tenth of the
// time the hunt has lasted so far, between milliseconds and seconds: a fail-over
// of tens of milliseconds is followed within milliseconds, and a cluster that
// is away for hours is not besieged. A server that hangs delays nobody, since
// all are asked side by side.
package session

import "errors"

var (
	// ErrConfig is returned when a configuration cannot work.
	ErrConfig = errors.New("invalid configuration")

	errSilent     = errors.New("the leader was silent for too long")
	errMoved      = errors.New("another server leads in a higher term")
	errRedirected = errors.New("the server handed the session over")
	errLate       = errors.New("no answer in time")
	errNoConnect  = errors.New("no connection in time")
	errProtocol   = errors.New("unexpected message")
)
