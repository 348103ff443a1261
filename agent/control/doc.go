// Package control is the control interface: two pipes in a folder of its own by
// which a workload speaks to its agent, in the messages of Ankaios, so that
// what was built with its SDKs runs here unchanged. The runtimes show the folder
// to the workload as /run/ankaios/control_interface; what requests mean is the
// Handler's affair.
//
// It protects one invariant: nothing that a workload does with its pipes costs
// anybody else anything. Whatever it writes, never reads, removes or replaces,
// the agent neither waits nor grows without bound nor follows a link, and every
// other workload is served as before.
//
// # Pipes
//
// The agent is the reader of "output" and the writer of "input" for as long as it
// runs. On "input" it keeps a writing end and no reading one: so opening it never
// blocks a workload, and the kernel tells when the last reader has left. What that
// one left unread is thrown away, since its successor would begin in the middle of a
// message. Who reads next is told by inotify; at rest
// nothing is asked by a timer.
//
// The folder of the pipes belongs to the agent, and so does the one above it,
// which nobody else may enter. The pipes themselves are open to everyone: a
// container sees them by a mount, whoever its user is, and nobody else can get
// there. Runtimes should mount the folder read-only, which leaves pipes usable
// and keeps the workload from replacing them. Where it does so nevertheless, what
// it put there is removed and the pipe is made anew.
//
// # Pace
//
// The SDK of Python takes one message of what a reading brings, and looks at the
// rest only when there is more to read. So a message is written when the one
// before it has been read. Nothing tells that: while one message waits for another
// the pipe is looked at by a timer, ever less often. SDKs also forget what comes
// for a subscription before they have noted its first response; the second one
// waits for that ([Config].SubscriptionPause). docs/ankaios.md says which SDKs were
// tried, and how.
//
// # Sessions
//
// A session begins with a Hello, and again with every further one, as an SDK sends
// it after it was started or has lost the agent. It ends by a Hello of a version
// that is not spoken here, or when the stream cannot be followed: a length that is
// none, a message too large, half a message and then the end of the pipe or
// nothing for long. The workload hears why (ConnectionClosed), and what comes is
// thrown away until the pipe is opened anew or a Hello comes by itself.
//
// A file beside the folder, where workloads do not see it, says that there is a
// session. An agent that is started again goes on with it if somebody has the pipe
// open for writing: requests are served whether or not the workload noticed, and a
// request that was under way before a repeated Hello does no harm. Should the
// former agent have died within a message, the first one cannot be decoded, which
// ends the session in the ordinary way.
package control

import "errors"

var (
	// ErrConfig is returned when a configuration cannot work.
	ErrConfig = errors.New("invalid configuration")
	// ErrEnded is returned by a Manager that has ended, and is the cause that
	// ends requests when their interface is closed.
	ErrEnded = errors.New("control interface closed")
	// ErrDenied is returned by a Handler for what a workload may not do.
	ErrDenied = errors.New("access denied")
	// ErrTimeout is the cause that ends a request that took too long.
	ErrTimeout = errors.New("no answer in time")
	// ErrCancelled is the cause that ends a subscription that the workload has
	// cancelled, or forgotten by a new Hello.
	ErrCancelled = errors.New("cancelled by the workload")
	// ErrNotRead is the cause that ends a subscription whose workload does not
	// read what it gets.
	ErrNotRead = errors.New("messages are not read")
	// ErrTooLarge is returned for a response that is larger than what may wait
	// for a workload.
	ErrTooLarge = errors.New("response too large")
	// ErrOver is returned for a response to a request that has ended.
	ErrOver = errors.New("request has ended")
)

var (
	errLost    = errors.New("stream cannot be followed")
	errTooBig  = errors.New("message too large")
	errBusy    = errors.New("too many subscriptions")
	errPresent = errors.New("subscription with this request id exists")
)
