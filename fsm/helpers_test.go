package fsm_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	workload = argosyv1.RowKind_ROW_KIND_WORKLOAD
	agent    = argosyv1.RowKind_ROW_KIND_AGENT
	cluster  = argosyv1.RowKind_ROW_KIND_CLUSTER
	config   = argosyv1.RowKind_ROW_KIND_CONFIG
)

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func mustNew(t fataler) *fsm.Machine { return mustNewWith(t, fsm.DefaultConfig()) }

func mustNewWith(t fataler, cfg fsm.Config) *fsm.Machine {
	t.Helper()
	m, err := fsm.New(cfg)
	if err != nil {
		t.Fatalf("make machine: %v", err)
	}
	return m
}

func mustEncode(t fataler, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatalf("encode %T: %v", m, err)
	}
	return data
}

// apply hands data to the machine as entry index and returns the error that it
// answers with.
func apply(m *fsm.Machine, index uint64, data []byte) error {
	switch answer := m.Apply(&raft.Log{Index: index, Term: 1, Data: data}).(type) {
	case *fsm.Applied:
		if answer.Revision != index {
			return fmt.Errorf("entry %d was answered with revision %d", index, answer.Revision)
		}
		return nil
	case error:
		return answer
	default:
		return fmt.Errorf("entry %d was answered with %T", index, answer)
	}
}

func mustApply(t fataler, m *fsm.Machine, index uint64, e *argosyv1.Entry) {
	t.Helper()
	if err := apply(m, index, mustEncode(t, e)); err != nil {
		t.Fatalf("apply %d: %v", index, err)
	}
}

func put(kind argosyv1.RowKind, key, group, value string) *argosyv1.Mutation {
	return &argosyv1.Mutation{Kind: &argosyv1.Mutation_Put{Put: &argosyv1.PutRow{
		Kind: kind, Key: key, Group: group, Value: []byte(value),
	}}}
}

func remove(kind argosyv1.RowKind, key string) *argosyv1.Mutation {
	return &argosyv1.Mutation{Kind: &argosyv1.Mutation_Delete{Delete: &argosyv1.DeleteRow{Kind: kind, Key: key}}}
}

func expire(upTo uint64) *argosyv1.Mutation {
	return &argosyv1.Mutation{Kind: &argosyv1.Mutation_ExpireOutcomes{
		ExpireOutcomes: &argosyv1.ExpireOutcomes{UpToRevision: upTo},
	}}
}

func answer(id, principal, result string) *argosyv1.Outcome {
	return &argosyv1.Outcome{RequestId: []byte(id), Principal: principal, Result: []byte(result)}
}

func entryOf(mutations ...*argosyv1.Mutation) *argosyv1.Entry {
	return &argosyv1.Entry{Mutations: mutations}
}

// sink is a raft.SnapshotSink in memory.
type sink struct {
	bytes.Buffer
	closed, cancelled bool
}

func (s *sink) ID() string    { return "sink" }
func (s *sink) Close() error  { s.closed = true; return nil }
func (s *sink) Cancel() error { s.cancelled = true; return nil }

func mustSnapshot(t fataler, m *fsm.Machine) []byte {
	t.Helper()
	snapshot, err := m.Snapshot()
	if err != nil {
		t.Fatalf("take snapshot: %v", err)
	}
	defer snapshot.Release()
	var out sink
	if err := snapshot.Persist(&out); err != nil {
		t.Fatalf("write snapshot: %v", err)
	}
	if !out.closed || out.cancelled {
		t.Fatalf("sink was left closed=%v cancelled=%v", out.closed, out.cancelled)
	}
	return out.Bytes()
}

func restore(m *fsm.Machine, data []byte) error {
	return m.Restore(io.NopCloser(bytes.NewReader(data)))
}

func mustRestore(t fataler, m *fsm.Machine, data []byte) {
	t.Helper()
	if err := restore(m, data); err != nil {
		t.Fatalf("restore: %v", err)
	}
}

// dump writes down everything that a view shows.
func dump(v *fsm.View) string {
	var out bytes.Buffer
	fmt.Fprintf(&out, "revision %d\n", v.Revision())
	groups := map[string]bool{}
	for row := range v.Rows() {
		fmt.Fprintln(&out, describe(row))
		if row.Kind == workload {
			groups[row.Group] = true
		}
	}
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		fmt.Fprintf(&out, "group %q:", group)
		for row := range v.WorkloadsOf(group) {
			fmt.Fprintf(&out, " %s", row.Key)
		}
		fmt.Fprintln(&out)
	}
	for batch := range v.Outcomes() {
		fmt.Fprintf(&out, "outcomes of %d at %d: %d\n", batch.Revision, batch.ProposedAt, batch.Count)
	}
	return out.String()
}

func kindName(kind argosyv1.RowKind) string {
	switch kind {
	case workload:
		return "workload"
	case agent:
		return "agent"
	case cluster:
		return "cluster"
	default:
		return kind.String()
	}
}

func describe(r *fsm.Row) string {
	if r == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s %s group=%q value=%q created=%d revision=%d",
		kindName(r.Kind), r.Key, r.Group, r.Value, r.CreatedRevision, r.Revision)
}

func mustBeWhole(t *testing.T, v *fsm.View) {
	t.Helper()
	if v.Hash() != v.Rehash() {
		t.Fatalf("running hash is %x, that of the state %x", v.Hash(), v.Rehash())
	}
}
