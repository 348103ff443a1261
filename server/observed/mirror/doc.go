// Package mirror carries observed state from the leader to the followers, so
// that any replica can answer for it and a new leader starts with what the last
// one knew.
//
// The invariant it protects: a follower that has reached a position shows all
// that the leader had at that position. A stream begins with a full copy and
// goes on with every change after it; a follower that is too slow for the
// leader's ring gets a full copy again. Nothing is acknowledged and nothing is
// buffered for a follower beyond the one ring that all share.
package mirror
