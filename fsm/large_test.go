package fsm_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// mustFill makes a state of many workloads of about a kilobyte.
func mustFill(t fataler, m *fsm.Machine, workloads int) {
	t.Helper()
	value := strings.Repeat("x", 1000)
	index := m.Applied()
	for at := 0; at < workloads; {
		e := &argosyv1.Entry{}
		for ; len(e.Mutations) < 256 && at < workloads; at++ {
			e.Mutations = append(e.Mutations, put(workload, fmt.Sprintf("workload-%06d", at), fmt.Sprintf("agent-%d", at%100), value))
			e.Outcomes = append(e.Outcomes, answer(fmt.Sprintf("%016d", at), "alice", "done"))
		}
		index++
		mustApply(t, m, index, e)
	}
}

// Raft takes a snapshot in the goroutine that applies entries: it must not
// depend on the size of the state. Nor may writing it out hold entries up.
func TestTakingASnapshotCostsNothingHoweverLargeTheState(t *testing.T) {
	m := mustNew(t)
	mustFill(t, m, 20_000)
	allocations := testing.AllocsPerRun(100, func() {
		snapshot, err := m.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		snapshot.Release()
	})
	if allocations > 2 {
		t.Errorf("a snapshot of 20,000 workloads takes %v allocations", allocations)
	}

	taken, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	// The sink applies an entry in the middle of being written to: if writing
	// held a lock that applying needs, this would never end.
	out := &busySink{t: t, machine: m}
	if err := taken.Persist(out); err != nil || out.applied == 0 {
		t.Fatalf("write: %v, %d entries applied meanwhile", err, out.applied)
	}
	restored := mustNew(t)
	mustRestore(t, restored, out.Bytes())
	if restored.Applied() >= m.Applied() || restored.View().Count(workload) != 20_000 {
		t.Errorf("restored to %s with %d workloads", restored.View(), restored.View().Count(workload))
	}
}

type busySink struct {
	bytes.Buffer
	t       *testing.T
	machine *fsm.Machine
	applied int
}

func (s *busySink) Write(p []byte) (int, error) {
	s.applied++
	mustApply(s.t, s.machine, s.machine.Applied()+1, entryOf(put(workload, "meanwhile", "a", fmt.Sprint(s.applied))))
	return s.Buffer.Write(p)
}

func (s *busySink) ID() string    { return "busy" }
func (s *busySink) Close() error  { return nil }
func (s *busySink) Cancel() error { return nil }

func BenchmarkLargeState(b *testing.B) {
	m := mustNew(b)
	mustFill(b, m, 50_000)
	snapshot := mustSnapshot(b, m)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mustSnapshot(b, m)
		}
	})
	b.Run("restore", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(snapshot)))
		for b.Loop() {
			mustRestore(b, mustNew(b), snapshot)
		}
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			m.View().Rehash()
		}
	})
}
