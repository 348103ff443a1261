package fsm_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/fsm"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// seedEntry touches everything that an entry can have.
func seedEntry() *argosyv1.Entry {
	return &argosyv1.Entry{
		Mutations: []*argosyv1.Mutation{
			put(workload, "web", "agent-a", "new"), put(workload, "web", "agent-b", "newer"), put(agent, "agent-a", "", "tags"),
			put(cluster, fsm.ClusterKey, "", "settings"), remove(workload, "old"), expire(1),
			beacon(3, [32]byte{1, 2, 3}),
		},
		Outcomes:          []*argosyv1.Outcome{answer("0123456789abcdef", "alice", "done"), answer("", "", "")},
		ProposedUnixNanos: -1,
	}
}

// seedMachine has applied two entries.
func seedMachine(t fataler) *fsm.Machine {
	m := mustNew(t)
	mustApply(t, m, 1, &argosyv1.Entry{
		Mutations: []*argosyv1.Mutation{put(workload, "old", "agent-a", "one"), put(workload, "web", "agent-a", "two")},
		Outcomes:  []*argosyv1.Outcome{answer("first", "alice", "done")},
	})
	mustApply(t, m, 3, &argosyv1.Entry{
		Mutations:         []*argosyv1.Mutation{put(agent, "agent-a", "", "tags"), put(config, "colours", "", "blue")},
		Outcomes:          []*argosyv1.Outcome{answer("second", "bob", "done")},
		ProposedUnixNanos: 1_000,
	})
	return m
}

// FuzzApply hands arbitrary bytes to two machines as an entry. Both do the same
// and stay whole; what they accept is what the generated code reads in it; what
// they refuse has changed nothing.
func FuzzApply(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(mustEncode(f, seedEntry()))
	f.Add(mustEncode(f, entryOf(put(workload, "web", "", ""), remove(workload, "web"))))
	f.Add(mustEncode(f, entryOf(&argosyv1.Mutation{})))
	f.Add([]byte("\x0a\x02\x4a\x00"))
	f.Add([]byte("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		one, other := seedMachine(t), seedMachine(t)
		before := one.View()
		given := string(data)
		err, otherErr := apply(one, 5, data), apply(other, 5, data)
		if string(data) != given {
			t.Fatalf("entry was written to")
		}
		if (err == nil) != (otherErr == nil) || one.View().Hash() != other.View().Hash() {
			t.Fatalf("machines differ: %v, %v", err, otherErr)
		}
		mustBeWhole(t, one.View())
		if err != nil {
			if one.View() != before || one.Failed() == nil {
				t.Fatalf("refused with %v, but the state is %s and failure %v", err, one.View(), one.Failed())
			}
			return
		}
		read := &argosyv1.Entry{}
		if err := proto.Unmarshal(data, read); err != nil {
			t.Fatalf("accepted what is no entry: %v", err)
		}
		want := mustNew(t)
		mustRestore(t, want, mustSnapshot(t, seedMachine(t)))
		mustApply(t, want, 5, read)
		if got, want := dump(one.View()), dump(want.View()); got != want || one.View().Hash() != other.View().Hash() {
			t.Fatalf("read as\n%s\nthe generated code reads\n%s", got, want)
		}
		restored := mustNew(t)
		mustRestore(t, restored, mustSnapshot(t, one))
		if restored.View().Hash() != one.View().Hash() {
			t.Fatalf("restored to %s, not %s", restored.View(), one.View())
		}
	})
}

// FuzzRestore hands arbitrary bytes to a machine as a snapshot. It takes all of
// it or nothing.
func FuzzRestore(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(mustSnapshot(f, mustNew(f)))
	whole := mustSnapshot(f, seedMachine(f))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(append(whole[:len(whole):len(whole)], 0))
	f.Add([]byte("\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := mustNew(t)
		mustApply(t, m, 2, entryOf(put(workload, "mine", "agent", "value")))
		before := m.View()
		if err := restore(m, data); err != nil {
			if m.View() != before || m.FeedFloor() != 0 || m.Failed() != nil {
				t.Fatalf("refused with %v, but the state is %s", err, m.View())
			}
		}
		mustBeWhole(t, m.View())
		again := mustNew(t)
		mustRestore(t, again, mustSnapshot(t, m))
		if again.View().Hash() != m.View().Hash() || dump(again.View()) != dump(m.View()) {
			t.Fatalf("restored again to %s, not %s", again.View(), m.View())
		}
		mustApply(t, m, m.Applied()+1, entryOf(put(workload, "next", "agent", "value")))
		mustBeWhole(t, m.View())
	})
}
