// Package asks does what workloads ask for through their control interfaces: it
// reads the state of the cluster for them, changes it on their behalf, and tells
// them of changes and of what workloads print.
//
// It protects one invariant: a workload gets what its rules allow at that moment,
// as this agent was last told them, and nothing else. What a deny rule names is
// out of reach however a request is written, and a rule that was taken away ends
// what still runs by it.
//
// # Servers
//
// Requests go to any server that the agent knows, with the agent's own
// certificate; servers let an agent read, and write on behalf of an instance that
// runs on it and may write something. Package client finds a server that answers,
// and repeats what got lost under the id that a write has from the beginning. A
// request waits for servers within its time, and fails with what kept them from
// answering.
//
// # Updates
//
// An update is what its masks name, laid over the state as it is read for it, and
// is carried out only if none of the objects concerned has changed since; otherwise
// it is made anew from the state of then. So nothing that others write meanwhile
// is undone, and two updates of parts of one object both hold.
//
// # Events
//
// All subscriptions of an agent share one watch, of as much of the state as they
// need. Whoever subscribes begins a new one, which starts with a snapshot that is
// no older than the subscription; those who are subscribed already are told the
// difference to what they were told last, if there is any. The same happens when a
// server is lost: however long that lasts, nothing is told twice, and nothing that
// stays so is missed. A workload that reads slowly is told of several changes at
// once. A server that is cut off from the others has nothing to tell and does not
// know it: when nothing comes for long, it is asked, and another one is watched
// when it cannot answer.
package asks

import "errors"

var (
	// ErrConfig is returned when a configuration cannot work.
	ErrConfig = errors.New("invalid configuration")
	// ErrRequest is returned for a request that cannot be carried out as it is
	// written.
	ErrRequest = errors.New("invalid request")
	// ErrRejected is returned for an update that the state cannot take.
	ErrRejected error = known("Update rejected")
	// ErrUnreachable is returned when no server did what was asked in time.
	ErrUnreachable = errors.New("control side not reachable")
)

// known is an error in the words of Ankaios, which workloads may look for.
type known string

func (k known) Error() string { return string(k) }
