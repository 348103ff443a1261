package consensus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
)

func TestThreeServersElectALeaderAndReplicate(t *testing.T) {
	for _, kind := range []storage.Kind{storage.BoltDB, storage.WAL} {
		t.Run(string(kind), func(t *testing.T) {
			c := mustFound(t, 3, func(cfg *Config) { cfg.LogStore = kind })
			leader := c.mustLead()
			mustWrite(t, leader, "one")
			mustWrite(t, leader, "two")
			for _, m := range c.members {
				mustHave(t, m, "one", "two")
			}
		})
	}
}

func TestFollowersFindAKilledLeaderByEvidence(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	term := leader.Leadership().Term
	c.crash(leader)
	next := c.mustLead()
	mustWrite(t, next, "after")
	if next.Campaigns()[CauseLeaderGone] == 0 {
		t.Fatalf("the new leader was not elected by evidence: %v", next.Campaigns())
	}
	for _, m := range c.alive() {
		mustHave(t, m, "before", "after")
		if m.Leadership().Term == term {
			t.Fatalf("%s is still in term %d", m.name, term)
		}
	}
}

// TestVoteOfARestartedServerIsAskedForAfresh: the candidate still has a
// connection to the server that was there before.
func TestVoteOfARestartedServerIsAskedForAfresh(t *testing.T) {
	c := mustFound(t, 3)
	first := c.mustLead() // it has asked the others for their votes
	to := c.followers(first)[0]
	eventually(t, "another one leads", func() bool {
		if first.Leadership().Leader {
			_ = first.TransferLeadership(deadline(t), to.ID())
		}
		return to.Leadership().Leader
	})
	other := c.followers(first)[1]
	c.crash(other)
	c.mustOpen(other)
	mustWrite(t, to, "before")
	mustHave(t, other, "before")
	mustHave(t, first, "before")

	request := &raft.RequestVoteRequest{RPCHeader: first.header(), Term: 1}
	for range maxPool + 1 {
		err := first.transport.RequestVote(other.id(), raft.ServerAddress(other.Address()), request, new(raft.RequestVoteResponse))
		if err != nil {
			t.Fatalf("ask for a vote: %v", err)
		}
	}
}

func TestFollowersAgreeOnAFrozenLeader(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	c.fabric.freeze(leader.name)
	followers := c.followers(leader)
	next := c.mustLead()
	mustWrite(t, next, "after")
	// One of them campaigned upon evidence; if it lacked an entry that the other
	// has, that one went ahead of it.
	if followers[0].Campaigns()[CauseSilence]+followers[1].Campaigns()[CauseSilence] == 0 {
		t.Fatalf("the new leader was not elected by evidence: %v, %v", followers[0].Campaigns(), followers[1].Campaigns())
	}
	c.fabric.thaw(leader.name)
	mustHave(t, leader, "before", "after")
	eventually(t, "the old leader follows", func() bool { return leader.Leadership().LeaderID == next.ID() })
}

func TestFollowerThatIsCutOffDisturbsNobody(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	term := leader.Leadership().Term
	follower := c.followers(leader)[0]
	c.fabric.freeze(follower.name)
	eventually(t, "the follower misses its leader", func() bool { return follower.raft.State() == raft.Candidate })
	mustWrite(t, leader, "meanwhile")
	c.fabric.thaw(follower.name)
	mustHave(t, follower, "before", "meanwhile")
	mustWrite(t, leader, "after")
	if got := leader.Leadership(); got.Term != term || !got.Leader {
		t.Fatalf("leadership is %+v, was of term %d", got, term)
	}
	for cause, n := range follower.Campaigns() {
		t.Errorf("campaigned %d times because of %s", n, cause)
	}
}

func TestLeaderWithAStalledDiskIsReplaced(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	leader.stall.set(true)
	var next *member
	eventually(t, "another server leads", func() bool {
		for _, m := range c.followers(leader) {
			if m.Barrier(context.Background()) == nil {
				next = m
			}
		}
		return next != nil
	})
	if next.Campaigns()[CauseSilence] == 0 {
		t.Fatalf("the new leader was not elected by evidence: %v", next.Campaigns())
	}
	mustWrite(t, next, "after")
	leader.stall.set(false)
	mustHave(t, leader, "before", "after")
}

// hungDisk takes no writes while it hangs, and says nothing.
type hungDisk struct {
	raft.LogStore
	mu    sync.Mutex
	until chan struct{} // nil while it is well
}

func (d *hungDisk) IsMonotonic() bool {
	m, ok := d.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

func (d *hungDisk) hang() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until = make(chan struct{})
}

func (d *hungDisk) answer() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until != nil {
		close(d.until)
		d.until = nil
	}
}

func (d *hungDisk) StoreLogs(entries []*raft.Log) error {
	d.mu.Lock()
	until := d.until
	d.mu.Unlock()
	if until != nil {
		<-until
	}
	return d.LogStore.StoreLogs(entries)
}

func TestLeaderWhoseDiskHangsIsReplacedAndFollowsWhenItAnswers(t *testing.T) {
	var mu sync.Mutex
	disks := map[string]*hungDisk{}
	c := mustFound(t, 3, func(cfg *Config) {
		cfg.DiskStall = 100 * time.Millisecond
		dir := cfg.DataDir
		cfg.Disk = func(files raft.LogStore) raft.LogStore {
			mu.Lock()
			defer mu.Unlock()
			disks[dir] = &hungDisk{LogStore: files}
			return disks[dir]
		}
	})
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	disk, term := disks[leader.cfg.DataDir], leader.Leadership().Term
	disk.hang()
	t.Cleanup(disk.answer)
	pending := leader.Propose([]byte("stuck"))

	var next *member
	eventually(t, "another server leads", func() bool {
		for _, m := range c.followers(leader) {
			if m.Barrier(context.Background()) == nil {
				next = m
			}
		}
		return next != nil
	})
	mustWrite(t, next, "after")
	if problem := leader.Status().GetProblem(); problem == "" {
		t.Error("a server whose disk hangs reports no problem")
	}
	if got := leader.Ending(term, leader.ID()); got.End != argosyv1.LeadershipEnd_LEADERSHIP_END_DISK {
		t.Errorf("its leadership ended by %v (%s)", got.End, got.Reason)
	}
	disk.answer()
	if _, _, err := pending.Wait(deadline(t)); err == nil {
		t.Error("a write that the disk did not take was acknowledged")
	}
	eventually(t, "the old leader follows", func() bool { return leader.Leadership().LeaderID == next.ID() })
	// What it had proposed may have reached the others before it hung.
	eventually(t, "all have the same", func() bool {
		all := fmt.Sprint(next.machine.all())
		return strings.HasSuffix(all, "after]") && fmt.Sprint(leader.machine.all()) == all
	})
	if leader.Err() != nil {
		t.Errorf("the old leader cannot go on: %v", leader.Err())
	}
	mustWrite(t, next, "later")
}

func TestWhatADiskHeldUpIsGivenBackWhenItAnswers(t *testing.T) {
	var disk *hungDisk
	c := mustFound(t, 1, func(cfg *Config) {
		cfg.Disk = func(files raft.LogStore) raft.LogStore {
			disk = &hungDisk{LogStore: files}
			return disk
		}
	})
	only := c.mustLead()
	disk.hang()
	defer disk.answer()
	only.Propose([]byte("stuck"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := only.Halt(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("stopped with a disk that hangs: %v", err)
	}
	if _, err := Hold(only.cfg.DataDir); !errors.Is(err, ErrLocked) {
		t.Fatalf("what is still in use can be taken: %v", err)
	}
	disk.answer()
	eventually(t, "the data directory is free", func() bool {
		held, err := Hold(only.cfg.DataDir)
		return err == nil && held.Close() == nil
	})
}

func TestLeaderThatCommitsNothingStepsDown(t *testing.T) {
	c := mustFound(t, 3, func(cfg *Config) { cfg.CommitStall = 400 * time.Millisecond })
	leader := c.mustLead()
	term := leader.Leadership().Term
	// The followers go on to answer heartbeats, which take a way of their own,
	// but take in no entries.
	release := make(chan struct{})
	for _, m := range c.followers(leader) {
		go func() {
			_ = m.transport.inject(context.Background(), func() []raft.WithRPCHeader {
				<-release
				return nil
			})
		}()
	}
	_, _, err := leader.Propose([]byte("stuck")).Wait(deadline(t))
	if !errors.Is(err, ErrFateUnknown) {
		t.Errorf("write without a quorum: %v", err)
	}
	close(release)
	next := c.mustLead()
	if got := next.Leadership().Term; got <= term {
		t.Errorf("leads in term %d, was %d", got, term)
	}
	mustWrite(t, next, "after")
}

func TestGracefulStopHandsOver(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	mustWrite(t, leader, "before")
	if err := leader.Shutdown(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := leader.Shutdown(deadline(t)); err != nil {
		t.Fatalf("the second time: %v", err)
	}
	next := c.mustLead()
	mustWrite(t, next, "after")
	for _, m := range c.alive() {
		for _, cause := range []Cause{CauseLeaderGone, CauseSilence} {
			if n := m.Campaigns()[cause]; n > 0 {
				t.Errorf("%s had to campaign because of %s", m.name, cause)
			}
		}
	}
	if _, _, err := leader.Propose(nil).Wait(deadline(t)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("propose on a stopped node: %v", err)
	}
	if _, err := leader.Configuration(); !errors.Is(err, ErrStopped) {
		t.Errorf("configuration of a stopped node: %v", err)
	}
}

func TestClusterOfOneLeadsAtOnceWhenItStarts(t *testing.T) {
	c := mustFound(t, 1)
	m := c.mustLead()
	mustWrite(t, m, "before")
	if err := m.Shutdown(deadline(t)); err != nil {
		t.Fatal(err)
	}
	c.mustOpen(m)
	c.mustLead()
	if n := m.Campaigns()[CauseAlone]; n != 1 {
		t.Fatalf("campaigned %v", m.Campaigns())
	}
	mustWrite(t, m, "after")
	mustHave(t, m, "before", "after")
}

// TestCampaignThatRaftDoesNotTakeIsGivenUp: carried out later, when its reason
// has gone, it would depose a leader that is well.
func TestCampaignThatRaftDoesNotTakeIsGivenUp(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	before := leader.Leadership()
	follower := c.followers(leader)[0]
	goOn := pauseMainLoop(t, follower)
	if err := follower.campaign(deadline(t), func() bool { return true }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("campaign: %v", err)
	}
	goOn()
	if err := follower.campaign(deadline(t), func() bool { return false }); !errors.Is(err, errUnwanted) {
		t.Errorf("campaign that nobody wants any more: %v", err)
	}
	mustWrite(t, leader, "after")
	mustHave(t, follower, "after")
	if got := leader.Leadership(); got != before {
		t.Errorf("leadership is %+v, was %+v", got, before)
	}
}

func TestMinorityDoesNotLead(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	followers := c.followers(leader)
	c.crash(followers[0])
	c.crash(leader)
	last := followers[1]
	eventually(t, "its leadership hopes are spent", func() bool { return last.raft.State() == raft.Candidate })
	ctx, cancel := context.WithTimeout(context.Background(), 3*last.cfg.Timing.Election)
	defer cancel()
	if _, _, err := last.ReadIndex(ctx); !errors.Is(err, ErrNotLeader) {
		t.Fatalf("read index of a minority: %v", err)
	}
	if n := last.Campaigns()[CauseLeaderGone] + last.Campaigns()[CauseSilence]; n > 4 {
		t.Fatalf("campaigned %d times without a quorum", n)
	}
}

func TestServerCatchesUpFromASnapshot(t *testing.T) {
	for _, kind := range []storage.Kind{storage.BoltDB, storage.WAL} {
		t.Run(string(kind), func(t *testing.T) {
			c := mustFound(t, 3, func(cfg *Config) {
				cfg.LogStore = kind
				cfg.SnapshotThreshold = 10
				cfg.SnapshotInterval = 20 * time.Millisecond
				cfg.TrailingLogs = 5
			})
			leader := c.mustLead()
			behind := c.followers(leader)[0]
			var want []string
			write := func(n int) {
				for range n {
					want = append(want, fmt.Sprint(len(want)))
					mustWrite(t, leader, want[len(want)-1])
				}
			}
			write(5)
			mustHave(t, behind, want...)
			c.crash(behind)
			write(50)
			eventually(t, "the log is cut", func() bool {
				first, err := leader.store.FirstIndex()
				return err == nil && first > 30
			})
			c.mustOpen(behind)
			mustHave(t, behind, want...)
			write(5)
			mustHave(t, behind, want...)

			// And all of them from what they have on disk.
			for _, m := range c.members {
				c.crash(m)
			}
			for _, m := range c.members {
				c.mustOpen(m)
			}
			leader = c.mustLead()
			write(1)
			for _, m := range c.members {
				mustHave(t, m, want...)
			}
		})
	}
}

func TestAStopSparesTheNextStartItsLog(t *testing.T) {
	for _, tc := range []struct {
		entries int
		taken   bool
	}{{entries: 5, taken: false}, {entries: 30, taken: true}} {
		t.Run(fmt.Sprintf("%d entries", tc.entries), func(t *testing.T) {
			c := mustFound(t, 3, func(cfg *Config) {
				cfg.SnapshotThreshold = 20 * stopSnapshotShare
				cfg.TrailingLogs = 5
			})
			leader := c.mustLead()
			var want []string
			for i := range tc.entries {
				want = append(want, fmt.Sprint(i))
				mustWrite(t, leader, want[i])
			}
			follower := c.followers(leader)[0]
			mustHave(t, follower, want...)
			applied := follower.deps.Machine.Applied()
			if err := follower.Shutdown(deadline(t)); err != nil {
				t.Fatal(err)
			}
			c.mustOpen(follower)
			var at uint64
			if newest := follower.snapshots.newest.Load(); newest != nil {
				at = newest.index
			}
			if taken := at == applied; taken != tc.taken || !taken && at != 0 {
				t.Fatalf("%d entries were applied and the snapshot is at %d", applied, at)
			}
			if first, err := follower.store.FirstIndex(); err != nil || first != 1 {
				t.Errorf("the log was cut by a stop, to begin at %d: %v", first, err)
			}
			mustWrite(t, c.mustLead(), "one more")
			mustHave(t, follower, append(want, "one more")...)
		})
	}
}

func TestRestartKeepsTheIdentity(t *testing.T) {
	c := mustFound(t, 3)
	follower := c.followers(c.mustLead())[0]
	id := follower.ID()
	c.crash(follower)
	c.mustOpen(follower)
	if follower.ID() != id || follower.ClusterID() != c.id || !follower.Initialized() {
		t.Fatalf("came back as %s of cluster %s", follower.ID(), follower.ClusterID())
	}
	if err := follower.SetClusterID(uuid.NewString()); !errors.Is(err, ErrClusterID) {
		t.Fatalf("joined a second cluster: %v", err)
	}
	if err := follower.Bootstrap(uuid.NewString(), []Server{{ID: id, RaftAddress: follower.Address()}}); !errors.Is(err, ErrBootstrapped) {
		t.Fatalf("founded a second cluster: %v", err)
	}
}

func TestBootstrapWithoutThisServerIsRefused(t *testing.T) {
	c := newCluster(t)
	m := c.mustAdd()
	err := m.Bootstrap(c.id, []Server{{ID: uuid.NewString(), RaftAddress: "127.0.0.1:1"}})
	if !errors.Is(err, ErrUnknownServer) || m.Initialized() || m.ClusterID() != "" {
		t.Fatalf("bootstrap: %v", err)
	}
	if got := m.Status().GetProblem(); !strings.Contains(got, "in no cluster") {
		t.Fatalf("status of an empty server: %q", got)
	}
}

func TestAddressInUseAndUnusableAddresses(t *testing.T) {
	c := newCluster(t)
	m := c.mustAdd()
	for name, change := range map[string]func(*Config){
		"in use":         func(cfg *Config) { cfg.RaftAddress = m.Address() },
		"not an address": func(cfg *Config) { cfg.RaftAddress = "here" },
		"any host":       func(cfg *Config) { cfg.RaftAddress = "0.0.0.0:0" },
		"no timing":      func(cfg *Config) { cfg.Timing = Timing{} },
	} {
		cfg := DefaultConfig(t.TempDir(), "127.0.0.1:0")
		change(&cfg)
		node, err := Open(cfg, Deps{Machine: newCounter()})
		if err == nil {
			t.Errorf("%s: opened", name)
			_ = node.Shutdown(deadline(t))
		} else if name == "in use" && !strings.Contains(err.Error(), m.Address()) {
			t.Errorf("%s: %v does not name the address", name, err)
		}
	}
}

func TestDamagedLogIsRefusedWithAReason(t *testing.T) {
	c := mustFound(t, 1)
	m := c.mustLead()
	for i := range 20 {
		mustWrite(t, m, fmt.Sprintf("a text that is easily found: %02d", i))
	}
	c.crash(m)
	path := filepath.Join(m.cfg.DataDir, "raft", "raft.db")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content = []byte(strings.ReplaceAll(string(content), "easily found: 07", "easily lost : 07"))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(m.cfg, Deps{Machine: newCounter()}); !errors.Is(err, storage.ErrCorrupt) {
		t.Fatalf("open: %v", err)
	}
}

func TestFailedMachineEndsTheNode(t *testing.T) {
	c := mustFound(t, 1)
	m := c.mustLead()
	cause := errors.New("an entry of a newer version")
	m.machine.fail(cause)
	<-m.FailedC()
	if err := m.Err(); !errors.Is(err, ErrBroken) || !errors.Is(err, cause) {
		t.Fatalf("error: %v", err)
	}
	if got := m.Status().GetProblem(); !strings.Contains(got, cause.Error()) {
		t.Fatalf("status says %q", got)
	}
}

func TestLeadershipIsToldInOrder(t *testing.T) {
	c := mustFound(t, 3)
	done := make(chan struct{})
	for _, m := range c.members {
		go func() {
			var events []LeadershipEvent
			for event := range m.LeadershipEvents() {
				events = append(events, event)
			}
			m.events.Store(&events)
			done <- struct{}{}
		}()
	}
	for range 4 {
		leader := c.mustLead()
		changes, cancel := leader.WatchLeadership()
		if err := leader.TransferLeadership(deadline(t), ""); err != nil {
			t.Logf("%v", err) // it may time out on a busy machine
		} else {
			eventually(t, "it is told", func() bool { return len(changes) > 0 })
		}
		cancel()
	}
	c.mustLead()
	var wins []uint64
	for _, m := range c.members {
		if err := m.Shutdown(deadline(t)); err != nil {
			t.Fatal(err)
		}
	}
	for range c.members {
		<-done
	}
	for _, m := range c.members {
		told := *m.events.Load()
		for i, event := range told {
			if event.Gained != (i%2 == 0) {
				t.Fatalf("%s was told %+v", m.name, told)
			}
			if event.Gained {
				wins = append(wins, event.Term)
			} else if event.Term != told[i-1].Term {
				t.Fatalf("%s lost another term than it gained: %+v", m.name, told)
			}
		}
	}
	slices.Sort(wins)
	if len(wins) < 2 || len(slices.Compact(wins)) != len(wins) {
		t.Fatalf("terms that were won: %v", wins)
	}
}

func TestStatusAndContact(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	follower := c.followers(leader)[0]
	mustWrite(t, leader, "one")
	mustHave(t, follower, "one")

	status := leader.Status()
	if status.GetRole() != argosyv1.ServerRole_SERVER_ROLE_LEADER || !status.GetVoter() || status.GetId() != leader.ID() ||
		status.GetLastContactMs() != 0 || status.GetAppliedIndex() == 0 || status.GetProblem() != "" {
		t.Fatalf("leader's status: %v", status)
	}
	status = follower.Status()
	if status.GetRole() != argosyv1.ServerRole_SERVER_ROLE_FOLLOWER || status.GetTerm() != leader.Leadership().Term {
		t.Fatalf("follower's status: %v", status)
	}
	ask := func(cluster string) *argosyv1.ContactResponse {
		return follower.HandleContact(&argosyv1.ContactRequest{Handshake: &argosyv1.PeerHandshake{ClusterId: cluster}})
	}
	if got := ask(c.id); !got.GetFollower() || got.GetLeaderId() != leader.ID() {
		t.Fatalf("answered %v", got)
	}
	if got := ask(uuid.NewString()); got.GetFollower() {
		t.Fatalf("consents to a server of another cluster: %v", got)
	}
}
