package fsm_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestSnapshotThatEndsEarlyIsRefused(t *testing.T) {
	whole := mustSnapshot(t, seedMachine(t))
	for n := range whole {
		m := mustNew(t)
		if err := restore(m, whole[:n]); !errors.Is(err, fsm.ErrSnapshot) {
			t.Fatalf("restored %d of %d bytes: %v", n, len(whole), err)
		}
		if m.Applied() != 0 {
			t.Fatalf("%d of %d bytes were applied", n, len(whole))
		}
	}
}

func TestSnapshotWithAFlippedBitIsRefused(t *testing.T) {
	whole := mustSnapshot(t, seedMachine(t))
	want := seedMachine(t).View()
	for at := range whole {
		for bit := range 8 {
			damaged := append([]byte(nil), whole...)
			damaged[at] ^= 1 << bit
			m := mustNew(t)
			if err := restore(m, damaged); err != nil {
				if m.Applied() != 0 {
					t.Fatalf("bit %d of byte %d: refused with %v, but applied", bit, at, err)
				}
				continue
			}
			// Some bits mean nothing, such as those of a longer form of the
			// same number.
			if m.View().Hash() != want.Hash() || dump(m.View()) != dump(want) {
				t.Fatalf("bit %d of byte %d: restored to another state", bit, at)
			}
		}
	}
}

func TestSnapshotOfANewerFormatIsRefused(t *testing.T) {
	whole := mustSnapshot(t, seedMachine(t))
	whole[2] = 2 // length, tag, format
	if err := restore(mustNew(t), whole); !errors.Is(err, fsm.ErrUnknown) {
		t.Fatalf("restored: %v", err)
	}
}

func TestSnapshotShowsTheStateItWasTakenOf(t *testing.T) {
	m := seedMachine(t)
	want := dump(m.View())
	taken, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	mustApply(t, m, 7, entryOf(put(workload, "web", "agent-b", "later"), remove(workload, "old"), expire(3)))
	var out sink
	if err := taken.Persist(&out); err != nil {
		t.Fatal(err)
	}
	restored := mustNew(t)
	mustRestore(t, restored, out.Bytes())
	if got := dump(restored.View()); got != want {
		t.Fatalf("restored\n%s\nwant\n%s", got, want)
	}
}

type brokenSink struct{ sink }

func (s *brokenSink) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestSnapshotThatCannotBeWrittenIsCancelled(t *testing.T) {
	m := seedMachine(t)
	taken, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var out brokenSink
	if err := taken.Persist(&out); !errors.Is(err, io.ErrClosedPipe) || !out.cancelled || out.closed {
		t.Fatalf("persist: %v, cancelled=%v closed=%v", err, out.cancelled, out.closed)
	}
	if m.Failed() != nil {
		t.Fatalf("a full disk is no failure of the state: %v", m.Failed())
	}
}

// A state that was damaged in memory must not become the snapshot for which
// Raft throws the log away.
func TestDamagedStateIsNotWrittenDown(t *testing.T) {
	m := seedMachine(t)
	row, _ := m.View().Workload("web")
	row.Value[0] ^= 1
	if m.View().Hash() == m.View().Rehash() {
		t.Fatal("damage does not show in the hash")
	}
	taken, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var out sink
	if err := taken.Persist(&out); !errors.Is(err, fsm.ErrFailed) || !out.cancelled {
		t.Fatalf("persist: %v, cancelled=%v", err, out.cancelled)
	}
	<-m.FailedC()
	if err := apply(m, 9, nil); !errors.Is(err, fsm.ErrFailed) {
		t.Fatalf("applied after that: %v", err)
	}
}

func TestFailedMachineKeepsToItsLastState(t *testing.T) {
	m := seedMachine(t)
	snapshot := mustSnapshot(t, m)
	before := m.View()
	if err := apply(m, 4, []byte("garbage")); !errors.Is(err, fsm.ErrFailed) || !errors.Is(err, fsm.ErrMalformed) {
		t.Fatalf("apply garbage: %v", err)
	}
	<-m.FailedC()
	if _, err := m.Snapshot(); !errors.Is(err, fsm.ErrFailed) {
		t.Errorf("took a snapshot: %v", err)
	}
	if err := restore(m, snapshot); !errors.Is(err, fsm.ErrFailed) {
		t.Errorf("restored: %v", err)
	}
	if err := apply(m, 5, nil); !errors.Is(err, fsm.ErrFailed) || !strings.Contains(err.Error(), "apply entry 4 ") {
		t.Errorf("applied: %v", err)
	}
	if m.View() != before {
		t.Errorf("state is %s, was %s", m.View(), before)
	}
}

func TestRestoreReplacesTheState(t *testing.T) {
	data := mustSnapshot(t, seedMachine(t))
	m := mustNew(t)
	mustApply(t, m, 1, entryOf(put(workload, "other", "agent-x", "value")))
	old := m.View()
	mustRestore(t, m, data)
	if got, want := dump(m.View()), dump(seedMachine(t).View()); got != want {
		t.Fatalf("restored\n%s\nwant\n%s", got, want)
	}
	if _, ok := old.Workload("other"); !ok || old.Revision() != 1 {
		t.Fatalf("the old view shows %s", old)
	}
	if _, ok := old.Outcome([]byte("first")); ok {
		t.Fatal("the old view shows an outcome of the new state")
	}
	mustApply(t, m, 4, entryOf(put(workload, "more", "agent-a", "value")))
	mustBeWhole(t, m.View())
}

func TestSnapshotThatDoesNotSayWhenWorkloadsChangedCountsAsChangedThen(t *testing.T) {
	m := mustNew(t)
	mustApply(t, m, 5, entryOf(put(workload, "w", "", "v")))
	mustApply(t, m, 9, entryOf(put(agent, "a", "", "v")))
	if last := m.View().LastWorkloadRevision(); last != 5 {
		t.Fatalf("workloads changed last at %d, want 5", last)
	}
	for name, c := range map[string]struct {
		change func(*argosyv1.SnapshotHeader)
		want   uint64 // 0: refused
	}{
		"as written": {func(*argosyv1.SnapshotHeader) {}, 5},
		"not said":   {func(h *argosyv1.SnapshotHeader) { h.LastWorkloadRevision = nil }, 9},
		"too low":    {func(h *argosyv1.SnapshotHeader) { h.LastWorkloadRevision = proto.Uint64(4) }, 0},
		"too high":   {func(h *argosyv1.SnapshotHeader) { h.LastWorkloadRevision = proto.Uint64(10) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			whole := mustSnapshot(t, m)
			length, n := protowire.ConsumeVarint(whole)
			header := &argosyv1.SnapshotHeader{}
			if err := proto.Unmarshal(whole[n:n+int(length)], header); err != nil {
				t.Fatal(err)
			}
			c.change(header)
			changed := mustEncode(t, header)
			data := append(protowire.AppendBytes(nil, changed), whole[n+int(length):]...)
			restored := mustNew(t)
			err := restore(restored, data)
			if (c.want == 0) != errors.Is(err, fsm.ErrSnapshot) {
				t.Fatalf("restore: %v", err)
			}
			if last := restored.View().LastWorkloadRevision(); last != c.want {
				t.Fatalf("workloads changed last at %d, want %d", last, c.want)
			}
		})
	}
}
