package consensus

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Ending is why a leadership ended, as far as this server knows.
type Ending struct {
	// End is the reason; unspecified when it is not known.
	End argosyv1.LeadershipEnd
	// Reason says it in words.
	Reason string
}

// endings remembers why leaderships ended. What knows a reason notes it when it
// happens, which may be a little before or after the end itself; the first word on
// a term is the one that counts.
type endings struct {
	mu    sync.Mutex
	known map[uint64]Ending
	// broken is when connections of servers to this one last broke.
	broken map[string]time.Time
}

// rememberedEndings bounds how many are kept: they are asked for soon.
const rememberedEndings = 16

func newEndings() *endings {
	return &endings{known: map[uint64]Ending{}, broken: map[string]time.Time{}}
}

func (e *endings) note(term uint64, end argosyv1.LeadershipEnd, format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.known[term]; known {
		return
	}
	if len(e.known) >= rememberedEndings {
		oldest := term
		for t := range e.known {
			oldest = min(oldest, t)
		}
		delete(e.known, oldest)
	}
	e.known[term] = Ending{end, fmt.Sprintf(format, args...)}
}

func (e *endings) of(term uint64) (Ending, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ending, ok := e.known[term]
	return ending, ok
}

// lost notes that a connection of a server broke.
func (e *endings) lost(peer string, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.broken) >= rememberedEndings {
		clear(e.broken)
	}
	e.broken[peer] = now
}

func (e *endings) lostSince(peer string, since time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.broken[peer]
	return ok && !at.Before(since)
}

// own notes why the leadership of this server is about to end, if it leads.
func (n *Node) own(end argosyv1.LeadershipEnd, format string, args ...any) {
	if r := n.leadership.reigning(); r != nil {
		n.endings.note(r.term, end, format, args...)
	}
}

// storeFailed takes the news that entries could not be stored.
func (n *Node) storeFailed(err error) {
	n.own(argosyv1.LeadershipEnd_LEADERSHIP_END_DISK, "its disk refused entries: %v", err)
}

// connectionLost takes the news that a connection of a server to this one broke.
func (n *Node) connectionLost(peer string) {
	n.endings.lost(peer, time.Now())
	n.vigil.lost(peer)
}

// Ending tells why the leadership of a server in a term ended.
func (n *Node) Ending(term uint64, leader string) Ending {
	if ending, ok := n.endings.of(term); ok {
		return ending
	}
	if h := n.handing.Load(); h != nil && h.term == term {
		return Ending{argosyv1.LeadershipEnd_LEADERSHIP_END_TRANSFERRED, fmt.Sprintf("it handed over to server %s", h.to)}
	}
	at := n.standing()
	switch {
	case leader == n.ID() && at.term == term:
		return Ending{argosyv1.LeadershipEnd_LEADERSHIP_END_QUORUM_LOST, "it stepped down: a majority did not answer it"}
	case leader == n.ID():
		return Ending{argosyv1.LeadershipEnd_LEADERSHIP_END_LEADER_SILENT, "another server was elected: the others did not hear it"}
	case at.state == raft.Candidate:
		return Ending{argosyv1.LeadershipEnd_LEADERSHIP_END_TIMED_OUT, "it was not heard for as long as Raft waits"}
	}
	return Ending{}
}

// handedOver takes in that the leader hands over to this server.
func (n *Node) handedOver() {
	if at := n.standing(); at.leader != "" {
		n.endings.note(at.term, argosyv1.LeadershipEnd_LEADERSHIP_END_TRANSFERRED, "it handed over to server %s", n.ID())
	}
}

// balloted takes in that a candidate asks for this server's vote: it tells why
// the leadership that there is may end.
func (n *Node) balloted(request *raft.RequestVoteRequest) {
	n.vigil.ballots.note(request)
	at := n.standing()
	if at.leader == "" || at.leader == n.ID() || request.Term <= at.term {
		return
	}
	now := time.Now()
	silence := now.Sub(at.heard)
	switch {
	case !request.LeadershipTransfer:
		// Raft's own timer ran out somewhere; whether that ends this leadership is
		// for this server's timer to say.
	case n.endings.lostSince(at.leader, now.Add(-n.cfg.Timing.Election)):
		n.endings.note(at.term, argosyv1.LeadershipEnd_LEADERSHIP_END_LEADER_GONE, "its connection broke, and server %s found it gone", request.ID)
	case silence >= n.cfg.Timing.Silence*7/10:
		n.endings.note(at.term, argosyv1.LeadershipEnd_LEADERSHIP_END_LEADER_SILENT, "it was silent for %v, and server %s found a majority that had not heard it", silence.Round(time.Millisecond), request.ID)
	default:
		n.endings.note(at.term, argosyv1.LeadershipEnd_LEADERSHIP_END_TRANSFERRED, "it handed over to server %s", request.ID)
	}
}
