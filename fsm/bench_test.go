package fsm_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// BenchmarkApply applies entries of 16 requests that each put a workload of
// 1 KB, as the writer makes them when many clients write at once.
func BenchmarkApply(b *testing.B) {
	const batch = 16
	for _, rows := range []int{1_000, 10_000, 100_000} {
		for _, mode := range []string{"update", "create"} {
			b.Run(fmt.Sprintf("%s/rows=%d", mode, rows), func(b *testing.B) {
				m := mustNew(b)
				index := uint64(0)
				mustApply := func(e []byte) {
					index++
					if err := apply(m, index, e); err != nil {
						b.Fatal(err)
					}
				}
				for at := 0; at < rows; at += batch {
					mustApply(benchEntry(at, batch, nil))
				}
				entries := make([][]byte, b.N)
				for i := range entries {
					first := (i * 7919 * batch) % rows
					if mode == "create" {
						first = rows + i*batch
					}
					entries[i] = benchEntry(first, batch, binary.BigEndian.AppendUint64(nil, uint64(i)))
					if i%256 == 255 {
						entries[i] = append(entries[i], benchExpire(uint64(rows/batch+i-2048))...)
					}
				}
				b.ReportAllocs()
				b.ResetTimer()
				for _, e := range entries {
					mustApply(e)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/write")
			})
		}
	}
}

// benchEntry puts some workloads, whose keys are spread over the key space.
// With an id it remembers the outcomes too.
func benchEntry(first, n int, id []byte) []byte {
	value := make([]byte, 1000)
	e := &argosyv1.Entry{ProposedUnixNanos: 1}
	for i := range n {
		at := first + i
		key := benchKey(at)
		e.Mutations = append(e.Mutations, &argosyv1.Mutation{Kind: &argosyv1.Mutation_Put{Put: &argosyv1.PutRow{
			Kind: argosyv1.RowKind_ROW_KIND_WORKLOAD, Key: key, Group: fmt.Sprintf("agent-%d", at%20), Value: value,
		}}})
		if id != nil {
			e.Outcomes = append(e.Outcomes, &argosyv1.Outcome{
				RequestId: binary.BigEndian.AppendUint64(id[:8:8], uint64(i)), Principal: "anonymous", Result: make([]byte, 100),
			})
		}
	}
	data, err := proto.Marshal(e)
	if err != nil {
		panic(err)
	}
	return data
}

func benchKey(at int) string { return fmt.Sprintf("workload-%08x", uint32(at)*2654435761) }

func benchExpire(upTo uint64) []byte {
	data, err := proto.Marshal(&argosyv1.Entry{Mutations: []*argosyv1.Mutation{{
		Kind: &argosyv1.Mutation_ExpireOutcomes{ExpireOutcomes: &argosyv1.ExpireOutcomes{UpToRevision: upTo}},
	}}})
	if err != nil {
		panic(err)
	}
	return data
}

// BenchmarkLargeEntry applies one entry that creates 10,000 workloads.
func BenchmarkLargeEntry(b *testing.B) {
	data := benchEntry(0, 10_000, nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := apply(mustNew(b), 1, data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSnapshot writes out 10,000 workloads of 1 KB and reads them back.
func BenchmarkSnapshot(b *testing.B) {
	m := mustNew(b)
	if err := apply(m, 1, benchEntry(0, 10_000, nil)); err != nil {
		b.Fatal(err)
	}
	data := mustSnapshot(b, m)
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			mustSnapshot(b, m)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			mustRestore(b, mustNew(b), data)
		}
	})
}

// BenchmarkRead reads one of 10,000 workloads, and one of 20 groups of them.
func BenchmarkRead(b *testing.B) {
	m := mustNew(b)
	if err := apply(m, 1, benchEntry(0, 10_000, nil)); err != nil {
		b.Fatal(err)
	}
	name := benchKey(77)
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := m.View().Workload(name); !ok {
				b.Fatal("not there")
			}
		}
	})
	b.Run("group", func(b *testing.B) {
		for b.Loop() {
			for range m.View().WorkloadsOf("agent-7") {
			}
		}
	})
}
