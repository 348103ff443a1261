package evidence_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/argosy-cluster/argosy/chaos/check"
	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/evidence"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/traffic"
	"github.com/argosy-cluster/argosy/client"
	"github.com/argosy-cluster/argosy/server/consensus"
)

// patience bounds what a test waits for that fails.
const patience = 90 * time.Second

// trial is a cluster under load, and the record of it.
type trial struct {
	*cluster.Cluster
	*traffic.Traffic
	recorder *history.Recorder
	clock    history.Clock
	meta     history.Meta
}

func mustTry(t *testing.T, args ...string) *trial {
	t.Helper()
	clock, err := history.MachineClock()
	if err != nil {
		t.Fatal(err)
	}
	tr := &trial{clock: clock, meta: history.Meta{Started: time.Now().Format(time.RFC3339Nano), Began: clock()}}
	tr.recorder = history.InMemory(tr.meta)
	tr.Cluster, err = cluster.New(cluster.Config{
		Dir: t.TempDir(), StartTimeout: patience, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		ServerArgs: append(args, "--timing-multiplier", "3", "--trailing-logs", "1000000"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Cluster.Close() })
	if err := tr.Cluster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var servers []traffic.Server
	for _, p := range tr.Servers {
		servers = append(servers, traffic.Server{Name: p.Name, Endpoint: p.Endpoint()})
	}
	tr.Traffic, err = traffic.Start(t.Context(), traffic.Config{
		Connect: func(endpoints ...string) (*client.Client, error) {
			return tr.Client(client.Config{Endpoints: endpoints})
		},
		Servers: servers, Rand: rand.New(rand.NewPCG(1, 2)), Recorder: tr.recorder, Clock: clock,
		Load: plan.Load{Writers: 3, Rivals: 3, Makers: 2, Appliers: 2, Readers: 3, StaleReaders: 3, Listers: 2, Watchers: 3, PauseUs: 2000},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Traffic.Stop)
	return tr
}

func (tr *trial) mustFlow(t *testing.T, acknowledged int64) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(patience); tr.Counts().Acknowledged < acknowledged; {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%+v", tr.Counts())
		}
	}
}

// mustEnd stops everything, in order, and returns the history.
func (tr *trial) mustEnd(t *testing.T) *history.History {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tr.recorder.Update(func(m *history.Meta) { m.Quiet = tr.clock() })
	if err := tr.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	if err := tr.WaitLevel(ctx); err != nil {
		t.Fatal(err)
	}
	tr.Traffic.Stop()
	var processes []evidence.Process
	for _, p := range tr.Servers {
		if err := p.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		processes = append(processes, evidence.Process{Name: p.Name, Log: p.LogPath, DataDir: p.DataDir})
	}
	clock, err := evidence.Clock(tr.meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := evidence.Collect(ctx, tr.recorder, clock, processes); err != nil {
		t.Fatal(err)
	}
	tr.recorder.Update(func(m *history.Meta) { m.Ended = tr.clock() })
	h, err := tr.recorder.Close()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestWhatAClusterLeavesIsReadAndJudged(t *testing.T) {
	for _, store := range []string{"boltdb", "wal"} {
		t.Run(store, func(t *testing.T) {
			tr := mustTry(t, "--log-store", store, "--snapshot-threshold", "200")
			tr.mustFlow(t, 400)
			leader, err := tr.Leader(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			killed := history.Fault{Step: 1, Kind: "kill-leader", Targets: []string{leader.Name}, Leader: leader.Name, Begun: tr.clock(), Quorum: true, Changes: 1}
			if err := leader.Kill(); err != nil {
				t.Fatal(err)
			}
			killed.Struck = tr.clock()
			tr.mustFlow(t, 800)
			if err := leader.Start(); err != nil {
				t.Fatal(err)
			}
			killed.Healed = tr.clock()
			tr.recorder.Fault(killed)
			tr.mustFlow(t, 1200)
			h := tr.mustEnd(t)
			v := check.Judge(h)
			if !v.Held() || v.Operations < 1200 {
				t.Errorf("%d operations, unjudged %v", v.Operations, v.Unjudged)
			}
			for name, r := range v.Results {
				t.Logf("%s: %d", name, r.Checked)
				for _, violation := range r.Violations[:min(3, len(r.Violations))] {
					t.Errorf("%s: %s\n%s", name, violation.What, strings.Join(violation.Evidence, "\n"))
				}
			}
			leaders := map[string]bool{}
			for _, l := range h.Leaderships {
				leaders[l.ID] = true
				if l.Term == 0 || l.ID == "" || l.At < h.Meta.Began || l.At > h.Meta.Ended {
					t.Errorf("leadership %+v, the trial was from %d to %d", l, h.Meta.Began, h.Meta.Ended)
				}
			}
			if len(leaders) < 2 {
				t.Errorf("leaders %v", leaders)
			}
			checkReplicas(t, h.Replicas)
			if h.Meta.Whole = false; check.Judge(h).Held() {
				t.Error("a history that is not whole held")
			}
		})
	}
}

func checkReplicas(t *testing.T, replicas []history.Replica) {
	t.Helper()
	if len(replicas) != 3 {
		t.Fatalf("%d replicas", len(replicas))
	}
	for _, r := range replicas {
		t.Logf("%s: revision %d, log %d to %d with %d entries, %d hashes, %d snapshots", r.Server, r.Revision, r.First, r.Last, len(r.Entries), len(r.Hashes), len(r.Snapshots))
		if r.Error != "" || len(r.Damaged) > 0 || r.First != 1 || r.Hash == "" || len(r.Entries) < 300 || len(r.Hashes) == 0 || len(r.Snapshots) == 0 {
			t.Errorf("%s: error %q, damaged %v", r.Server, r.Error, r.Damaged)
		}
		if r.Hash != replicas[0].Hash || !slices.Equal(r.Objects, replicas[0].Objects) {
			t.Errorf("%s differs from %s", r.Server, replicas[0].Server)
		}
		for _, s := range r.Snapshots {
			if at := slices.Index(r.Hashes, history.IndexHash{Index: s.Index, Hash: s.Had}); s.Said != s.Had || at < 0 {
				t.Errorf("%s: snapshot %+v, hashes %v", r.Server, s, r.Hashes)
			}
		}
	}
}

func TestAReplicaThatIsDamagedSaysSo(t *testing.T) {
	tr := mustTry(t)
	tr.mustFlow(t, 200)
	tr.mustEnd(t)
	processes := func(dir string) []evidence.Process {
		all := []evidence.Process{{Name: tr.Servers[0].Name, DataDir: dir}}
		for _, p := range tr.Servers[1:] {
			all = append(all, evidence.Process{Name: p.Name, DataDir: p.DataDir})
		}
		return all
	}
	for _, tc := range []struct {
		name  string
		spoil func(dir string) error
		whole bool
	}{
		{"it is whole", func(string) error { return nil }, true},
		{"there is none", os.RemoveAll, false},
		{"a value in the log was changed", func(dir string) error {
			path := filepath.Join(dir, "raft", "raft.db")
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			// Values of the writers are in the log as they are.
			at := strings.Index(string(text), "writer-")
			text[at] ^= 1
			return os.WriteFile(path, text, 0o600)
		}, false},
		{"an entry in the middle of the log is missing", func(dir string) error {
			log, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, "raft", "raft.db")})
			if err != nil {
				return err
			}
			return errors.Join(log.DeleteRange(50, 50), log.Close())
		}, false},
		{"the log was cut in half", func(dir string) error { return os.Truncate(filepath.Join(dir, "raft", "raft.db"), 9000) }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(tr.Servers[0].DataDir)); err != nil {
				t.Fatal(err)
			}
			if err := tc.spoil(dir); err != nil {
				t.Fatal(err)
			}
			replicas, err := evidence.Replicas(t.Context(), processes(dir))
			if err != nil {
				t.Fatal(err)
			}
			if len(replicas) != 3 || replicas[1].Error != "" || replicas[2].Hash != replicas[1].Hash || len(replicas[1].Entries) == 0 {
				t.Fatalf("replicas %+v", replicas)
			}
			spoiled := replicas[0]
			if whole := spoiled.Error == "" && len(spoiled.Damaged) == 0; whole != tc.whole {
				t.Errorf("error %q, damaged %q", spoiled.Error, spoiled.Damaged)
			}
			if tc.whole && spoiled.Hash != replicas[1].Hash {
				t.Errorf("hash %s and %s", spoiled.Hash, replicas[1].Hash)
			}
		})
	}
	t.Run("it is in use", func(t *testing.T) {
		held, err := consensus.Hold(tr.Servers[0].DataDir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = held.Close() }()
		replicas, err := evidence.Replicas(t.Context(), processes(tr.Servers[0].DataDir))
		if err != nil || !strings.Contains(replicas[0].Error, consensus.ErrLocked.Error()) || replicas[1].Error != "" {
			t.Errorf("%q, %v", replicas[0].Error, err)
		}
	})
}
