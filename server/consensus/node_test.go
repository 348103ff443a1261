package consensus

import (
	"testing"
)

func TestThreeServersElectALeaderAndReplicate(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "one")
	mustWrite(t, leader, "two")
	for _, m := range c.members {
		mustHave(t, m, "one", "two")
	}
}

func TestFollowersFindAKilledLeaderByEvidence(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	c.crash(leader)
	next := c.mustLead()
	mustWrite(t, next, "after")
	if n := next.Campaigns()[CauseLeaderGone]; n == 0 {
		t.Fatalf("the new leader was not elected by evidence: %v", next.Campaigns())
	}
	for _, m := range c.alive() {
		mustHave(t, m, "before", "after")
	}
}
