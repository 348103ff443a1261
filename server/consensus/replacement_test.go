package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

var errTest = errors.New("damaged for a test")

// mustRoster waits until the members' directories tell of all of them.
func mustRoster(t *testing.T, c *cluster) {
	t.Helper()
	eventually(t, "every directory tells of the servers of the cluster", func() bool {
		for _, m := range c.alive() {
			if roster, err := m.dir.readRoster(); err != nil || len(roster) != len(c.members) {
				return false
			}
		}
		return true
	})
}

func mustGiveUp(t *testing.T, dir string) Replacement {
	t.Helper()
	r, err := GiveUp(dir, errTest, time.Now(), AsFarAsKnown)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// openAlone opens a directory by itself, and gives the error of that.
func openAlone(t *testing.T, cfg Config) error {
	t.Helper()
	cfg.RaftAddress = "127.0.0.1:0"
	node, err := Open(cfg, Deps{Machine: newCounter()})
	if err == nil {
		_ = node.Halt(deadline(t))
	}
	return err
}

func TestADamagedServerComesBackAsAnotherOne(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "one")
	mustRoster(t, c)
	damaged := c.followers(leader)[0]
	old := damaged.ID()
	c.crash(damaged)
	given := mustGiveUp(t, damaged.cfg.DataDir)
	if given.Old != old || given.New == old {
		t.Fatalf("gave up %+v, was %s", given, old)
	}
	note, err := os.ReadFile(filepath.Join(given.Quarantine, noteFile))
	if err != nil || !strings.Contains(string(note), errTest.Error()) || !strings.Contains(string(note), old) {
		t.Errorf("the note in quarantine is %q, error %v", note, err)
	}
	if store, err := storage.Open(storage.DefaultConfig(given.Quarantine)); err != nil {
		t.Errorf("what was put aside cannot be read: %v", err)
	} else {
		_ = store.Close()
	}

	c.mustOpen(damaged)
	if damaged.ID() != given.New || damaged.Initialized() || !slices.Equal(damaged.Replaces(), []string{old}) || damaged.ClusterID() != c.id {
		t.Fatalf("came back as %s that replaces %v, initialized %v, in cluster %s", damaged.ID(), damaged.Replaces(), damaged.Initialized(), damaged.ClusterID())
	}
	c.lead()
	eventually(t, "the leader takes the new one for the old one", func() bool {
		return c.mustLead().ReplaceServer(deadline(t), old, damaged.ID(), damaged.Address()) == nil
	})
	eventually(t, "the new one votes, and the old one is gone", func() bool {
		servers, err := c.mustLead().Configuration()
		if err != nil {
			t.Fatal(err)
		}
		return len(servers) == 3 && slices.ContainsFunc(servers, func(s Server) bool { return s.ID == damaged.ID() && s.Voter })
	})
	mustWrite(t, c.mustLead(), "two")
	mustHave(t, damaged, "one", "two")
	eventually(t, "it forgets whom it replaced", func() bool { return damaged.Replaces() == nil })

	// The next time it is an ordinary server.
	c.crash(damaged)
	if err := openAlone(t, damaged.cfg); err != nil {
		t.Fatal(err)
	}
}

func TestAServerThatAnswersIsNotReplaced(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	follower := c.followers(leader)[0]
	mustWrite(t, leader, "one")
	if err := leader.ReplaceServer(deadline(t), follower.ID(), uuid.NewString(), "127.0.0.1:1"); !errors.Is(err, ErrInUse) {
		t.Errorf("a follower was replaced: %v", err)
	}
	if err := leader.ReplaceServer(deadline(t), leader.ID(), uuid.NewString(), "127.0.0.1:1"); !errors.Is(err, ErrInUse) {
		t.Errorf("the leader was replaced: %v", err)
	}
	servers, err := leader.Configuration()
	if err != nil || len(servers) != 3 {
		t.Errorf("servers are %v, error %v", servers, err)
	}
}

// The leader may go on for the moment of its lease when the others are gone.
func TestNobodyIsReplacedWithoutAQuorum(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	servers := leader.configuration().Servers
	r := leader.leadership.reigning()
	followers := c.followers(leader)
	eventually(t, "both followers answered", func() bool {
		return leader.quorumWithout(servers, followers[0].ID(), r.term) && leader.quorumWithout(servers, followers[1].ID(), r.term)
	})
	c.crash(followers[1])
	eventually(t, "the dead follower counts no more", func() bool {
		return !leader.quorumWithout(servers, followers[0].ID(), r.term)
	})
}

func TestTheOldIDIsNeverUsedAgainWhateverInterrupts(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "one")
	mustRoster(t, c)
	damaged := c.followers(leader)[0]
	old, dir := damaged.ID(), damaged.cfg.DataDir
	c.crash(damaged)
	whole := t.TempDir()
	if err := os.CopyFS(whole, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for name, interrupt := range map[string]func(dir string) error{
		"before the data was put aside": func(string) error { return nil },
		"after the data was put aside": func(dir string) error {
			return os.Rename(filepath.Join(dir, "raft"), filepath.Join(dir, QuarantineDir))
		},
		"before the new id": func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, "raft"), filepath.Join(dir, QuarantineDir)),
				os.WriteFile(filepath.Join(dir, replacesFile), []byte(old+"\n"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := errors.Join(os.CopyFS(dir, os.DirFS(whole)), interrupt(dir)); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "raft")); err != nil {
				if err := openAlone(t, DefaultConfig(dir, "")); !errors.Is(err, storage.ErrForgotten) {
					t.Fatalf("open: %v", err)
				}
			}
			given := mustGiveUp(t, dir)
			if given.Old != old || given.New == old {
				t.Fatalf("gave up %+v", given)
			}
			if _, err := os.Stat(filepath.Join(dir, QuarantineDir, "raft.db")); err != nil {
				t.Errorf("the damaged data is not kept: %v", err)
			}
			if err := openAlone(t, DefaultConfig(dir, "")); err != nil {
				t.Fatal(err)
			}
			// Damaged again before it has joined: what was the cluster's stays.
			again := mustGiveUp(t, dir)
			if again.Old != given.New || again.Quarantine != "" {
				t.Errorf("gave up %+v", again)
			}
			if _, err := os.Stat(filepath.Join(dir, QuarantineDir, "raft.db")); err != nil {
				t.Errorf("the damaged data is gone: %v", err)
			}
			node, err := Open(func() Config { cfg := DefaultConfig(dir, "127.0.0.1:0"); return cfg }(), Deps{Machine: newCounter()})
			if err != nil {
				t.Fatal(err)
			}
			if want := []string{old, given.New}; !slices.Equal(node.Replaces(), want) {
				t.Errorf("replaces %v, want %v", node.Replaces(), want)
			}
			_ = node.Halt(deadline(t))
		})
	}
}

func TestTheLastCopyIsNotGivenUp(t *testing.T) {
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d servers", n), func(t *testing.T) {
			c := mustFound(t, n)
			mustWrite(t, c.mustLead(), "one")
			mustRoster(t, c)
			m := c.members[0]
			c.crash(m)
			if _, err := GiveUp(m.cfg.DataDir, errTest, time.Now(), AsFarAsKnown); !errors.Is(err, ErrLastCopy) {
				t.Fatalf("gave up: %v", err)
			}
			c.mustOpen(m)
		})
	}
	t.Run("unknown servers", func(t *testing.T) {
		c := mustFound(t, 3)
		mustRoster(t, c)
		m := c.followers(c.mustLead())[0]
		c.crash(m)
		if err := os.Remove(m.dir.file(rosterFile)); err != nil {
			t.Fatal(err)
		}
		if _, err := GiveUp(m.cfg.DataDir, errTest, time.Now(), AsFarAsKnown); !errors.Is(err, ErrLastCopy) {
			t.Fatalf("gave up: %v", err)
		}
	})
	t.Run("in use", func(t *testing.T) {
		c := mustFound(t, 3)
		mustRoster(t, c)
		if _, err := GiveUp(c.members[0].cfg.DataDir, errTest, time.Now(), AsFarAsKnown); !errors.Is(err, ErrLocked) {
			t.Fatalf("gave up: %v", err)
		}
	})
	t.Run("no cluster", func(t *testing.T) {
		if _, err := GiveUp(t.TempDir(), errTest, time.Now(), AsFarAsKnown); !errors.Is(err, ErrLastCopy) {
			t.Fatalf("gave up: %v", err)
		}
	})
}

// A server whose data is not what it was must not take part under its id.
func TestWhatWasForgottenIsNoticedAtTheStart(t *testing.T) {
	c := mustFound(t, 3, func(cfg *Config) {
		cfg.SnapshotThreshold, cfg.TrailingLogs, cfg.SnapshotInterval = 10, 4, 20*time.Millisecond
	})
	leader := c.mustLead()
	victim := c.followers(leader)[0]
	eventually(t, "two snapshots with entries after them", func() bool {
		mustWrite(t, c.mustLead(), "entry")
		found, _ := filepath.Glob(filepath.Join(victim.snapshotDir(), "*-*-*", "state.bin"))
		return len(found) == 2
	})
	for range 3 {
		mustWrite(t, c.mustLead(), "entry")
	}
	mustRoster(t, c)
	last := c.mustLead().raft.LastIndex()
	eventually(t, "the victim has everything", func() bool { return victim.raft.LastIndex() >= last })
	c.crash(victim)
	snapshots, err := filepath.Glob(filepath.Join(victim.snapshotDir(), "*-*-*"))
	if err != nil || len(snapshots) != 2 {
		t.Fatalf("snapshots are %v, error %v", snapshots, err)
	}
	slices.SortFunc(snapshots, func(a, b string) int { return int(snapshotIndex(t, a)) - int(snapshotIndex(t, b)) })
	within := func(dir, path string) string {
		relative, err := filepath.Rel(victim.cfg.DataDir, path)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, relative)
	}
	for name, test := range map[string]struct {
		damage func(dir string) error
		want   error
	}{
		"nothing": {func(string) error { return nil }, nil},
		"Raft's directory is gone": {func(dir string) error {
			return os.RemoveAll(filepath.Join(dir, "raft"))
		}, storage.ErrForgotten},
		"everything in Raft's directory is gone": {func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "raft")), os.Mkdir(filepath.Join(dir, "raft"), 0o700))
		}, storage.ErrForgotten},
		"the log is gone": {func(dir string) error {
			return os.Remove(filepath.Join(dir, "raft", "raft.db"))
		}, storage.ErrForgotten},
		"the log and its mark are gone, a snapshot is not": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "raft", "raft.db")), os.Remove(filepath.Join(dir, "raft", "high-water")))
		}, nil}, // all that is acknowledged for certain is in the snapshot
		"the newest snapshot has a flipped bit, the log does not reach back": {func(dir string) error {
			return flip(filepath.Join(within(dir, snapshots[1]), "state.bin"))
		}, storage.ErrForgotten},
		"both snapshots have a flipped bit": {func(dir string) error {
			return errors.Join(flip(filepath.Join(within(dir, snapshots[0]), "state.bin")), flip(filepath.Join(within(dir, snapshots[1]), "state.bin")))
		}, storage.ErrCorrupt},
		"all snapshots are gone": {func(dir string) error {
			return errors.Join(os.RemoveAll(within(dir, snapshots[0])), os.RemoveAll(within(dir, snapshots[1])))
		}, storage.ErrForgotten},
		"the newest snapshot is damaged and no log is left": {func(dir string) error {
			return errors.Join(flip(filepath.Join(within(dir, snapshots[1]), "state.bin")),
				os.Remove(filepath.Join(dir, "raft", "raft.db")), os.Remove(filepath.Join(dir, "raft", "high-water")))
		}, storage.ErrForgotten},
		"a server has another id in the newest snapshot": {func(dir string) error {
			return flipText(filepath.Join(within(dir, snapshots[1]), "meta.json"), leader.ID())
		}, storage.ErrForgotten},
		"a server has another id in both snapshots": {func(dir string) error {
			return errors.Join(flipText(filepath.Join(within(dir, snapshots[0]), "meta.json"), leader.ID()), flipText(filepath.Join(within(dir, snapshots[1]), "meta.json"), leader.ID()))
		}, storage.ErrCorrupt},
		"an entry has a flipped bit": {func(dir string) error {
			return flipText(filepath.Join(dir, "raft", "raft.db"), "entry")
		}, storage.ErrCorrupt},
		"term and vote are gone": {func(dir string) error {
			return os.Remove(filepath.Join(dir, "raft", "stable"))
		}, storage.ErrForgotten},
		"term and vote are older than the log": {func(dir string) error {
			return setTerm(filepath.Join(dir, "raft", "stable"), 1)
		}, storage.ErrForgotten},
		"term and vote are gone in both copies": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "raft", "stable"), make([]byte, 8192), 0o600)
		}, storage.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := victim.cfg
			cfg.DataDir = t.TempDir()
			if err := errors.Join(os.CopyFS(cfg.DataDir, os.DirFS(victim.cfg.DataDir)), test.damage(cfg.DataDir)); err != nil {
				t.Fatal(err)
			}
			if err := openAlone(t, cfg); !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Fatalf("open: %v", err)
			}
			if test.want == nil {
				return
			}
			mustGiveUp(t, cfg.DataDir)
			if err := openAlone(t, cfg); err != nil {
				t.Fatalf("the new server does not start: %v", err)
			}
		})
	}
	// With a log that reaches back, the snapshot before is good enough.
	t.Run("the newest snapshot has a flipped bit, the log reaches back", func(t *testing.T) {
		c := mustFound(t, 1, func(cfg *Config) { cfg.SnapshotThreshold, cfg.SnapshotInterval = 10, 20*time.Millisecond })
		m := c.mustLead()
		var want []string
		eventually(t, "two snapshots", func() bool {
			mustWrite(t, m, "entry")
			want = append(want, "entry")
			found, _ := filepath.Glob(filepath.Join(m.snapshotDir(), "*-*-*", "state.bin"))
			return len(found) == 2
		})
		c.crash(m)
		snapshots, err := filepath.Glob(filepath.Join(m.snapshotDir(), "*-*-*"))
		if err != nil {
			t.Fatal(err)
		}
		newest := slices.MaxFunc(snapshots, func(a, b string) int { return int(snapshotIndex(t, a)) - int(snapshotIndex(t, b)) })
		if err := flip(filepath.Join(newest, "state.bin")); err != nil {
			t.Fatal(err)
		}
		c.mustOpen(m)
		mustHave(t, m, want...)
	})
}

// setTerm makes a file of term and vote one that was written in that term.
func setTerm(path string, term uint64) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	stable, err := storage.OpenStable(path)
	if err != nil {
		return err
	}
	return errors.Join(stable.SetUint64([]byte(currentTerm), term), stable.Close())
}

// A full disk, or a directory that may not be read, is no damage.
func TestWhatTheSystemRefusesIsNoDamage(t *testing.T) {
	c := mustFound(t, 1)
	mustWrite(t, c.mustLead(), "one")
	c.crash(c.members[0])
	cfg := c.members[0].cfg
	if err := os.Chmod(filepath.Join(cfg.DataDir, "raft", "raft.db"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	if err := openAlone(t, cfg); err == nil || errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrForgotten) {
		t.Fatalf("open: %v", err)
	}
}

func snapshotIndex(t *testing.T, path string) uint64 {
	t.Helper()
	var term, index, milliseconds uint64
	if _, err := fmt.Sscanf(filepath.Base(path), "%d-%d-%d", &term, &index, &milliseconds); err != nil {
		t.Fatal(err)
	}
	return index
}

// flip changes a bit in the middle of a file.
func flip(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content[len(content)/2] ^= 1
	return os.WriteFile(path, content, 0o600)
}

// flipText changes a bit wherever a text stands in a file.
func flipText(path, text string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	damaged := []byte(text)
	damaged[0] ^= 1
	return os.WriteFile(path, bytes.ReplaceAll(content, []byte(text), damaged), 0o600)
}

// flipInPlace changes a bit wherever a text stands in a file that is in use.
func flipInPlace(path, text string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	found := false
	for at := 0; ; at++ {
		next := bytes.Index(content[at:], []byte(text))
		if next < 0 {
			break
		}
		at += next
		found = true
		if _, err = file.WriteAt([]byte{content[at] ^ 1}, int64(at)); err != nil {
			break
		}
	}
	if !found {
		err = errors.New("the text is not in the file")
	}
	return errors.Join(err, file.Close())
}
