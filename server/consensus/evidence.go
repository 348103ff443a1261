package consensus

import (
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Cause is why a server campaigned without waiting for Raft's timers.
type Cause string

// The causes of a campaign.
const (
	// CauseLeaderGone is a broken connection from the leader and a refused one
	// to it: its process is gone.
	CauseLeaderGone Cause = "leader-gone"
	// CauseSilence is a leader that a majority has not heard for a while.
	CauseSilence Cause = "silence"
	// CauseAhead is another server's campaign that cannot succeed: it needs this
	// one's vote, which is denied since this one's log goes further.
	CauseAhead Cause = "ahead"
	// CauseFounding is the first election of a new cluster.
	CauseFounding Cause = "founding"
	// CauseAlone is a cluster of one: there is nobody to ask.
	CauseAlone Cause = "alone"
)

// standing is what a server knows of its own place in Raft at a moment.
type standing struct {
	state         raft.RaftState
	term          uint64
	leader        string // "" when none is known
	leaderAddress string
	heard         time.Time // when the leader was last heard, or a vote given
	voters        []string  // in the order of the configuration
}

// electable reports whether a server may campaign: it must have a vote.
func (s standing) electable(self string) bool {
	return s.state != raft.Shutdown && slices.Contains(s.voters, self)
}

// led reports whether somebody leads, other than the leader that the
// accusation is about. The accused itself may have come back and have been
// elected again since.
func (s standing) led(accusation standing) bool {
	if s.state == raft.Leader {
		return true
	}
	return s.leader != "" && (s.leader != accusation.leader || s.term != accusation.term)
}

func (s standing) quorum() int { return len(s.voters)/2 + 1 }

// rank returns how many voters go before self when the accused is gone, in the
// order of the configuration, which all of them share.
func (s standing) rank(self, accused string) int {
	before := 0
	for _, id := range s.voters {
		switch id {
		case self:
			return before
		case accused:
		default:
			before++
		}
	}
	return before
}

// decides reports whether nobody else can win without this server's vote when
// the accused gives none.
func (s standing) decides(self, accused string) bool {
	others := len(s.voters) - 1
	if accused != "" && accused != self {
		others--
	}
	return others < s.quorum()
}

// consents reports whether a server's answer supports the accusation that a
// leader, or anybody when accused is empty, has not been heard for a time.
func consents(responder string, answer *argosyv1.ContactResponse, accused string, term uint64, silence time.Duration) bool {
	if !answer.GetFollower() || answer.GetTerm() > term {
		return false // it is in the middle of an election, or past it
	}
	if responder == accused {
		return answer.GetLeaderId() != accused // it leads no more and says so
	}
	if led := answer.GetLeaderId(); led != "" && led != accused {
		return false
	}
	return time.Duration(answer.GetSilentMs())*time.Millisecond >= silence
}

// entryID says how far a log reaches. The one with the higher term is newer,
// then the longer one.
type entryID struct{ term, index uint64 }

func (e entryID) olderThan(other entryID) bool {
	return e.term < other.term || e.term == other.term && e.index < other.index
}

// pulse knows whether this process itself has been running. A server that was
// paused or starved finds its clocks far ahead of the messages that wait in
// its sockets: it must not take its own absence for the leader's.
type pulse struct {
	tolerance time.Duration
	allowance time.Duration

	mu    sync.Mutex
	due   time.Time // when the watching goroutine must have run again
	since time.Time // silence is not counted from before this
}

// expect says until when the watching goroutine sleeps.
func (p *pulse) expect(due time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = due
}

// awake says that it runs again, and reports whether that was late.
func (p *pulse) awake(now time.Time) (late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	late = p.late(now)
	if late {
		// Whoever was heard before the pause gets some time to be heard again.
		p.since = now.Add(-p.allowance)
	}
	p.due = time.Time{}
	return late
}

// silence returns for how long nobody was heard, as far as this process can
// tell.
func (p *pulse) silence(now, heard time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.late(now) {
		return 0
	}
	if heard.Before(p.since) {
		heard = p.since
	}
	return max(0, now.Sub(heard))
}

// rested reports whether this process has been running without a pause for as
// long as that: what it finds in its sockets is not old.
func (p *pulse) rested(now time.Time, d time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.late(now) && now.Sub(p.since) > d
}

func (p *pulse) late(now time.Time) bool {
	return !p.due.IsZero() && now.Sub(p.due) > p.tolerance
}
