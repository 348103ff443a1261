package consensus

import (
	"slices"

	"github.com/hashicorp/raft"
)

// This file lets a candidate be judged by its log alone.
//
// Raft's library refuses its vote, and its word on whether it would give it, to
// whoever is no voter by the configuration that this server has. But that may be
// an old one: when the leader that gave the candidate its vote is lost, and this
// server has not heard of that change, the two are a majority that elects nobody,
// for good. The thesis on Raft has servers vote for a candidate that is not in
// their configuration (section 4.2.2). That is safe: a candidate counts votes by
// its own configuration, and two that follow each other overlap. Who was removed
// and has not heard of it lacks the entry that says so, which a majority of those
// that remain has, and is refused for its log.

// known returns an id by which Raft judges a candidate by its log: the candidate's
// own if this server takes it for a voter, that of some voter if not. Raft uses it
// for nothing else.
func (n *Node) known(candidate []byte) []byte {
	voters := n.voters()
	if len(voters) == 0 || slices.Contains(voters, raft.ServerID(candidate)) {
		return candidate
	}
	n.log.Info("a candidate is no voter as far as this server knows, and is judged by its log", "candidate", string(candidate))
	return []byte(voters[0])
}
