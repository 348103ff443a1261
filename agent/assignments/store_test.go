package assignments

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func workload(name string, revision uint64) *argosyv1.Workload {
	return &argosyv1.Workload{Name: name, Agent: "node1", Runtime: "pods", RuntimeConfig: "image: " + name, CreatedRevision: 1, Revision: revision}
}

func mustApply(t *testing.T, s *Store, m *argosyv1.Assignments) *Change {
	t.Helper()
	change, err := s.Apply(m)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

func mustAccept(t *testing.T, s *Store, cluster string, term uint64) {
	t.Helper()
	if err := s.Accept(cluster, "", term); err != nil {
		t.Fatal(err)
	}
}

// saved writes what a store holds, as the end of Run does.
func saved(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.touch()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func names(workloads []*argosyv1.Workload) []string {
	var all []string
	for _, w := range workloads {
		all = append(all, w.GetName())
	}
	slices.Sort(all)
	return all
}

func TestAStoreOpenedAgainHoldsTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "assignments")
	s := Open(path, "", nil)
	if held := s.Held(); held.ClusterID != "" || held.Term != 0 || held.Revision != 0 || held.Hash != nil {
		t.Errorf("an empty store holds %+v", held)
	}
	mustAccept(t, s, "c1", 3)
	mustApply(t, s, &argosyv1.Assignments{Full: true, Revision: 10, Term: 3, Upserts: []*argosyv1.Workload{workload("a", 8), workload("b", 9)}})
	s.Started(workload("a", 8))
	out := argosyv1.InstanceOf(workload("out", 1))
	s.Leaving(Leaving{Runtime: "pods", Instance: out})
	s.Leaving(Leaving{Runtime: "other", Instance: out})
	s.Left(Leaving{Runtime: "other", Instance: out})
	saved(t, s)

	again := Open(path, "", nil)
	before, after := s.Held(), again.Held()
	if before.ClusterID != after.ClusterID || before.Term != after.Term || before.Revision != after.Revision || !bytes.Equal(before.Hash, after.Hash) || after.Hash == nil {
		t.Errorf("held %+v before and %+v after", before, after)
	}
	remembered := again.Remembered()
	if remembered.Vouched || !remembered.Full || remembered.Revision != 10 || !slices.Equal(names(remembered.Upserts), []string{"a", "b"}) || !maps.Equal(remembered.Started, map[string]bool{"a": true}) {
		t.Errorf("remembered %+v", remembered)
	}
	if l := remembered.Leaving; len(l) != 1 || l[0].Runtime != "pods" || l[0].Instance.Key() != out.Key() {
		t.Errorf("leaving %+v", l)
	}
	if err := again.Accept("c1", "", 2); !errors.Is(err, ErrStaleLeader) {
		t.Errorf("a lower term after a restart: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file: %v, %v", info.Mode(), err)
	}
}

func TestADamagedFileIsTheSameAsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "assignments")
	s := Open(path, "", nil)
	mustAccept(t, s, "c1", 3)
	mustApply(t, s, &argosyv1.Assignments{Full: true, Revision: 10, Term: 3, Upserts: []*argosyv1.Workload{workload("a", 8)}})
	saved(t, s)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-3] ^= 1
	for name, content := range map[string][]byte{
		"cut": good[:len(good)-1], "flipped": flipped, "empty": {}, "noise": []byte("\x00\xff{"), "later version": []byte(`{"version":2}` + "\n"),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if held := Open(path, "", nil).Held(); held.Revision != 0 || held.Hash != nil {
			t.Errorf("%s: held %+v", name, held)
		}
	}
}

func TestOnlyTheLeaderOfTheOwnClusterAndOfTheHighestTermIsListenedTo(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "assignments"), "", nil)
	if err := s.Accept("", "", 1); !errors.Is(err, ErrOtherCluster) {
		t.Errorf("a leader without a cluster: %v", err)
	}
	mustAccept(t, s, "c1", 5)
	mustAccept(t, s, "c1", 5)
	if err := s.Accept("c2", "", 9); !errors.Is(err, ErrOtherCluster) {
		t.Errorf("another cluster: %v", err)
	}
	if err := s.Accept("c1", "", 4); !errors.Is(err, ErrStaleLeader) {
		t.Errorf("a lower term: %v", err)
	}
	mustApply(t, s, &argosyv1.Assignments{Full: true, Revision: 20, Term: 5, Upserts: []*argosyv1.Workload{workload("a", 8)}})
	if _, err := s.Apply(&argosyv1.Assignments{Full: true, Revision: 30, Term: 4}); !errors.Is(err, ErrStaleLeader) {
		t.Errorf("assignments of a lower term: %v", err)
	}
	if _, err := s.Apply(&argosyv1.Assignments{Full: true, Revision: 19, Term: 5}); !errors.Is(err, ErrStaleLeader) {
		t.Errorf("assignments of an older revision: %v", err)
	}
	if held := s.Held(); held.Revision != 20 || held.Hash == nil {
		t.Errorf("what was refused changed something: %+v", held)
	}
}

func TestPartialAssignmentsCountWithTheLastOne(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "assignments"), "", nil)
	mustAccept(t, s, "c1", 1)
	part := func(full, partial bool, all ...*argosyv1.Workload) *argosyv1.Assignments {
		return &argosyv1.Assignments{Full: full, Revision: 10, Term: 1, Upserts: all, Partial: partial}
	}
	if c := mustApply(t, s, part(true, true, workload("a", 1))); c != nil {
		t.Errorf("change %+v with the first part", c)
	}
	// The stream broke; the next one begins again.
	mustAccept(t, s, "c1", 1)
	mustApply(t, s, part(true, true, workload("b", 1)))
	change := mustApply(t, s, part(true, false, workload("c", 1)))
	if change == nil || !change.Full || !change.Vouched || !slices.Equal(names(change.Upserts), []string{"b", "c"}) {
		t.Fatalf("change %+v", change)
	}
	if !bytes.Equal(s.Held().Hash, argosyv1.AssignmentHash([]*argosyv1.Workload{workload("b", 1), workload("c", 1)})) {
		t.Error("the hash is not that of the set")
	}
}

func TestDifferencesLeadToTheSameSet(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "assignments"), "", nil)
	mustAccept(t, s, "c1", 1)
	mustApply(t, s, &argosyv1.Assignments{Full: true, Revision: 10, Term: 1, Upserts: []*argosyv1.Workload{workload("a", 1), workload("b", 2)}})
	mustApply(t, s, &argosyv1.Assignments{Revision: 11, Term: 1, Upserts: []*argosyv1.Workload{workload("b", 11), workload("c", 11)}, Removals: []string{"a", "never"}})
	if !bytes.Equal(s.Held().Hash, argosyv1.AssignmentHash([]*argosyv1.Workload{workload("b", 11), workload("c", 11)})) {
		t.Errorf("held: %v", names(s.Remembered().Upserts))
	}
	mustApply(t, s, &argosyv1.Assignments{Revision: 12, Term: 1})
	if held := s.Held(); held.Revision != 12 {
		t.Errorf("held %+v", held)
	}
}

func TestWhatWasStartedIsForgottenWithTheInstance(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "assignments"), "", nil)
	mustAccept(t, s, "c1", 1)
	set := func(revision uint64, w *argosyv1.Workload) {
		mustApply(t, s, &argosyv1.Assignments{Revision: revision, Term: 1, Upserts: []*argosyv1.Workload{w}})
	}
	started := func() bool { return s.Remembered().Started["a"] }

	set(1, workload("a", 1))
	s.Started(workload("a", 1))
	set(2, &argosyv1.Workload{Name: "a", Agent: "node1", Runtime: "pods", RuntimeConfig: " image: a\n", Tags: map[string]string{"x": "y"}, CreatedRevision: 1, Revision: 2})
	if !started() {
		t.Error("forgotten with a change of tags")
	}
	changed := workload("a", 3)
	changed.RuntimeConfig = "image: b"
	set(3, changed)
	if started() {
		t.Error("remembered for another configuration")
	}
	s.Started(workload("a", 1)) // Late word of the one before.
	if started() {
		t.Error("remembered because of another instance")
	}
	s.Started(changed)
	again := workload("a", 4)
	again.RuntimeConfig, again.CreatedRevision = "image: b", 4
	set(4, again)
	if started() {
		t.Error("remembered though it was deleted and made again")
	}
	s.Started(again)
	mustApply(t, s, &argosyv1.Assignments{Full: true, Revision: 5, Term: 1})
	if started() {
		t.Error("remembered after it was deleted")
	}
}

func TestChangesReachTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "assignments")
	s := Open(path, "", nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	mustAccept(t, s, "c1", 1)
	mustApply(t, s, &argosyv1.Assignments{Full: true, Revision: 7, Term: 1, Upserts: []*argosyv1.Workload{workload("a", 1)}})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if held := Open(path, "", nil).Held(); held.Revision != 7 {
		t.Errorf("held %+v", held)
	}
}

func TestADirectoryThatCannotBeWrittenEndsNothing(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "missing", "assignments"), "", nil)
	mustAccept(t, s, "c1", 1)
	saved(t, s)
	if held := s.Held(); held.Term != 1 {
		t.Errorf("held %+v", held)
	}
}

func TestARecoveredClusterIsFollowedAndWhatItLeftBehindIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "assignments")
	s := Open(path, "", nil)
	accept := func(incarnation string, term uint64) error { return s.Accept("c1", incarnation, term) }
	if err := accept("", 50); err != nil {
		t.Fatal(err)
	}
	mustApply(t, s, &argosyv1.Assignments{Full: true, Revision: 900, Term: 50})
	if err := accept("1-0000000a", 7); err != nil {
		t.Fatalf("a recovered cluster of a lower term: %v", err)
	}
	mustApply(t, s, &argosyv1.Assignments{Full: true, Revision: 800, Term: 7})
	if !s.save() {
		t.Fatal("not saved")
	}
	for range 2 { // and after a restart
		for _, left := range []string{"", "1-0000000b"} {
			if err := accept(left, 99); !errors.Is(err, ErrLeftBehind) {
				t.Fatalf("incarnation %q: %v", left, err)
			}
		}
		if err := accept("1-0000000a", 6); !errors.Is(err, ErrStaleLeader) {
			t.Fatalf("a lower term of the same incarnation: %v", err)
		}
		s = Open(path, "", nil)
	}
	if held := s.Held(); held.Incarnation != "1-0000000a" || held.Term != 7 || held.Revision != 800 {
		t.Fatalf("held: %+v", held)
	}
}
