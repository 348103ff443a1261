package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
	"github.com/argosy-cluster/argosy/server/consensus/storage"
	"github.com/argosy-cluster/argosy/server/rebuild"
)

// kept is a server that is opened again when its data is damaged, as the
// command line does it.
type kept struct {
	cfg    Config
	now    atomic.Pointer[Server]
	opened atomic.Int64
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

func mustKeep(t *testing.T, cfg Config) *kept {
	t.Helper()
	k := &kept{cfg: cfg, ended: make(chan struct{})}
	first := make(chan error, 1)
	keep := rebuild.DefaultConfig(cfg.DataDir, func() (rebuild.Replica, error) {
		s, err := Open(k.cfg)
		if err == nil {
			// The same addresses the next time.
			at := s.Addresses()
			k.cfg.APIAddress, k.cfg.RaftAddress, k.cfg.GossipAddress = at.API, at.Raft, at.Gossip
			k.now.Store(s)
			k.opened.Add(1)
		}
		select {
		case first <- err:
		default:
		}
		return s, err
	})
	keep.Logger = cfg.Logger
	keep.Spared = func(ctx context.Context) error { return Spared(ctx, k.cfg) }
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	go func() {
		defer close(k.ended)
		k.err = rebuild.Run(ctx, keep)
	}()
	t.Cleanup(func() { k.cancel(); <-k.ended })
	<-first
	return k
}

// troop is three servers that are kept.
type troop struct {
	t   *testing.T
	all []*kept
}

func mustTroop(t *testing.T, change func(cfg *Config)) *troop {
	t.Helper()
	x := &troop{t: t}
	for i := range 3 {
		cfg := testConfig(t)
		cfg.Name, cfg.BootstrapExpect = []string{"s1", "s2", "s3"}[i], 3
		cfg.Audit.Entries = 4
		for _, k := range x.all {
			cfg.Join = append(cfg.Join, k.now.Load().Addresses().Gossip)
		}
		if change != nil {
			change(&cfg)
		}
		x.all = append(x.all, mustKeep(t, cfg))
	}
	x.mustApply("first")
	eventually(t, "beacons are allowed", func() bool {
		settings, _ := x.leader().now.Load().machine.View().Cluster()
		return argosyv1.ActiveLevel(settings) >= argosyv1.FeatureBeacons
	})
	return x
}

func (x *troop) leader() *kept {
	var leader *kept
	eventually(x.t, "a leader", func() bool {
		for _, k := range x.all {
			if s := k.now.Load(); s != nil && s.reign.Load() != nil {
				leader = k
				return true
			}
		}
		return false
	})
	return leader
}

func (x *troop) follower() *kept {
	leader := x.leader()
	return x.all[slices.IndexFunc(x.all, func(k *kept) bool { return k != leader })]
}

// mustApply writes workloads, through any server.
func (x *troop) mustApply(names ...string) {
	x.t.Helper()
	for _, name := range names {
		req := applyOf(workload(name, "one"))
		eventually(x.t, "a write", func() bool {
			for _, k := range x.all {
				s := k.now.Load()
				if s == nil {
					continue
				}
				ctx, cancel := context.WithTimeout(x.t.Context(), 2*time.Second)
				_, err := argosyv1.NewClusterServiceClient(mustDial(x.t, s.Addresses().API, nil)).Apply(ctx, req)
				cancel()
				if err == nil {
					return true
				}
			}
			return false
		})
	}
}

// mustMakeLead makes a server lead a new term.
func (x *troop) mustMakeLead(k *kept) {
	x.t.Helper()
	if x.leader() == k {
		x.mustMakeLead(x.follower())
	}
	eventually(x.t, "leadership to change hands", func() bool {
		ctx, cancel := context.WithTimeout(x.t.Context(), 2*time.Second)
		defer cancel()
		_ = x.leader().now.Load().stepAside(ctx, k.now.Load().ID())
		return k.now.Load().reign.Load() != nil
	})
}

// mustApplyAlone gives a server an entry that the others do not have, at an
// index that Raft has used for the beginning of a term.
func (x *troop) mustApplyAlone(k *kept, entry []byte) error {
	x.t.Helper()
	s := k.now.Load()
	leads := x.leader() == k
	for range 20 {
		for range 40 {
			leader := x.leader().now.Load()
			index := leader.node.LastIndex()
			// More than one term may have begun since the last entry that counts.
			if leader.machine.Applied() < index && s.machine.Applied() == leader.machine.Applied() && s.node.LastIndex() == index {
				err, _ := s.machine.Apply(&raft.Log{Index: index, Data: entry}).(error)
				return err
			}
			<-time.After(5 * time.Millisecond)
		}
		// Something was written since the term began.
		x.mustMakeLead(x.all[slices.IndexFunc(x.all, func(one *kept) bool { return (one == k) == leads })])
	}
	x.t.Fatalf("there is no index for an entry of its own: %v", s.describe())
	return nil
}

// mustDiverge gives a server a row that the others do not have.
func (x *troop) mustDiverge(k *kept) {
	x.t.Helper()
	entry, err := proto.Marshal(&argosyv1.Entry{Mutations: []*argosyv1.Mutation{{Kind: &argosyv1.Mutation_Put{Put: &argosyv1.PutRow{
		Kind: argosyv1.RowKind_ROW_KIND_AGENT, Key: "rogue"}}}}})
	if err != nil {
		x.t.Fatal(err)
	}
	if err := x.mustApplyAlone(k, entry); err != nil {
		x.t.Fatal(err)
	}
}

// mustBeWhole waits until all three vote, hold the same state with the named
// workloads, and nobody has a problem.
func (x *troop) mustBeWhole(names ...string) {
	x.t.Helper()
	defer func() {
		for _, k := range x.all {
			if s := k.now.Load(); x.t.Failed() {
				servers, _ := s.node.Configuration()
				x.t.Logf("%s: %v, %s, servers %v", k.cfg.Name, s.describe(), s.machine.View(), servers)
			}
		}
	}()
	eventually(x.t, "three servers of one state", func() bool {
		hashes := map[string]bool{}
		revisions := map[uint64]bool{}
		for _, k := range x.all {
			s := k.now.Load()
			view := s.machine.View()
			hash := view.Hash()
			hashes[string(hash[:])], revisions[view.Revision()] = true, true
			servers, err := s.node.Configuration()
			if err != nil || len(servers) != 3 || !s.isVoter(s.ID()) || s.describe().GetProblem() != "" {
				return false
			}
		}
		return len(hashes) == 1 && len(revisions) == 1
	})
	for _, k := range x.all {
		view := k.now.Load().machine.View()
		for _, name := range names {
			if _, ok := view.Workload(name); !ok {
				x.t.Errorf("%s has lost workload %s", k.cfg.Name, name)
			}
		}
		if _, ok := view.Agent("rogue"); ok {
			x.t.Errorf("%s has what only the damaged one had", k.cfg.Name)
		}
	}
}

var some = []string{"a", "b", "c", "d", "e", "f"}

func TestAFollowerOfAnotherStateIsRebuilt(t *testing.T) {
	x := mustTroop(t, nil)
	x.mustMakeLead(x.follower())
	wrong := x.follower()
	old := wrong.now.Load().ID()
	x.mustDiverge(wrong)
	x.mustApply(some...)
	eventually(t, "the damage to be found", func() bool { return wrong.opened.Load() == 2 })
	x.mustBeWhole(some...)
	now := wrong.now.Load()
	if now.ID() == old {
		t.Error("it goes on under the id that it had")
	}
	if got := now.measure().Rebuilds; got != 1 {
		t.Errorf("%d rebuilds are counted", got)
	}
	if warnings := strings.Join(now.warnings(), "\n"); !strings.Contains(warnings, "not the one that the majority has") {
		t.Errorf("warnings are %q", warnings)
	}
	if _, err := os.Stat(filepath.Join(wrong.cfg.DataDir, "quarantine", "why.txt")); err != nil {
		t.Errorf("nothing was kept: %v", err)
	}
	for _, k := range x.all {
		if k != wrong && k.opened.Load() != 1 {
			t.Errorf("%s was opened %d times", k.cfg.Name, k.opened.Load())
		}
	}
}

func TestALeaderOfAnotherStateGivesLeadershipAwayAndIsRebuilt(t *testing.T) {
	x := mustTroop(t, nil)
	wrong := x.follower()
	x.mustMakeLead(wrong)
	old := wrong.now.Load().ID()
	x.mustDiverge(wrong)
	x.mustApply(some...)
	eventually(t, "the damage to be found", func() bool { return wrong.opened.Load() == 2 })
	x.mustApply("after")
	x.mustBeWhole(append(some, "after")...)
	if wrong.now.Load().ID() == old {
		t.Error("it goes on under the id that it had")
	}
}

// That it is found is for the tests of the auditor and of the state machine.
func TestAServerOfDamagedMemoryIsOpenedAgainFromItsDisk(t *testing.T) {
	x := mustTroop(t, nil)
	wrong := x.follower()
	old := wrong.now.Load().ID()
	wrong.now.Load().machine.Fail(fsm.ErrDamaged)
	eventually(t, "it to be opened again", func() bool { return wrong.opened.Load() == 2 })
	x.mustApply("after")
	x.mustBeWhole("first", "after")
	if wrong.now.Load().ID() != old {
		t.Error("it gave its id up")
	}
}

func TestAServerWhoseLogIsDamagedIsRebuilt(t *testing.T) {
	for _, kind := range []storage.Kind{storage.BoltDB, storage.WAL} {
		t.Run(string(kind), func(t *testing.T) {
			x := mustTroop(t, func(cfg *Config) { cfg.LogStore = kind })
			x.mustApply(some...)
			wrong := x.follower()
			old := wrong.now.Load().ID()
			wrong.cancel()
			<-wrong.ended
			mustFlipBit(t, filepath.Join(wrong.cfg.DataDir, "raft"), "first")
			x.mustApply("meanwhile")
			cfg := wrong.cfg
			again := mustKeep(t, cfg)
			x.all[slices.Index(x.all, wrong)] = again
			eventually(t, "it to be opened", func() bool { return again.opened.Load() == 1 })
			x.mustBeWhole(append(some, "first", "meanwhile")...)
			if again.now.Load().ID() == old {
				t.Error("it goes on under the id that it had")
			}
		})
	}
}

// Others have joined since it last took part, without whom its data would be the
// last copy.
func TestADamagedServerThatKnowsOfTooFewAsksThem(t *testing.T) {
	x := mustTroop(t, nil)
	x.mustApply(some...)
	wrong := x.follower()
	old, leader := wrong.now.Load().ID(), x.leader().now.Load().ID()
	eventually(t, "it to know where the others are", func() bool {
		text, err := os.ReadFile(apisPath(wrong.cfg.DataDir))
		return err == nil && len(strings.Fields(string(text))) == 2
	})
	wrong.cancel()
	<-wrong.ended
	mustFlipBit(t, filepath.Join(wrong.cfg.DataDir, "raft"), "first")
	roster := fmt.Sprintf(`[{"id": %q, "voter": true}, {"id": %q, "voter": true}]`, old, leader)
	if err := os.WriteFile(filepath.Join(wrong.cfg.DataDir, "servers"), []byte(roster), 0o600); err != nil {
		t.Fatal(err)
	}
	again := mustKeep(t, wrong.cfg)
	x.all[slices.Index(x.all, wrong)] = again
	eventually(t, "it to be opened", func() bool { return again.opened.Load() == 1 })
	x.mustBeWhole(append(some, "first")...)

	// With nobody there to ask it keeps what it has.
	for _, k := range x.all {
		k.cancel()
		<-k.ended
	}
	if err := Spared(t.Context(), again.cfg); !errors.Is(err, ErrNotSpared) {
		t.Errorf("servers that do not run can do without it: %v", err)
	}
}

func TestAnEntryOfANewerVersionIsNoDamage(t *testing.T) {
	x := mustTroop(t, nil)
	x.mustMakeLead(x.follower())
	old := x.follower()
	id := old.now.Load().ID()
	if err := x.mustApplyAlone(old, []byte{0xfa, 0x01, 0x00}); !errors.Is(err, fsm.ErrUnknown) {
		t.Fatalf("applied: %v", err)
	}
	<-old.ended
	if !errors.Is(old.err, fsm.ErrUnknown) || old.opened.Load() != 1 {
		t.Errorf("it was opened %d times and ended with %v", old.opened.Load(), old.err)
	}
	if text, err := os.ReadFile(filepath.Join(old.cfg.DataDir, "server-id")); err != nil || strings.TrimSpace(string(text)) != id {
		t.Errorf("its id is %q, was %s: %v", text, id, err)
	}
	x.all = slices.DeleteFunc(x.all, func(k *kept) bool { return k == old })
	x.mustApply("after")
}

func TestTheOnlyServerIsNotRebuilt(t *testing.T) {
	cfg := testConfig(t)
	cfg.BootstrapExpect = 1
	r := mustStart(t, cfg)
	mustLeader(t, r)
	mustApply(t, r, applyOf(workload("first", "one")))
	eventually(t, "the servers of the cluster to be remembered", func() bool {
		_, err := os.Stat(filepath.Join(cfg.DataDir, "servers"))
		return err == nil
	})
	r.stop(t)
	mustFlipBit(t, filepath.Join(cfg.DataDir, "raft"), "first")
	k := mustKeep(t, r.cfg)
	<-k.ended
	if !errors.Is(k.err, storage.ErrCorrupt) || !strings.Contains(k.err.Error(), "operator recover") {
		t.Errorf("it ended with %v", k.err)
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "raft", "raft.db")); err != nil {
		t.Errorf("its data was put aside: %v", err)
	}
}

// mustFlipBit changes one bit in every place where a text stands in the files
// below a directory.
func mustFlipBit(t *testing.T, dir, text string) {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, file os.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(content, []byte(text)) {
			return err
		}
		found = true
		damaged := []byte(text)
		damaged[0] ^= 0x10
		return os.WriteFile(path, bytes.ReplaceAll(content, []byte(text), damaged), 0o600)
	})
	if err != nil || !found {
		t.Fatalf("flip a bit of %q below %s: found %v, error %v", text, dir, found, err)
	}
}
