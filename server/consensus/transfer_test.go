package consensus

import (
	"errors"
	"testing"
	"time"
)

// freezeSuccessor freezes a follower that the leader still takes for well.
func freezeSuccessor(t *testing.T, c *cluster, leader *member) *member {
	t.Helper()
	to := c.followers(leader)[0]
	eventually(t, "the successor is heard", func() bool {
		_, err := leader.successor(leader.leadership.reigning().term, to.ID())
		return err == nil
	})
	c.fabric.freeze(to.name)
	return to
}

func TestATransferThatHangsDoesNotKeepTheLeaderFromWriting(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	to := freezeSuccessor(t, c, leader)
	if err := leader.TransferLeadership(deadline(t), to.ID()); err == nil {
		t.Fatal("leadership was transferred to a server that is frozen")
	}
	if leader.Leadership().Leader {
		// Raft's own word for it would still be "transfer in progress".
		for _, text := range []string{"one", "two"} {
			if _, _, err := leader.Propose([]byte(text)).Wait(deadline(t)); errors.Is(err, ErrNotLeader) && leader.Leadership().Leader {
				t.Fatalf("write %q right after a transfer that failed: %v", text, err)
			}
		}
	}
	c.fabric.thaw(to.name)
	// The message arrives after all, and the server that was frozen campaigns.
	c.mustWriteSomewhere("after")
}

// What Raft waits for in a transfer may never come, and then it refuses everything
// ever after: so it is not asked before the successor has the whole log.
func TestNobodyHandsOverToAServerThatIsBehind(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	to := freezeSuccessor(t, c, leader)
	defer c.fabric.thaw(to.name)
	r := leader.leadership.reigning()
	mustWrite(t, leader, "after")
	if err := leader.awaitMatch(deadline(t), r.term, to.id()); !errors.Is(err, ErrBehind) {
		t.Errorf("a server that lacks an entry may take over: %v", err)
	}
	if leader.Leadership().Leader {
		mustWrite(t, leader, "and after")
	}
}

// mustWriteSomewhere writes on whoever leads, again while leadership changes.
func (c *cluster) mustWriteSomewhere(text string) {
	c.t.Helper()
	eventually(c.t, "a write", func() bool {
		for _, m := range c.alive() {
			if _, _, err := m.Propose([]byte(text)).Wait(deadline(c.t)); err == nil {
				return true
			}
		}
		return false
	})
}

func TestALeaderWhoseTransferNeverEndsStepsDown(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	// As if the message to the successor was not given up.
	leader.transport.patience = time.Hour
	before := leader.Leadership().Term
	to := freezeSuccessor(t, c, leader)
	if err := leader.TransferLeadership(deadline(t), to.ID()); err == nil {
		t.Fatal("leadership was transferred to a server that is frozen")
	}
	leader.transport.handing.mu.Lock()
	hangs := leader.transport.handing.inside > 0
	leader.transport.handing.mu.Unlock()
	if hangs {
		eventually(t, "a new term", func() bool {
			for _, m := range c.alive() {
				if at := m.Leadership(); at.Leader && at.Term > before {
					return true
				}
			}
			return false
		})
	}
	c.fabric.thaw(to.name)
	c.mustWriteSomewhere("after")
}
