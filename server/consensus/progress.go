package consensus

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// progress is what a leader knows of its followers, learned from the answers
// to its AppendEntries. Raft keeps this to itself.
type progress struct {
	mu      sync.Mutex
	peers   map[raft.ServerID]peerProgress
	changed chan struct{} // closed at the next change; nil when nobody waits

	// advanced gets a value when a follower has taken in entries.
	advanced chan struct{}
}

type peerProgress struct {
	term uint64
	// confirmed is when the newest message was sent to which the follower
	// answered that it follows in this term.
	confirmed time.Time
	// match is the last entry that the follower has in common with the leader.
	match uint64
	// told is the commit index that was last sent to it.
	told uint64
	// installing counts the snapshots that are on their way to it.
	installing int
}

func newProgress() *progress {
	return &progress{
		peers:    make(map[raft.ServerID]peerProgress),
		advanced: make(chan struct{}, 1),
	}
}

// tell takes in a message before it is sent.
func (p *progress) tell(id raft.ServerID, request *raft.AppendEntriesRequest) {
	if request.LeaderCommitIndex == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if peer, ok := p.inTerm(id, request.Term); ok {
		peer.told = max(peer.told, request.LeaderCommitIndex)
		p.peers[id] = peer
	}
}

// inTerm returns what is known of a follower in the term of a message, and
// false when the message is of a term that is over.
func (p *progress) inTerm(id raft.ServerID, term uint64) (peerProgress, bool) {
	peer := p.peers[id]
	if term > peer.term {
		peer = peerProgress{term: term}
	}
	return peer, term == peer.term
}

// note takes in an answer.
func (p *progress) note(id raft.ServerID, sent time.Time, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) {
	if response.Term > request.Term {
		return // it follows somebody else by now
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	peer, ok := p.inTerm(id, request.Term)
	if !ok {
		return
	}
	if sent.After(peer.confirmed) {
		peer.confirmed = sent
	}
	// A heartbeat has no previous entry and says nothing about the log.
	if response.Success && (request.PrevLogEntry > 0 || len(request.Entries) > 0) {
		match := request.PrevLogEntry
		if n := len(request.Entries); n > 0 {
			match = request.Entries[n-1].Index
		}
		if match > peer.match {
			peer.match = match
			select {
			case p.advanced <- struct{}{}:
			default:
			}
		}
	}
	p.peers[id] = peer
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// install notes that a snapshot is on its way to a follower, until the function
// that it returns is called.
func (p *progress) install(id raft.ServerID, term uint64) (done func()) {
	add := func(n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if peer, ok := p.inTerm(id, term); ok {
			peer.installing += n
			p.peers[id] = peer
		}
	}
	add(1)
	return func() { add(-1) }
}

// wait returns a channel that is closed at the next change.
func (p *progress) wait() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// of returns what is known of a follower in a term.
func (p *progress) of(id raft.ServerID, term uint64) (peerProgress, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	peer, ok := p.peers[id]
	return peer, ok && peer.term == term
}

// confirmed reports whether a quorum of the voters, self included, has
// answered in this term to messages sent at or after a time.
func (p *progress) confirmed(self raft.ServerID, voters []raft.ServerID, term uint64, since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := 0
	for _, id := range voters {
		peer := p.peers[id]
		if id == self || peer.term == term && !peer.confirmed.Before(since) {
			count++
		}
	}
	return count >= len(voters)/2+1
}
