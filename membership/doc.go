// Package membership is what a process knows of the others by gossip: which
// servers and agents there are, where they are reached, which of them live, and
// which server leads. It is a thin layer over memberlist, a SWIM protocol.
//
// # The invariant it protects
//
// Gossip is a hint and never an authority. Nothing that is true of the cluster
// becomes false, and nothing is lost, when what this package says is late,
// missing or wrong: who may vote is Raft's to say, who leads is fenced by
// terms, and who somebody is, is proven by certificates (package identity). So
// callers may act on a hint at once, and must be able to live without any.
//
// # What it assumes
//
// Every server and agent runs one Membership. Its identity is its id, which
// outlives restarts and changes of address; it is never an address. Members that
// share a cluster name and, if there is one, a key can hear each other: the name
// is the label of every packet. The id of the cluster travels in the metadata,
// since it does not exist before the cluster is bootstrapped: a member that does
// not know its cluster's id is welcome everywhere, one that has another id is
// refused, with a log line that names both.
//
// Without a keyring whoever can send packets to the gossip port can tell
// anything, and can disturb: a network that is not trusted needs a keyring.
//
// # What it guarantees
//
//   - Seeds are tried again until each was reached, fast at first. Whenever this
//     node is alone or misses a member that did not leave, seeds and missing
//     servers are tried again, so that the parts of a split network find each
//     other however long it took.
//   - A member that was killed is known to be dead within about 2 s on a LAN; one
//     that leaves is known to have left at once.
//   - A member that comes back under its id with another address replaces what
//     was known of it, as soon as its former self is known to be dead or left.
//   - A new leader is known to every reachable member after one datagram, and at
//     the latest with the gossip that follows. A higher term always wins; a term
//     has one leader, the first one heard of.
//   - Close takes no longer than Config.LeaveTimeout and is not delayed by
//     members that do not answer.
//
// # Where its goroutines are
//
// memberlist calls back with its locks held. The delegates in this package only
// change the directory, a map below a lock of its own, and raise signals; they
// never wait and never call memberlist. Even log lines are handed over, so that
// a blocked standard error does not make this node look dead.
package membership
