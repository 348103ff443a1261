package fsm_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func mustRebase(t *testing.T, v, present *fsm.View, revision uint64, settings *argosyv1.ClusterSettings) *fsm.View {
	t.Helper()
	var own []fsm.Own
	if settings != nil {
		own = []fsm.Own{{Kind: cluster, Key: fsm.ClusterKey, Message: settings}}
	}
	rebased, err := fsm.Rebase(v, present, revision, own)
	if err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, rebased)
	return rebased
}

func TestViewIsReadAsItWasWritten(t *testing.T) {
	view := seedMachine(t).View()
	var out bytes.Buffer
	n, err := view.WriteTo(&out)
	if err != nil || n != int64(out.Len()) {
		t.Fatalf("wrote %d of %d bytes: %v", n, out.Len(), err)
	}
	var again bytes.Buffer
	if _, err := view.WriteTo(&again); err != nil || !bytes.Equal(again.Bytes(), out.Bytes()) {
		t.Fatalf("the second time it is written it differs: %v", err)
	}
	read, err := fsm.ReadView(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if read.Hash() != view.Hash() || dump(read) != dump(view) {
		t.Fatalf("read\n%s\nwant\n%s", dump(read), dump(view))
	}
	if _, err := fsm.ReadView(bytes.NewReader(out.Bytes()[:out.Len()-1])); !errors.Is(err, fsm.ErrSnapshot) {
		t.Fatalf("read a part: %v", err)
	}
}

func TestRebasedStateIsOfOneRevisionAndAnswersNobody(t *testing.T) {
	view := seedMachine(t).View()
	settings := &argosyv1.ClusterSettings{ClusterId: "present"}
	rebased := mustRebase(t, view, mustNew(t).View(), 100, settings)
	if rebased.Revision() != 100 || rebased.LastWorkloadRevision() != 100 {
		t.Fatalf("it is %s, and workloads changed last at %d", rebased, rebased.LastWorkloadRevision())
	}
	for row := range rebased.Rows() {
		before, ok := view.Row(row.Kind, row.Key)
		if row.Kind == cluster {
			continue
		}
		if row.Revision != 100 || row.CreatedRevision != before.CreatedRevision {
			t.Errorf("%s was %s", describe(row), describe(before))
		}
		if !ok || !bytes.Equal(before.Value, row.Value) || before.Group != row.Group {
			t.Errorf("%s was %s", describe(row), describe(before))
		}
	}
	if got, want := rebased.Count(workload), view.Count(workload); got != want {
		t.Errorf("%d workloads, want %d", got, want)
	}
	if got, ok := rebased.Cluster(); !ok || got.GetClusterId() != "present" || got.GetRevision() != 100 {
		t.Errorf("settings are %v", got)
	}
	if count, bytes, _, _ := rebased.OutcomeStats(); count != 0 || bytes != 0 {
		t.Errorf("%d answers are remembered", count)
	}
	groups := func(v *fsm.View) (lines string) {
		for line := range strings.Lines(dump(v)) {
			if strings.HasPrefix(line, "group") {
				lines += line
			}
		}
		return lines
	}
	if got, want := groups(rebased), groups(view); got != want {
		t.Errorf("groups are\n%swant\n%s", got, want)
	}
	if without := mustRebase(t, view, view, 100, nil); without.Count(cluster) != 0 {
		t.Errorf("settings of the old state were kept")
	}
}

// What runs is known to its agent by the revision that created it: another one
// would have it started again.
func TestWhatIsPresentLivesOnInARebasedState(t *testing.T) {
	old := seedMachine(t).View()
	m := mustNew(t)
	mustApply(t, m, 50, entryOf(put(workload, "web", "agent-a", "made anew")))
	rebased := mustRebase(t, old, m.View(), 100, nil)
	for row := range rebased.Rows() {
		before, _ := old.Row(row.Kind, row.Key)
		want := before.CreatedRevision
		if row.Kind == workload && row.Key == "web" {
			want = 50
		}
		if row.CreatedRevision != want {
			t.Errorf("%s, want created at %d", describe(row), want)
		}
	}
}

func TestARebasedStateHasWhatIsItsOwn(t *testing.T) {
	m := seedMachine(t)
	mustApply(t, m, 4, entryOf(put(agent, "agent-a", "", "present")))
	own := func(key string) fsm.Own {
		return fsm.Own{Kind: agent, Key: key, Message: &argosyv1.Agent{Name: key}}
	}
	rebased, err := fsm.Rebase(seedMachine(t).View(), m.View(), 100, []fsm.Own{own("first"), own("agent-a"), own("agent-0")})
	if err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, rebased)
	var found []string
	for row := range rebased.Agents() {
		got, err := row.Agent()
		if err != nil {
			t.Fatal(err)
		}
		want := uint64(100)
		if row.Key == "agent-a" {
			want = 3
		}
		if got.GetName() != row.Key || got.GetRevision() != 100 || got.GetCreatedRevision() != want {
			t.Errorf("%s is %v, want created at %d", row.Key, got, want)
		}
		found = append(found, row.Key)
	}
	if want := []string{"agent-0", "agent-a", "first"}; !slices.Equal(found, want) {
		t.Errorf("agents %q, want %q", found, want)
	}
}

// Replicas that take over the rebased state and apply what follows must agree
// with one that is restored from their snapshots.
func TestRebasedStateIsRestoredAndGoesOn(t *testing.T) {
	rebased := mustRebase(t, seedMachine(t).View(), mustNew(t).View(), 100, &argosyv1.ClusterSettings{ClusterId: "present"})
	var out bytes.Buffer
	if _, err := rebased.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	m := mustNew(t)
	mustApply(t, m, 50, entryOf(put(workload, "newer", "agent-x", "value")))
	before, err := m.Subscribe(50)
	if err != nil {
		t.Fatal(err)
	}
	mustRestore(t, m, out.Bytes())
	if m.Applied() != 100 || m.View().Hash() != rebased.Hash() {
		t.Fatalf("restored %s, want %s", m.View(), rebased)
	}
	if _, ok := m.View().Workload("newer"); ok {
		t.Fatal("what was not in the backup is still there")
	}
	if _, err := before.Next(t.Context()); !errors.Is(err, fsm.ErrCompacted) {
		t.Fatalf("a subscription of before goes on: %v", err)
	}
	if err := apply(m, 100, nil); !errors.Is(err, fsm.ErrOutOfOrder) {
		t.Fatalf("an entry at the revision of the restore was taken: %v", err)
	}
	m = mustNew(t)
	mustRestore(t, m, out.Bytes())
	mustApply(t, m, 102, entryOf(put(workload, "web", "agent-b", "after")))
	mustBeWhole(t, m.View())
	if row, _ := m.View().Workload("web"); row.CreatedRevision != 1 || row.Revision != 102 {
		t.Fatalf("%s", describe(row))
	}
}
