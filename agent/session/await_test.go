package session

import (
	"testing"
	"time"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// mustLoseLeader starts an agent with a leader and two followers, and kills the
// leader.
func mustLoseLeader(t *testing.T, wait time.Duration) (two, three *server, d *directory) {
	t.Helper()
	one, two, three := startServer(t), startServer(t), startServer(t)
	one.lead(3, func(w *argosyv1.Welcome) { w.ServerAddresses = []string{one.address, two.address, three.address} })
	two.redirect("", 3)
	three.redirect("", 3)
	d = newDirectory()
	startAgent(t, servers(one), gossiping(d), func(c *Config, _ *agent) { c.AnnouncementWait = wait })
	one.mustJoin(t)
	one.grpc.Stop()
	return two, three, d
}

func TestWhenTheLeaderIsGoneOnlyTheOneIsAskedOfWhomGossipTells(t *testing.T) {
	two, three, d := mustLoseLeader(t, time.Hour)
	three.lead(4)
	d.announce(three.address, 4)
	three.mustJoin(t)
	if n := len(two.asked()); n != 0 {
		t.Errorf("the other follower was asked %d times", n)
	}
	if n := len(three.asked()); n != 1 {
		t.Errorf("the new leader was asked %d times", n)
	}
}

func TestWhenALeaderIsDeposedOnlyTheOneIsAskedOfWhomGossipTells(t *testing.T) {
	old, other, next := startServer(t), startServer(t), startServer(t)
	old.lead(3, func(w *argosyv1.Welcome) { w.ServerAddresses = []string{old.address, other.address, next.address} })
	other.redirect("", 3)
	d := newDirectory()
	startAgent(t, servers(old), gossiping(d), func(c *Config, _ *agent) { c.AnnouncementWait = time.Hour })
	old.mustJoin(t)
	old.fail <- argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_LEADER, "leads no more")
	old.mustLeave(t)
	next.lead(4)
	d.announce(next.address, 4)
	next.mustJoin(t)
	if asked := len(other.asked()); asked != 0 {
		t.Errorf("a follower was asked %d times", asked)
	}
	if asked := len(old.asked()); asked != 1 {
		t.Errorf("the deposed leader was asked %d times", asked)
	}
}

func TestWhenGossipDoesNotTellAllAreAskedAfterAWhile(t *testing.T) {
	two, three, _ := mustLoseLeader(t, time.Millisecond)
	eventually(t, "both followers are asked", func() bool { return len(two.asked()) > 0 && len(three.asked()) > 0 })
	three.lead(4)
	three.mustJoin(t)
}
