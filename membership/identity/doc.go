// Package identity is who a process is to the others: its certificate, the
// authority that it trusts, and the rules by which the other side of a
// connection is recognised.
//
// The invariant it protects: a connection that was made with an Identity is
// mutual TLS 1.3 between two holders of certificates of the same authority.
// Nothing weaker is negotiated, neither side may stay anonymous, and material
// that could not work (a foreign key, an expired certificate, one of another
// authority, a key that others may read) is refused when it is loaded, by a
// text that names the file, rather than at the first handshake.
//
// What a certificate says:
//
//   - Every server's certificate carries the DNS name ServerName beside its own
//     names. Whoever connects to a server verifies that name and not the host,
//     so that servers may change their addresses; and what only servers may
//     call (Raft, the peer service) demands that name of the caller.
//   - An agent's certificate carries the agent's name as a DNS name. It can
//     speak for no other agent.
//   - Any other certificate of the authority is a user's. Its common name is
//     the principal of what it asks for.
//
// The certificate is handed to TLS through functions, one look-up a handshake,
// so that a later version can renew it without new connections failing.
package identity
