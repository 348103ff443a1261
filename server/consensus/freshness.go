package consensus

import (
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// freshness knows how old what this server has applied may be.
//
// To have heard from a leader says nothing of that: a server that was cut off is
// sent heartbeats at once and what it has missed some time later, and one that has
// just been started applies its log for a while. What counts is when a leader last
// said how far the log is committed, of which everything is applied by now.
type freshness struct {
	mu sync.Mutex
	// words are what leaders said and what is not applied yet, the oldest first.
	words []word
	// at is when the newest word came of which everything is applied.
	at time.Time
}

// word is what a leader says of its log: how far it is committed.
type word struct {
	at              time.Time
	committed, term uint64
}

// maxWords bounds those that wait. While there are more, the age that is told may
// be higher than it is.
const maxWords = 64

func (f *freshness) hear(w word) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.words); n > 0 {
		if last := &f.words[n-1]; n == maxWords || last.committed == w.committed && last.term == w.term {
			*last = w
			return
		}
	}
	f.words = append(f.words, w)
}

// since returns the time of which this server has everything, zero when there is
// none.
func (f *freshness) since(applied func(word) bool) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.words) - 1; i >= 0; i-- {
		if applied(f.words[i]) {
			f.at = f.words[i].at
			f.words = append(f.words[:0], f.words[i+1:]...)
			break
		}
	}
	return f.at
}

// heard takes in what a leader says. Heartbeats say nothing of the log.
func (n *Node) heard(request *raft.AppendEntriesRequest) {
	if request.LeaderCommitIndex > 0 && request.Term >= n.raft.CurrentTerm() {
		n.fresh.hear(word{time.Now(), request.LeaderCommitIndex, request.Term})
	}
}

// has reports whether everything is applied here that was committed when a leader
// spoke. It did not know itself before it had committed an entry of its own term.
func (n *Node) has(w word) bool {
	return n.termOf(w.committed) == w.term && n.visible(w.committed) <= n.deps.Machine.Applied()
}

// termOf returns the term of an entry, 0 when it is not here.
func (n *Node) termOf(index uint64) uint64 {
	var entry raft.Log
	err := n.store.GetLog(index, &entry)
	if err == nil {
		return entry.Term
	}
	if errors.Is(err, raft.ErrLogNotFound) {
		if at, term := n.lastTaken(); at == index {
			return term
		}
	}
	return 0
}

// Staleness returns how old what this server has may be: the time since a leader
// last said how far the log is committed of which this server has everything; or,
// when it led later than that, since a quorum last answered to it. It returns
// false when that is not known, as before a server has heard from anybody.
func (n *Node) Staleness() (time.Duration, bool) {
	now := time.Now()
	since := n.fresh.since(n.has)
	if term := n.led.Load(); term > 0 {
		if answered := n.transport.progress.oldest(n.id(), n.voters(), term, now); answered.After(since) {
			since = answered
		}
	}
	if since.IsZero() {
		return 0, false
	}
	return now.Sub(since), true
}
