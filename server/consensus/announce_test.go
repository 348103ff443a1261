package consensus

import (
	"fmt"
	"testing"
	"time"
)

// TestFollowersApplySoonAfterTheCommit: without the leader's word they would
// wait for Raft's own message, which is hours away here.
func TestFollowersApplySoonAfterTheCommit(t *testing.T) {
	c := mustFound(t, 3, func(cfg *Config) { cfg.Timing.Commit = time.Hour })
	leader := c.mustLead()
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint(i))
		mustWrite(t, leader, want[i])
		for _, m := range c.members {
			mustHave(t, m, want...)
		}
	}
}
