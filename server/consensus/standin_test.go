package consensus

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// mustDrop removes an entry from the log of a stopped member, as damage does.
func mustDrop(t *testing.T, m *member, index uint64) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(m.cfg.DataDir, "raft", "raft.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("logs")).Delete(binary.BigEndian.AppendUint64(nil, index))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// A leader that lacks an entry which its snapshot stands for sends the snapshot.
func TestAFollowerThatNeedsAnEntryOfAHoleGetsTheSnapshot(t *testing.T) {
	for name, behind := range map[string]uint64{"the last entry of the snapshot": 0, "one before": 1} {
		t.Run(name, func(t *testing.T) {
			c := mustFound(t, 3)
			leader := c.mustLead()
			followers := c.followers(leader)
			mustWrite(t, leader, "a")
			mustHave(t, followers[0], "a")
			c.crash(followers[0])
			mustWrite(t, leader, "b")
			last := mustWrite(t, leader, "c")
			if err := leader.raft.Snapshot().Error(); err != nil {
				t.Fatal(err)
			}
			if taken, _ := leader.lastTaken(); taken != last {
				t.Fatalf("the snapshot is of entry %d, not %d", taken, last)
			}
			mustWrite(t, leader, "d")
			c.crash(leader)
			c.crash(followers[1])
			mustDrop(t, leader, last-behind)

			c.mustOpen(leader)
			c.mustOpen(followers[0])
			if now := c.mustLead(); now != leader {
				t.Fatalf("%s leads with a shorter log", now.name)
			}
			for _, m := range []*member{leader, followers[0]} {
				mustHave(t, m, "a", "b", "c", "d")
			}
			if err := leader.Reread(func() error { return nil }); err != nil {
				t.Errorf("the snapshot stands for what is missing: %v", err)
			}
		})
	}
}

// What stands in for a state is for the comparison of two logs.
func TestAStandInIsNotSent(t *testing.T) {
	c := mustFound(t, 2)
	leader := c.mustLead()
	peer := c.followers(leader)[0]
	request := &raft.AppendEntriesRequest{Term: leader.raft.CurrentTerm(), Entries: []*raft.Log{{Index: 1 << 40, Type: standIn}}}
	err := leader.transport.AppendEntries(raft.ServerID(peer.ID()), raft.ServerAddress(peer.Address()), request, &raft.AppendEntriesResponse{})
	if !errors.Is(err, errStandIn) {
		t.Errorf("sent: %v", err)
	}
}
