package fsm_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/fsm"
)

// TestUnderRaft runs a machine under the real Raft: entries, a snapshot that
// cuts the log, and a restart from both.
func TestUnderRaft(t *testing.T) {
	logs, snapshots := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
	start := func(m *fsm.Machine, bootstrap bool) *raft.Raft {
		cfg := raft.DefaultConfig()
		cfg.LocalID = "one"
		cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
		cfg.TrailingLogs = 1
		cfg.Logger = hclog.NewNullLogger()
		cfg.NoLegacyTelemetry = true
		address, transport := raft.NewInmemTransport("")
		if bootstrap {
			servers := raft.Configuration{Servers: []raft.Server{{ID: cfg.LocalID, Address: address}}}
			if err := raft.BootstrapCluster(cfg, logs, logs, snapshots, transport, servers); err != nil {
				t.Fatal(err)
			}
		}
		r, err := raft.NewRaft(cfg, m, logs, logs, snapshots, transport)
		if err != nil {
			t.Fatal(err)
		}
		for leads := range r.LeaderCh() {
			if leads {
				break
			}
		}
		if err := r.Barrier(0).Error(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	stop := func(r *raft.Raft) {
		if err := r.Shutdown().Error(); err != nil {
			t.Fatal(err)
		}
	}

	first := mustNew(t)
	r := start(first, true)
	if first.Applied() == 0 {
		t.Error("Raft's configuration did not move the revision")
	}
	for _, value := range []string{"one", "two", "three"} {
		future := r.Apply(mustEncode(t, entryOf(put(workload, "web-"+value, "agent-a", value))), 0)
		if err := future.Error(); err != nil {
			t.Fatal(err)
		}
		if applied, ok := future.Response().(*fsm.Applied); !ok || applied.Revision != future.Index() {
			t.Fatalf("entry %d was answered with %#v", future.Index(), future.Response())
		}
		if value == "two" {
			if err := r.Snapshot().Error(); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop(r)

	second := mustNew(t)
	stop(start(second, false))
	if got, want := dump(second.View()), dump(first.View()); got != want {
		t.Fatalf("came back as\n%s\nwas\n%s", got, want)
	}
	// The restart made no entry that reaches the machine.
	a, b := first.View().Hash(), second.View().Hash()
	if !bytes.Equal(a[:], b[:]) {
		t.Fatalf("came back with hash %x, was %x", b, a)
	}
	if floor := second.FeedFloor(); floor == 0 || floor >= second.Applied() {
		t.Fatalf("restored from snapshot, feed begins after %d of %d", floor, second.Applied())
	}
}
