// Package client is the Go client of a cluster: what the command line, the tests
// and the chaos suite use.
//
// It is given several endpoints and keeps to one that answers. It moves on by
// itself: at once when a connection breaks or is refused, and, when an endpoint
// falls silent in the middle of a call, by asking another one beside it. Both are
// safe because every write carries a request id that the state machine remembers:
// however often and wherever it is repeated, it is carried out once.
//
// Writes of one client that are under way at once go to a server on one stream,
// which costs both sides a fraction of so many calls. It changes nothing for those
// who call.
//
// The invariant it protects: a call that returns nil was answered by the cluster;
// a call that returns an error of code FATE_UNKNOWN may have been carried out, and
// any other error means that it was not.
package client
