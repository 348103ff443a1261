package consensus

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

// Raft would offer the damaged snapshot again and again to a follower that needs
// one, and lead on.
func TestALeaderWhoseSnapshotIsDamagedEnds(t *testing.T) {
	c := mustFound(t, 3, func(cfg *Config) {
		cfg.SnapshotThreshold, cfg.TrailingLogs, cfg.SnapshotInterval = 10, 2, 20*time.Millisecond
	})
	leader := c.mustLead()
	mustWrite(t, leader, "entry")
	behind := c.followers(leader)[0]
	c.crash(behind)
	lacks := behind.raft.LastIndex() + 1
	eventually(t, "the leader's log begins after what the follower lacks", func() bool {
		mustWrite(t, leader, "entry")
		first, err := leader.store.FirstIndex()
		return err == nil && first > lacks
	})
	// Every snapshot: another one may be taken meanwhile.
	all, err := filepath.Glob(filepath.Join(leader.snapshotDir(), "*-*-*", "state.bin"))
	if err != nil || len(all) == 0 {
		t.Fatalf("snapshots are %v, error %v", all, err)
	}
	for _, path := range all {
		if err := flip(path); err != nil {
			t.Fatal(err)
		}
	}
	c.mustOpen(behind)
	select {
	case <-leader.FailedC():
	case <-time.After(20 * time.Second):
		t.Fatal("the leader goes on")
	}
	if err := leader.Err(); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("it failed with %v", err)
	}
	c.crash(leader)
	c.mustLead()
}

// What a snapshot says of itself is in a file without a checksum of Raft's.
func TestASnapshotThatSaysOfItselfWhatIsNotSoIsDamaged(t *testing.T) {
	for name, change := range map[string]struct{ from, to string }{
		"its name":  {`"ID":"`, `"ID":"7`},
		"its index": {`"Index":`, `"Index":7`},
		"its term":  {`"Term":`, `"Term":7`},
		"votes":     {`"ConfigurationIndex":`, `"ConfigurationIndex":7`},
	} {
		t.Run(name, func(t *testing.T) {
			c := mustFound(t, 1, func(cfg *Config) {
				cfg.SnapshotThreshold, cfg.TrailingLogs, cfg.SnapshotInterval = 10, 2, 20*time.Millisecond
			})
			m := c.mustLead()
			eventually(t, "the log begins after a snapshot", func() bool {
				mustWrite(t, m, "entry")
				first, err := m.store.FirstIndex()
				return err == nil && first > 1
			})
			c.crash(m)
			all, err := filepath.Glob(filepath.Join(m.snapshotDir(), "*-*-*", "meta.json"))
			if err != nil || len(all) == 0 {
				t.Fatalf("snapshots are %v, error %v", all, err)
			}
			for _, path := range all {
				text, err := os.ReadFile(path)
				if err != nil || !strings.Contains(string(text), change.from) {
					t.Fatalf("%s has %q, error %v", path, text, err)
				}
				if err := os.WriteFile(path, []byte(strings.Replace(string(text), change.from, change.to, 1)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := openAlone(t, m.cfg); !errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("it was opened, error %v", err)
			}
		})
	}
}

// An entry that is damaged on the leader's disk is not sent to anybody.
func TestALeaderWhoseLogIsDamagedEndsBeforeItSendsIt(t *testing.T) {
	c := mustFound(t, 3, func(cfg *Config) { cfg.SnapshotThreshold = 1 << 20 })
	leader := c.mustLead()
	mustWrite(t, leader, "whole-00")
	behind := c.followers(leader)[0]
	c.crash(behind)
	mustWrite(t, leader, "damaged-entry")
	// More than the cache of entries holds.
	for range 600 {
		mustWrite(t, leader, "entry")
	}
	if err := flipInPlace(filepath.Join(leader.cfg.DataDir, "raft", "raft.db"), "damaged-entry"); err != nil {
		t.Fatal(err)
	}
	c.mustOpen(behind)
	select {
	case <-leader.FailedC():
	case <-time.After(20 * time.Second):
		t.Fatal("the leader goes on")
	}
	if err := leader.Err(); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("it failed with %v", err)
	}
	c.crash(leader)
	next := c.mustLead()
	mustWrite(t, next, "after")
	for index := uint64(1); index <= next.raft.LastIndex(); index++ {
		var entry raft.Log
		if err := next.store.GetLog(index, &entry); err != nil {
			t.Errorf("entry %d: %v", index, err)
		}
	}
	eventually(t, "the one that was behind has everything", func() bool { return len(behind.machine.all()) == 603 })
	if got := behind.machine.all()[1]; got != "damaged-entry" {
		t.Errorf("the entry is %q", got)
	}
}
