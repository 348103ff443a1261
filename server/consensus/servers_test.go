package consensus

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// lead gives votes to those that have caught up, on whoever leads, until the test
// ends.
func (c *cluster) lead() {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for _, m := range c.members {
		work.Go(func() {
			target := uint64(0)
			for ctx.Err() == nil {
				o, err := m.Overview()
				for _, f := range o.Servers {
					if err == nil && !f.Voter && target > 0 && f.Match >= target && time.Since(f.Heard) < m.cfg.Timing.Heartbeat {
						_ = m.PromoteServer(ctx, f.ID, o.Configuration)
					}
				}
				target = o.Last
				select {
				case <-time.After(10 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	c.t.Cleanup(func() {
		cancel()
		work.Wait()
	})
}

func servers(t *testing.T, m *member) map[string]Server {
	t.Helper()
	list, err := m.Configuration()
	if err != nil {
		t.Fatal(err)
	}
	byID := make(map[string]Server)
	for _, s := range list {
		byID[s.ID] = s
	}
	return byID
}

// Two of three servers have the change that gives the third its vote, and one of
// the two is lost with its leader. What is left is a majority, though the other
// one has not heard of the change.
func TestANewVoterIsElectedByWhoHasNotHeardOfItsVote(t *testing.T) {
	c := mustFound(t, 2)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	behind := c.followers(leader)[0]
	joiner := c.mustAdd()
	if err := joiner.SetClusterID(c.id); err != nil {
		t.Fatal(err)
	}
	if err := leader.AddServer(deadline(t), joiner.ID(), joiner.Address()); err != nil {
		t.Fatal(err)
	}
	mustHave(t, joiner, "before")
	mustHave(t, behind, "before")
	eventually(t, "both to know of the new server", func() bool {
		_, one := servers(t, behind)[joiner.ID()]
		_, other := servers(t, joiner)[joiner.ID()]
		return one && other
	})
	c.crash(behind)
	if err := leader.PromoteServer(deadline(t), joiner.ID(), 0); err != nil {
		t.Fatalf("the new one got no vote from the leader and itself: %v", err)
	}
	c.crash(leader)
	c.mustOpen(behind)
	if next := c.mustLead(); next != joiner {
		t.Errorf("%s leads, with less of the log", next.name)
	}
	c.mustWriteSomewhere("after")
}

func TestNewServerVotesOnceItHasCaughtUp(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	joiner := c.mustAdd()
	if err := joiner.SetClusterID(c.id); err != nil {
		t.Fatal(err)
	}
	if err := leader.AddServer(deadline(t), joiner.ID(), joiner.Address()); err != nil {
		t.Fatal(err)
	}
	mustHave(t, joiner, "before")
	if got := servers(t, leader)[joiner.ID()]; got.Voter || got.RaftAddress != joiner.Address() {
		t.Fatalf("nobody gave it a vote, and it is %+v", got)
	}
	if joiner.Status().GetVoter() {
		t.Fatal("it takes itself for a voter")
	}
	c.lead()
	eventually(t, "it has a vote", func() bool { return servers(t, leader)[joiner.ID()].Voter })
	eventually(t, "it knows", func() bool { return joiner.Status().GetVoter() })

	// Its vote counts: three of four are needed, two of the old ones are left.
	for i, m := range c.followers(leader) {
		if i == 0 {
			c.crash(m)
		}
	}
	mustWrite(t, leader, "after")
	mustHave(t, joiner, "before", "after")
}

func TestServerThatIsNotThereGetsNoVote(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	ghost := uuid.NewString()
	if err := leader.AddServer(deadline(t), ghost, "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	c.lead()
	began := time.Now()
	for time.Since(began) < 4*leader.cfg.Timing.Heartbeat {
		mustWrite(t, leader, "x")
		if servers(t, leader)[ghost].Voter {
			t.Fatal("a server that never answered has a vote")
		}
	}
	if err := leader.RemoveServer(deadline(t), ghost); err != nil {
		t.Fatal(err)
	}
	if _, ok := servers(t, leader)[ghost]; ok {
		t.Fatal("it is still there")
	}
	if err := leader.RemoveServer(deadline(t), ghost); !errors.Is(err, ErrUnknownServer) {
		t.Fatalf("removed twice: %v", err)
	}
}

func TestServerComesBackAtANewAddress(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	moved := c.followers(leader)[0]
	mustWrite(t, leader, "before")
	c.crash(moved)
	moved.cfg.RaftAddress = "127.0.0.2:0"
	c.mustOpen(moved)
	if err := leader.AddServer(deadline(t), moved.ID(), moved.Address()); err != nil {
		t.Fatal(err)
	}
	mustHave(t, moved, "before")
	if got := servers(t, leader)[moved.ID()]; !got.Voter || got.RaftAddress != moved.Address() {
		t.Fatalf("it is %+v", got)
	}
	if err := leader.AddServer(deadline(t), moved.ID(), moved.Address()); err != nil {
		t.Fatalf("told twice: %v", err)
	}
}

func TestServerThatGossipTakesForItsFormerSelfIsFoundByTheConfiguration(t *testing.T) {
	c := newCluster(t)
	var mu sync.Mutex
	heard := map[string]string{}
	c.resolve = func(id string) string {
		mu.Lock()
		defer mu.Unlock()
		return heard[id]
	}
	c.mustFound(3)
	leader := c.mustLead()
	moved := c.followers(leader)[0]
	say := func(address string) {
		mu.Lock()
		defer mu.Unlock()
		heard[moved.ID()] = address
	}
	say(moved.Address())
	mustWrite(t, leader, "before")
	c.crash(moved)
	moved.cfg.RaftAddress = "127.0.0.2:0"
	c.mustOpen(moved)
	if err := leader.AddServer(deadline(t), moved.ID(), moved.Address()); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, leader, "meanwhile")
	mustHave(t, moved, "before", "meanwhile")
	// Gossip may be ahead of the configuration, too.
	c.crash(moved)
	moved.cfg.RaftAddress = "127.0.0.4:0"
	c.mustOpen(moved)
	say(moved.Address())
	mustWrite(t, leader, "after")
	mustHave(t, moved, "before", "meanwhile", "after")
}

func TestServersThatAllMoveFindEachOther(t *testing.T) {
	c := mustFound(t, 3)
	mustWrite(t, c.mustLead(), "before")
	for _, m := range c.members {
		c.crash(m)
	}
	// What gossip would know.
	var mu sync.Mutex
	addresses := make(map[string]string)
	c.resolve = func(id string) string {
		mu.Lock()
		defer mu.Unlock()
		return addresses[id]
	}
	for _, m := range c.members {
		m.cfg.RaftAddress = "127.0.0.3:0"
		c.mustOpen(m)
		mu.Lock()
		addresses[m.ID()] = m.Address()
		mu.Unlock()
	}
	leader := c.mustLead()
	mustWrite(t, leader, "after")
	for _, m := range c.members {
		mustHave(t, m, "before", "after")
	}
}

func TestAddressOfAnotherServerIsRefused(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	other := c.followers(leader)[0]
	err := leader.AddServer(deadline(t), uuid.NewString(), other.Address())
	if !errors.Is(err, ErrAddressTaken) || !strings.Contains(err.Error(), other.ID()) {
		t.Fatalf("add: %v", err)
	}
}

func TestOnlyTheLeaderChangesTheConfiguration(t *testing.T) {
	c := mustFound(t, 3)
	follower := c.followers(c.mustLead())[0]
	if err := follower.AddServer(deadline(t), uuid.NewString(), "127.0.0.1:1"); !errors.Is(err, ErrNotLeader) {
		t.Errorf("add: %v", err)
	}
	if err := follower.RemoveServer(deadline(t), follower.ID()); !errors.Is(err, ErrNotLeader) {
		t.Errorf("remove: %v", err)
	}
	if err := follower.TransferLeadership(deadline(t), ""); !errors.Is(err, ErrNotLeader) {
		t.Errorf("transfer: %v", err)
	}
	if _, err := follower.Overview(); !errors.Is(err, ErrNotLeader) {
		t.Errorf("overview: %v", err)
	}
}

func TestLeadershipIsTransferredToTheOneNamed(t *testing.T) {
	c := mustFound(t, 3)
	var old, to *member
	eventually(t, "a transfer succeeds", func() bool {
		old = c.mustLead()
		to = c.followers(old)[1]
		err := old.TransferLeadership(deadline(t), to.ID())
		if err != nil {
			t.Logf("%v", err) // it may time out on a busy machine
		}
		return err == nil
	})
	eventually(t, "it leads", func() bool { return to.Leadership().Leader })
	if err := c.mustLead().TransferLeadership(deadline(t), to.ID()); err != nil {
		t.Fatalf("to itself: %v", err)
	}
	if err := to.TransferLeadership(deadline(t), uuid.NewString()); !errors.Is(err, ErrUnknownServer) {
		t.Fatalf("to nobody: %v", err)
	}
	mustWrite(t, to, "after")
}

func TestChangeThatWasDecidedOnAnOldConfigurationIsRefused(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	seen, err := leader.Overview()
	if err != nil {
		t.Fatal(err)
	}
	ghost := uuid.NewString()
	if err := leader.AddServer(deadline(t), ghost, "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	victim := c.followers(leader)[0].ID()
	if err := leader.RemoveServerAt(deadline(t), victim, seen.Configuration); !errors.Is(err, ErrChanged) {
		t.Fatalf("remove: %v", err)
	}
	if err := leader.PromoteServer(deadline(t), ghost, seen.Configuration); !errors.Is(err, ErrChanged) {
		t.Fatalf("promote: %v", err)
	}
	if got := servers(t, leader); !got[victim].Voter || got[ghost].Voter {
		t.Fatalf("configuration is %+v", got)
	}
}

func TestOverviewTellsHowFarFollowersAre(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	index := mustWrite(t, leader, "one")
	eventually(t, "everybody is level", func() bool {
		o, err := leader.Overview()
		if err != nil {
			return false
		}
		for _, f := range o.Servers {
			if f.Match < index || f.Match > o.Last || time.Since(f.Heard) > time.Second {
				return false
			}
		}
		return len(o.Servers) == 3
	})
	lost := c.followers(leader)[0]
	c.crash(lost)
	mustWrite(t, leader, "two")
	o, err := leader.Overview()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range o.Servers {
		if f.ID == lost.ID() && f.Match >= o.Last {
			t.Errorf("a dead follower is said to have entry %d of %d", f.Match, o.Last)
		}
	}
}

func TestRemovedLeaderStepsDown(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	if err := leader.RemoveServer(deadline(t), leader.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it does not lead", func() bool { return !leader.Leadership().Leader })
	if got := leader.Status().GetProblem(); !strings.Contains(got, "removed") {
		t.Fatalf("its status says %q", got)
	}
	eventually(t, "another one leads", func() bool {
		for _, m := range c.followers(leader) {
			if _, _, err := m.ReadIndex(deadline(t)); err == nil {
				return true
			}
		}
		return false
	})
}
