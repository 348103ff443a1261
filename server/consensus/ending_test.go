package consensus

import (
	"testing"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// endedBy waits until a member says that a leadership ended for a reason.
func endedBy(t *testing.T, m *member, before Leadership, want ...argosyv1.LeadershipEnd) {
	t.Helper()
	eventually(t, m.name+" knows another leader", func() bool {
		at := m.Leadership()
		return at.LeaderID != "" && at.Term > before.Term
	})
	got := m.Ending(before.Term, before.LeaderID)
	for _, end := range want {
		if got.End == end && got.Reason != "" {
			return
		}
	}
	t.Errorf("%s says that the leadership of term %d ended by %v (%s), want %v", m.name, before.Term, got.End, got.Reason, want)
}

func TestServersKnowWhyALeadershipEnded(t *testing.T) {
	// Slow enough for a busy machine: an election that nobody caused would have
	// another reason.
	c := mustFound(t, 3, func(cfg *Config) { cfg.Timing = LAN().Scale(4) })
	leader := c.mustLead()
	mustWrite(t, leader, "one")

	before := leader.Leadership()
	eventually(t, "a transfer", func() bool { return leader.TransferLeadership(deadline(t), "") == nil || !leader.Leadership().Leader })
	for _, m := range c.members {
		endedBy(t, m, before, argosyv1.LeadershipEnd_LEADERSHIP_END_TRANSFERRED)
	}

	leader = c.mustLead()
	mustWrite(t, leader, "two")
	before = leader.Leadership()
	c.fabric.freeze(leader.name)
	next := c.mustLead()
	for _, m := range c.followers(leader) {
		endedBy(t, m, before, argosyv1.LeadershipEnd_LEADERSHIP_END_LEADER_SILENT)
	}
	c.fabric.thaw(leader.name)
	endedBy(t, leader, before, argosyv1.LeadershipEnd_LEADERSHIP_END_LEADER_SILENT, argosyv1.LeadershipEnd_LEADERSHIP_END_QUORUM_LOST)

	mustWrite(t, next, "three")
	for _, m := range c.members {
		mustHave(t, m, "one", "two", "three")
	}
	before = next.Leadership()
	c.crash(next)
	for _, m := range c.followers(next) {
		endedBy(t, m, before, argosyv1.LeadershipEnd_LEADERSHIP_END_LEADER_GONE)
	}
	_ = c.mustLead()
}

func TestALeaderThatIsRemovedKnowsThat(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	before := leader.Leadership()
	if err := leader.RemoveServer(deadline(t), leader.ID()); err != nil {
		t.Fatal(err)
	}
	if got := leader.Ending(before.Term, leader.ID()); got.End != argosyv1.LeadershipEnd_LEADERSHIP_END_REMOVED {
		t.Errorf("ended by %v (%s)", got.End, got.Reason)
	}
}

func TestFirstWordOnALeadershipCountsAndFewAreKept(t *testing.T) {
	e := newEndings()
	e.note(1, argosyv1.LeadershipEnd_LEADERSHIP_END_DISK, "disk %d", 1)
	e.note(1, argosyv1.LeadershipEnd_LEADERSHIP_END_TRANSFERRED, "later")
	if got, ok := e.of(1); !ok || got.Reason != "disk 1" {
		t.Errorf("%v %v", got, ok)
	}
	for term := range uint64(100) {
		e.note(term+2, argosyv1.LeadershipEnd_LEADERSHIP_END_DISK, "x")
	}
	if _, ok := e.of(1); ok || len(e.known) > rememberedEndings {
		t.Errorf("%d are kept", len(e.known))
	}
	now := time.Now()
	e.lost("a", now)
	if !e.lostSince("a", now) || e.lostSince("a", now.Add(1)) || e.lostSince("b", now) {
		t.Error("lost connections")
	}
}
