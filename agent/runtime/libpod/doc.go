// Package libpod is what the runtimes that use podman share: how they talk to its
// service, through its API only, and what they know of it without asking. It
// protects one invariant: older knowledge never replaces newer, whichever way it
// came.
//
// # What is assumed of the service
//
// It may be slow, hang, be killed and come back as another version. Every call
// has a deadline, and a call that takes long is accompanied by pings, so that a
// service that hangs is told from one that works. Nothing is sent twice. What a
// broken call has done is not guessed: it is looked up by label before the next
// attempt.
//
// # What is known without asking
//
// An index of containers is fed by one stream of events, by lists and by the
// answers to our own calls. The stream is the only thing that goes on while
// nothing happens.
package libpod
