package consensus

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
)

func TestProposalsAreAppliedInTheirOrder(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	var want []string
	var proposals []*Proposal
	for i := range 100 {
		want = append(want, fmt.Sprint(i))
		proposals = append(proposals, leader.Propose([]byte(want[i])))
	}
	var last uint64
	for i, p := range proposals {
		<-p.Done()
		index, response, err := p.Wait(context.Background())
		if err != nil || index <= last || response != i+1 {
			t.Fatalf("proposal %d: index %d after %d, response %v, error %v", i, index, last, response, err)
		}
		last = index
	}
	for _, m := range c.members {
		mustHave(t, m, want...)
	}
}

func TestProposalToAFollowerIsCertainlyNotDone(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	for _, m := range c.followers(leader) {
		_, _, err := m.Propose([]byte("x")).Wait(deadline(t))
		if !errors.Is(err, ErrNotLeader) || errors.Is(err, ErrFateUnknown) {
			t.Errorf("propose on %s: %v", m.name, err)
		}
	}
	_, _, err := leader.ProposeIn(leader.Leadership().Term-1, []byte("x")).Wait(deadline(t))
	if !errors.Is(err, ErrNotLeader) {
		t.Errorf("propose for an old term: %v", err)
	}
	mustWrite(t, leader, "only this")
	for _, m := range c.members {
		mustHave(t, m, "only this")
	}
}

// TestProposalThatIsCutOffHasAnUnknownFate cuts a leader off with an entry
// under way: it must not say that the entry failed.
func TestProposalThatIsCutOffHasAnUnknownFate(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	c.fabric.freeze(leader.name)
	p := leader.Propose([]byte("perhaps"))

	impatient, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the caller went away"))
	if _, _, err := p.Wait(impatient); !errors.Is(err, ErrFateUnknown) {
		t.Errorf("the caller gives up: %v", err)
	}
	if _, _, err := p.Wait(deadline(t)); !errors.Is(err, ErrFateUnknown) || errors.Is(err, ErrNotLeader) {
		t.Errorf("leadership lost: %v", err)
	}
	next := c.mustLead()
	mustWrite(t, next, "after")
	c.fabric.thaw(leader.name)
	mustHave(t, leader, next.machine.all()...)
}

func TestFateOfAnEntry(t *testing.T) {
	for err, want := range map[error]error{
		raft.ErrNotLeader:                     ErrNotLeader,
		raft.ErrEnqueueTimeout:                ErrNotLeader,
		raft.ErrLeadershipTransferInProgress:  ErrNotLeader,
		raft.ErrLeadershipLost:                ErrFateUnknown,
		raft.ErrRaftShutdown:                  ErrFateUnknown,
		raft.ErrAbortedByRestore:              ErrFateUnknown,
		errors.New("no space left on device"): ErrFateUnknown,
	} {
		if got := fate(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// TestEntryOfAFormerTermIsNotCarriedOut appends an entry that was proposed for
// another term, as a leader that fell and rose again at once would.
func TestEntryOfAFormerTermIsNotCarriedOut(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "one")
	former := raft.Log{Data: []byte("judged on what was lost"), Extensions: stamp(leader.Leadership().Term - 1)}
	future := leader.raft.ApplyLog(former, 0)
	if err := future.Error(); err != nil {
		t.Fatal(err)
	}
	if _, ok := future.Response().(overtaken); !ok {
		t.Fatalf("answered %v", future.Response())
	}
	// It is one of those entries that a read index steps over.
	read, _, err := leader.ReadIndex(deadline(t))
	if err != nil || read >= future.Index() {
		t.Fatalf("read index %d, error %v", read, err)
	}
	mustWrite(t, leader, "two")
	for _, m := range c.members {
		mustHave(t, m, "one", "two")
	}
}

func TestProposalsAreRefusedWhileLeadershipIsHandedOver(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	leader.gate.close()
	if _, _, err := leader.Propose([]byte("x")).Wait(deadline(t)); !errors.Is(err, ErrNotLeader) {
		t.Fatalf("propose: %v", err)
	}
	leader.gate.open()
	mustWrite(t, leader, "y")
}

func TestGateWaitsForThoseInside(t *testing.T) {
	var g gate
	for range 2 {
		if !g.enter() {
			t.Fatal("an open gate refuses")
		}
	}
	g.close()
	if g.enter() {
		t.Fatal("a shut gate lets in")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.drained(ctx); err == nil {
		t.Fatal("empty with two inside")
	}
	g.leave()
	done := make(chan error, 1)
	go func() { done <- g.drained(context.Background()) }()
	g.leave()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := g.drained(ctx); err != nil {
		t.Fatalf("empty: %v", err)
	}
	g.open()
	if !g.enter() {
		t.Fatal("an open gate refuses")
	}
}
