package sim

import (
	"slices"
	"strings"
)

// atTheEnd is what is said of a bubble in which everything is over but for what
// was left behind.
const atTheEnd = "main bubble goroutine has exited"

// forgets are functions that Raft's library (hashicorp/raft v1.7.3), or the one of
// its log (bbolt v1.5.0), leaves waiting for good. Whatever harm that does while a server runs is for the checkers to
// find; when all servers have ended there is none.
var forgets = []string{
	// What is asked of Raft (an entry, whether this server still leads) while it is
	// told to end may get no answer any more.
	"raft.(*deferError).Error(",
	// A transfer of leadership during which the leader steps down does not end when
	// the one before it has left something in the queue of its successor.
	"raft.(*Raft).leadershipTransfer(",
	"raft.(*Raft).leaderLoop.func2(",
	// A file that is damaged in two places is not opened for the first one found,
	// and whoever finds the second can tell nobody.
	"bbolt.(*DB).freepages.func",
}

// forgotten tells whether nothing was left in a bubble but what Raft's library is
// known to forget.
func forgotten(cause, stacks string) bool {
	if !strings.Contains(cause, atTheEnd) || stacks == "" {
		return false
	}
	for _, stack := range strings.Split(stacks, "\n\n") {
		// Who began it is not where it waits.
		waits, _, _ := strings.Cut(stack, "created by ")
		if !slices.ContainsFunc(forgets, func(name string) bool { return strings.Contains(waits, name) }) {
			return false
		}
	}
	return true
}
