package consensus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

var bothStores = []storage.Kind{storage.BoltDB, storage.WAL}

// restoredAlone makes a leader take a state over that nobody else gets, and
// returns when it has. The leader is cut off, and others are killed, in the
// middle of it: before, it could lose its leadership first, and after, the others
// could get the state.
func restoredAlone(t *testing.T, c *cluster, leader *member, killed ...*member) {
	t.Helper()
	index := make(chan uint64, 1)
	ended := make(chan struct{})
	leader.machine.whenTaking(func() {
		c.fabric.freeze(leader.name)
		for _, m := range killed {
			c.crash(m)
		}
	})
	go func() {
		defer close(ended)
		_, err := leader.Restore(deadline(t), func(at uint64) (io.WriterTo, error) {
			index <- at
			return &state{index: at, entries: []string{"restored"}}, nil
		})
		if !errors.Is(err, ErrFateUnknown) {
			t.Errorf("restore that reached nobody: %v", err)
		}
	}()
	t.Cleanup(func() { <-ended })
	at := <-index
	eventually(t, "the leader has the state", func() bool { return leader.machine.Applied() >= at })
}

func mustBeRolledBack(t *testing.T, m *member) {
	t.Helper()
	select {
	case <-m.FailedC():
	case <-deadline(t).Done():
		t.Fatalf("%s goes on from a state that never was: %q", m.name, m.machine.all())
	}
	if err := m.Err(); !errors.Is(err, ErrRolledBack) || !errors.Is(err, storage.ErrForgotten) {
		t.Fatalf("%s failed with %v", m.name, err)
	}
}

// A leader that is cut off while it restores has a state that the others go on
// without. When it comes back it must not take part as if nothing were.
func TestLeaderThatRestoredAloneDoesNotGoOn(t *testing.T) {
	for _, kind := range bothStores {
		t.Run(string(kind), func(t *testing.T) {
			c := mustFound(t, 3, func(cfg *Config) { cfg.LogStore = kind })
			old := c.mustLead()
			mustWrite(t, old, "before")
			for _, m := range c.members {
				mustHave(t, m, "before")
			}
			restoredAlone(t, c, old)
			next := c.mustLead()
			mustWrite(t, next, "after")
			c.fabric.thaw(old.name)
			mustBeRolledBack(t, old)
			for _, m := range c.followers(old) {
				mustHave(t, m, "before", "after")
			}
		})
	}
}

// The same when it was killed and has only its disk to tell it.
func TestLeaderThatRestoredAloneAndWasKilledDoesNotGoOn(t *testing.T) {
	for _, kind := range bothStores {
		t.Run(string(kind), func(t *testing.T) {
			c := mustFound(t, 3, func(cfg *Config) { cfg.LogStore = kind })
			old := c.mustLead()
			mustWrite(t, old, "before")
			for _, m := range c.members {
				mustHave(t, m, "before")
			}
			restoredAlone(t, c, old)
			c.crash(old)
			next := c.mustLead()
			mustWrite(t, next, "after")
			c.mustOpen(old)
			mustBeRolledBack(t, old)
			for _, m := range c.followers(old) {
				mustHave(t, m, "before", "after")
			}
		})
	}
}

// When nobody went on without the restore, it is carried through.
func TestRestoreOfALeaderThatComesBackFirstIsCarriedThrough(t *testing.T) {
	for _, kind := range bothStores {
		t.Run(string(kind), func(t *testing.T) {
			c := mustFound(t, 3, func(cfg *Config) { cfg.LogStore = kind })
			old := c.mustLead()
			mustWrite(t, old, "before")
			for _, m := range c.members {
				mustHave(t, m, "before")
			}
			others := c.followers(old)
			restoredAlone(t, c, old, others...)
			c.crash(old)
			c.mustOpen(old)
			c.mustOpen(others[0])
			if leader := c.mustLead(); leader != old {
				t.Fatalf("%s leads with a shorter log", leader.name)
			}
			mustWrite(t, old, "after")
			c.mustOpen(others[1])
			for _, m := range c.members {
				mustHave(t, m, "restored", "after")
				mustSettle(t, m)
			}
		})
	}
}

// mustSettle waits until nothing of a member is tentative any more.
func mustSettle(t *testing.T, m *member) {
	t.Helper()
	eventually(t, m.name+" has settled", func() bool {
		_, tentative := m.tentative.get()
		_, err := os.Stat(filepath.Join(m.cfg.DataDir, "raft", tentativeFile))
		return !tentative && errors.Is(err, os.ErrNotExist)
	})
}

// An ordinary snapshot, of a follower that was away for long, is tentative too
// for a moment; new leaders after it are no reason to give up anything.
func TestSnapshotOfAFollowerSettles(t *testing.T) {
	c := mustFound(t, 3, func(cfg *Config) {
		cfg.SnapshotThreshold, cfg.SnapshotInterval, cfg.TrailingLogs = 8, 10e6, 2
	})
	leader := c.mustLead()
	away := c.followers(leader)[0]
	c.crash(away)
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprint(i))
		mustWrite(t, leader, want[i])
	}
	eventually(t, "the log has been cut", func() bool {
		first, err := leader.store.FirstIndex()
		return err == nil && first > 30
	})
	c.mustOpen(away)
	mustHave(t, away, want...)
	mustSettle(t, away)
	for i := range 3 {
		if err := c.mustLead().TransferLeadership(deadline(t), ""); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint("led ", i))
		mustWrite(t, c.mustLead(), want[len(want)-1])
	}
	for _, m := range c.members {
		mustHave(t, m, want...)
		if err := m.Err(); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// A server that is stopped between taking a state over and removing the log
// before it has a gap that a log without gaps cannot have.
func TestLogThatEndsBeforeTheSnapshotIsCleared(t *testing.T) {
	for _, kind := range bothStores {
		t.Run(string(kind), func(t *testing.T) {
			c := mustFound(t, 1, func(cfg *Config) { cfg.LogStore = kind })
			m := c.mustLead()
			mustWrite(t, m, "before")
			c.crash(m)
			raftDir := filepath.Join(m.cfg.DataDir, "raft")
			before := t.TempDir()
			if err := os.CopyFS(before, os.DirFS(raftDir)); err != nil {
				t.Fatal(err)
			}
			c.mustOpen(m)
			c.mustLead()
			if _, err := m.Restore(deadline(t), stateOf("restored")); err != nil {
				t.Fatal(err)
			}
			c.crash(m)
			snapshots := filepath.Join(raftDir, storage.SnapshotsDir)
			if err := errors.Join(os.Rename(snapshots, filepath.Join(before, "snapshots-after")), os.Remove(filepath.Join(before, "stable")),
				os.Rename(filepath.Join(raftDir, "stable"), filepath.Join(before, "stable"))); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(raftDir); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(raftDir, os.DirFS(before)); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.RemoveAll(snapshots), os.Rename(filepath.Join(raftDir, "snapshots-after"), snapshots)); err != nil {
				t.Fatal(err)
			}
			c.mustOpen(m)
			mustWrite(t, c.mustLead(), "after")
			mustHave(t, m, "restored", "after")
		})
	}
}

// A leader that restored and was lost before the others had its next entry meets
// a leader that has the state too, and another entry behind it: the two logs
// part just where neither has anything but the state itself.
func TestLogsThatPartRightAfterARestoreComeTogether(t *testing.T) {
	for _, kind := range bothStores {
		t.Run(string(kind), func(t *testing.T) {
			c := mustFound(t, 3, func(cfg *Config) { cfg.LogStore = kind })
			old := c.mustLead()
			mustWrite(t, old, "before")
			index, err := old.Restore(deadline(t), stateOf("restored"))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range c.members {
				mustHave(t, m, "restored")
			}
			for _, m := range c.members {
				c.crash(m)
			}
			for _, m := range c.followers(old) {
				mustForget(t, m, index+1)
				c.mustOpen(m)
			}
			mustWrite(t, c.mustLead(), "after")
			c.mustOpen(old)
			for _, m := range c.members {
				mustHave(t, m, "restored", "after")
				mustSettle(t, m)
			}
		})
	}
}

// mustForget cuts the end of a stopped member's log off, as if it had never come.
func mustForget(t *testing.T, m *member, from uint64) {
	t.Helper()
	cfg := storage.DefaultConfig(filepath.Join(m.cfg.DataDir, "raft"))
	cfg.Kind = m.cfg.LogStore
	store, err := storage.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	last, err := store.LastIndex()
	if err == nil && last >= from {
		err = store.DeleteRange(from, last)
	}
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
}
