package consensus

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// What a leader has is as old as the last word of a quorum, not as that of the
// follower which happens to answer.
func TestTheAgeOfALeaderIsThatOfItsQuorum(t *testing.T) {
	now := time.Now()
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	voters := []raft.ServerID{"a", "b", "c", "d", "e"}
	for name, c := range map[string]struct {
		heard map[raft.ServerID]time.Time
		want  time.Time
	}{
		"all answer":             {map[raft.ServerID]time.Time{"b": ago(1), "c": ago(2), "d": ago(3), "e": ago(4)}, ago(2)},
		"a minority answers":     {map[raft.ServerID]time.Time{"b": ago(1), "c": ago(60), "d": ago(70)}, ago(60)},
		"too few ever did":       {map[raft.ServerID]time.Time{"b": ago(1)}, time.Time{}},
		"strangers do not count": {map[raft.ServerID]time.Time{"b": ago(1), "x": ago(1), "y": ago(1)}, time.Time{}},
	} {
		p := newProgress()
		for id, at := range c.heard {
			p.note(id, at, &raft.AppendEntriesRequest{Term: 3}, &raft.AppendEntriesResponse{Term: 3, Success: true})
		}
		if got := p.oldest("a", voters, 3, now); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if got := p.oldest("a", voters, 4, now); !got.IsZero() {
			t.Errorf("%s: in another term %v", name, got)
		}
	}
	if got := newProgress().oldest("a", voters[:1], 1, now); !got.Equal(now) {
		t.Errorf("alone: %v", got)
	}
}
