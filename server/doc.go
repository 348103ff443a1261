// Package server is one replica: it composes the parts below it (consensus, the
// state machine, membership, the writer, the reader, observed state, sessions
// of agents) and offers them over gRPC and HTTP.
//
// The invariant it protects: what only a leader may run exists exactly while
// this server leads. It is built afresh when leadership is gained, after
// everything of earlier terms has been applied, and dropped when it is lost; a
// part that outlives its leadership is fenced by term.
//
// # How the parts meet
//
// The director (director.go) watches who leads and opens the way there, for
// writes and for reads: the local writer, or the warm connection to the leader.
// The leader loop (leader.go) builds and drops the leader's services. The founder
// (founder.go) brings a new server into a cluster, by bootstrap or by joining
// one, and tells the cluster when a server came back under another address.
// The auditor (integrity.go) compares the state with that of the other servers, and
// ends this one when a majority has another; whoever runs it then opens it again
// as a new server (package rebuild).
// Everything else is a translation between an API and one of the parts.
package server
