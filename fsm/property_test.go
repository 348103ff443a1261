package fsm_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// model is the state machine as one would write it if nothing had to be fast.
type model struct {
	revision uint64
	rows     map[modelKey]modelRow
	outcomes []modelOutcome
	// lastWorkload is the revision of the last entry that changed a workload or a
	// config.
	lastWorkload uint64
}

type modelKey struct {
	kind argosyv1.RowKind
	key  string
}

type modelRow struct {
	group, value      string
	created, revision uint64
}

type modelOutcome struct {
	revision              uint64
	id, principal, result string
}

func (m *model) clone() *model {
	return &model{revision: m.revision, rows: maps.Clone(m.rows), outcomes: slices.Clone(m.outcomes), lastWorkload: m.lastWorkload}
}

func (m *model) apply(index uint64, e *argosyv1.Entry) {
	m.revision = index
	before := m.workloads()
	defer func() {
		if !maps.Equal(before, m.workloads()) {
			m.lastWorkload = index
		}
	}()
	upTo := uint64(0)
	for _, mutation := range e.GetMutations() {
		switch kind := mutation.GetKind().(type) {
		case *argosyv1.Mutation_Put:
			key := modelKey{kind.Put.GetKind(), kind.Put.GetKey()}
			created := index
			if before, ok := m.rows[key]; ok {
				created = before.created
			}
			m.rows[key] = modelRow{kind.Put.GetGroup(), string(kind.Put.GetValue()), created, index}
		case *argosyv1.Mutation_Delete:
			delete(m.rows, modelKey{kind.Delete.GetKind(), kind.Delete.GetKey()})
		case *argosyv1.Mutation_ExpireOutcomes:
			upTo = max(upTo, kind.ExpireOutcomes.GetUpToRevision())
		}
	}
	m.outcomes = slices.DeleteFunc(m.outcomes, func(o modelOutcome) bool { return o.revision <= upTo })
	for _, o := range e.GetOutcomes() {
		m.outcomes = append(m.outcomes, modelOutcome{index, string(o.GetRequestId()), o.GetPrincipal(), string(o.GetResult())})
	}
}

func (m *model) workloads() map[modelKey]modelRow {
	found := map[modelKey]modelRow{}
	for key, row := range m.rows {
		if key.kind == workload || key.kind == config {
			found[key] = row
		}
	}
	return found
}

// compare holds everything that a view shows against the model.
func (m *model) compare(v *fsm.View) error {
	if v.Revision() != m.revision {
		return fmt.Errorf("revision is %d, want %d", v.Revision(), m.revision)
	}
	if v.Hash() != v.Rehash() {
		return fmt.Errorf("running hash %x, that of the state %x", v.Hash(), v.Rehash())
	}
	rows := map[modelKey]modelRow{}
	var last *fsm.Row
	for row := range v.Rows() {
		if last != nil && (last.Kind > row.Kind || last.Kind == row.Kind && last.Key >= row.Key) {
			return fmt.Errorf("row %s comes after %s", describe(row), describe(last))
		}
		last = row
		rows[modelKey{row.Kind, row.Key}] = asModel(row)
	}
	if !maps.Equal(rows, m.rows) {
		return fmt.Errorf("rows are %v, want %v", rows, m.rows)
	}
	size := 0
	for key, row := range m.rows {
		size += len(key.key) + len(row.group) + len(row.value)
	}
	if v.Bytes() != size {
		return fmt.Errorf("state has %d bytes, want %d", v.Bytes(), size)
	}
	if v.LastWorkloadRevision() != m.lastWorkload {
		return fmt.Errorf("workloads changed last at %d, want %d", v.LastWorkloadRevision(), m.lastWorkload)
	}
	for _, kind := range []argosyv1.RowKind{workload, agent, cluster, config} {
		want := 0
		for key := range m.rows {
			if key.kind == kind {
				want++
			}
		}
		if v.Count(kind) != want {
			return fmt.Errorf("%d rows of kind %s, want %d", v.Count(kind), kind, want)
		}
	}
	for _, group := range modelGroups {
		var got, want []string
		for row := range v.WorkloadsOf(group) {
			got = append(got, row.Key)
		}
		for key, row := range m.rows {
			if key.kind == workload && row.group == group {
				want = append(want, key.key)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			return fmt.Errorf("group %q has %q, want %q", group, got, want)
		}
	}
	return m.compareOutcomes(v)
}

func (m *model) compareOutcomes(v *fsm.View) error {
	for _, id := range modelIDs {
		var want modelOutcome
		for _, o := range m.outcomes {
			if o.id == id && id != "" {
				want = o
			}
		}
		got, ok := v.Outcome([]byte(id))
		if ok != (want.revision != 0) || got.Revision != want.revision || got.Principal != want.principal || string(got.Result) != want.result {
			return fmt.Errorf("outcome of %q is %v (%v), want %v", id, got, ok, want)
		}
	}
	count, _, oldest, _ := v.OutcomeStats()
	want := uint64(0)
	if len(m.outcomes) > 0 {
		want = m.outcomes[0].revision
	}
	if count != len(m.outcomes) || oldest != want {
		return fmt.Errorf("%d outcomes, oldest of %d; want %d, of %d", count, oldest, len(m.outcomes), want)
	}
	return nil
}

func asModel(row *fsm.Row) modelRow {
	return modelRow{row.Group, string(row.Value), row.CreatedRevision, row.Revision}
}

var (
	modelKeys   = []string{"", "a", "ab", "b", "ba", "cluster"}
	modelGroups = []string{"", "g", "ga", "h"}
	modelIDs    = []string{"", "1", "2", "3", "4", "5", "6"}
)

func drawEntry(t *rapid.T, index uint64) *argosyv1.Entry {
	e := &argosyv1.Entry{ProposedUnixNanos: rapid.Int64().Draw(t, "time")}
	for range rapid.IntRange(0, 6).Draw(t, "mutations") {
		kind := rapid.SampledFrom([]argosyv1.RowKind{workload, workload, workload, agent, cluster, config}).Draw(t, "kind")
		key := rapid.SampledFrom(modelKeys).Draw(t, "key")
		switch rapid.IntRange(0, 9).Draw(t, "operation") {
		case 0, 1, 2:
			e.Mutations = append(e.Mutations, remove(kind, key))
		case 3:
			e.Mutations = append(e.Mutations, expire(uint64(rapid.IntRange(0, int(index)).Draw(t, "up to"))))
		default:
			group := rapid.SampledFrom(modelGroups).Draw(t, "group")
			e.Mutations = append(e.Mutations, put(kind, key, group, rapid.StringN(0, 3, -1).Draw(t, "value")))
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "outcomes") {
		e.Outcomes = append(e.Outcomes, answer(
			rapid.SampledFrom(modelIDs).Draw(t, "id"),
			rapid.SampledFrom([]string{"", "alice"}).Draw(t, "principal"),
			rapid.StringN(0, 3, -1).Draw(t, "result")))
	}
	return e
}

// TestReplicasAgreeWithTheModel applies the same entries to two machines, of
// which one is replaced now and then by one restored from its snapshot, and
// holds them and every view kept on the way against the model.
func TestReplicasAgreeWithTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steady, restarted := mustNew(t), mustNew(t)
		state := &model{rows: map[modelKey]modelRow{}}
		type held struct {
			view  *fsm.View
			model *model
		}
		var views []held
		index := uint64(0)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			index += uint64(rapid.IntRange(1, 3).Draw(t, "gap"))
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				steady.StoreConfiguration(index, raft.Configuration{})
				restarted.StoreConfiguration(index, raft.Configuration{})
				state.revision = index
			case 1:
				data := mustSnapshot(t, restarted)
				if other := mustSnapshot(t, steady); string(other) != string(data) {
					t.Fatalf("snapshots of the same state differ:\n%q\n%q", other, data)
				}
				restarted = mustNew(t)
				mustRestore(t, restarted, data)
			case 2:
				views = append(views, held{steady.View(), state.clone()}, held{restarted.View(), state.clone()})
			default:
				e := drawEntry(t, index)
				mustApply(t, steady, index, e)
				mustApply(t, restarted, index, e)
				state.apply(index, e)
			}
			if steady.View().Hash() != restarted.View().Hash() {
				t.Fatalf("at %d the hashes are %x and %x", index, steady.View().Hash(), restarted.View().Hash())
			}
		}
		views = append(views, held{steady.View(), state}, held{restarted.View(), state})
		for _, h := range views {
			if err := h.model.compare(h.view); err != nil {
				t.Fatalf("view of revision %d, now %d: %v", h.model.revision, index, err)
			}
		}
	})
}

// TestFeedIsTheStateInSmallPieces follows the feed with a map, from some
// revision on, and holds it against the views.
func TestFeedIsTheStateInSmallPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := mustNew(t)
		index := uint64(0)
		var revisions []uint64
		step := func() {
			index += uint64(rapid.IntRange(1, 3).Draw(t, "gap"))
			mustApply(t, m, index, drawEntry(t, index))
			revisions = append(revisions, index)
		}
		for range rapid.IntRange(0, 5).Draw(t, "before") {
			step()
		}
		f := newFollower(m)
		subscription, err := m.Subscribe(f.revision)
		if err != nil {
			t.Fatalf("subscribe: %v", err)
		}
		revisions = nil
		for range rapid.IntRange(1, 15).Draw(t, "after") {
			step()
			if rapid.Bool().Draw(t, "read") {
				f.mustFollow(t, subscription, &revisions)
			}
		}
		if len(revisions) > 0 {
			f.mustFollow(t, subscription, &revisions)
		}
		if len(revisions) > 0 {
			t.Fatalf("revisions %v did not come", revisions)
		}
		if err := f.compare(m.View()); err != nil {
			t.Fatal(err)
		}
	})
}

// follower is a copy of the rows that is kept up by the feed alone.
type follower struct {
	revision uint64
	rows     map[modelKey]*fsm.Row
}

func newFollower(m *fsm.Machine) *follower {
	view := m.View()
	f := &follower{revision: view.Revision(), rows: map[modelKey]*fsm.Row{}}
	for row := range view.Rows() {
		f.rows[modelKey{row.Kind, row.Key}] = row
	}
	return f
}

// mustFollow reads once and takes the revisions that came from the front of
// those that are due.
func (f *follower) mustFollow(t fataler, s *fsm.Subscription, due *[]uint64) {
	t.Helper()
	batches, err := s.Next(context.Background())
	if err != nil {
		t.Fatalf("read the feed: %v", err)
	}
	for _, batch := range batches {
		if len(*due) == 0 || (*due)[0] != batch.Revision {
			t.Fatalf("revision %d came, due were %v", batch.Revision, *due)
		}
		*due = (*due)[1:]
		if err := f.take(batch); err != nil {
			t.Fatalf("%v", err)
		}
	}
}

func (f *follower) take(batch fsm.Batch) error {
	if batch.Revision <= f.revision {
		return fmt.Errorf("revision %d came after %d", batch.Revision, f.revision)
	}
	f.revision = batch.Revision
	for _, change := range batch.Changes {
		row := change.After
		if row == nil {
			row = change.Before
		}
		key := modelKey{row.Kind, row.Key}
		if f.rows[key] != change.Before {
			return fmt.Errorf("revision %d changes %s, but there was %s", batch.Revision, describe(change.Before), describe(f.rows[key]))
		}
		if change.After == nil {
			delete(f.rows, key)
			continue
		}
		if change.After.Revision != batch.Revision {
			return fmt.Errorf("revision %d brings %s", batch.Revision, describe(change.After))
		}
		f.rows[key] = change.After
	}
	return nil
}

func (f *follower) compare(v *fsm.View) error {
	if f.revision != v.Revision() {
		return fmt.Errorf("followed up to revision %d, state is at %d", f.revision, v.Revision())
	}
	seen := 0
	for row := range v.Rows() {
		seen++
		if have := f.rows[modelKey{row.Kind, row.Key}]; have != row {
			return fmt.Errorf("followed to %s, state has %s", describe(have), describe(row))
		}
	}
	if seen != len(f.rows) {
		return fmt.Errorf("followed to %d rows, state has %d", len(f.rows), seen)
	}
	return nil
}
