// Package consensus is a server's part in Raft: one node, its log, its
// connections to the others, and what leadership means to the rest of the
// server.
//
// The invariant it protects: what it says about an entry or about leadership
// is true or says that it does not know. A proposal is reported as done, as
// certainly not done, or as of unknown fate, never wrongly as one of the first
// two; a read index is given out only after a quorum has confirmed that this
// server leads.
//
// The node wraps hashicorp/raft and adds what that leaves to its users:
//
//   - Finding a dead leader by evidence instead of by timers (vigil): tens of
//     milliseconds after it was killed, about a tenth of a second after it
//     froze.
//   - Connections that know who is at the other end (layer): the cluster and
//     both servers are named in a preamble, inside mutual TLS when it is on.
//   - A transport that tells when a follower agreed (transport, progress): a
//     quorum that answered to messages from before a pause proves nothing.
//   - Entries that are bound to the term they were proposed in (applier): of
//     two proposals that build on each other never only the second is carried
//     out.
//   - A leader whose disk hangs falls silent (storage, transport), and one
//     that commits nothing steps down.
//   - Failures of disk and state machine that Raft would panic about end the
//     node in order, with a reason (guard, Err).
//   - The identity in the data directory, and a lock so that one process uses
//     it.
//
// What is safe when hashicorp/raft is led by the hand: campaigning is always
// safe in Raft, whoever does it and whenever. A campaign by evidence is an
// ordinary leadership transfer that nobody asked the leader for. Voters then
// ignore that they have a leader, so a leader's lease proves nothing here.
package consensus
