package writer

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// The hand-made encoding of entries reads back as what the generated code would
// have written.
func TestEncoding(t *testing.T) {
	proposed := time.Unix(1_700_000_000, 42)
	result := &argosyv1.WriteResult{Changes: []*argosyv1.WorkloadChange{{Name: "w", Kind: created, Agent: "a", InstanceId: "i"}}}
	b := &batch{proposed: proposed}
	full, bare := workload("w", "config"), &argosyv1.Workload{}
	for _, w := range []*argosyv1.Workload{full, bare} {
		record, value, err := encodePut(w, proto.Size(w))
		if err != nil {
			t.Fatal(err)
		}
		var back argosyv1.Workload
		if err := proto.Unmarshal(value, &back); err != nil || !proto.Equal(&back, w) {
			t.Errorf("value reads back as %v, %v, want %v", &back, err, w)
		}
		b.append(record)
	}
	b.append(encodeDelete(kindWorkload, "v"))
	b.append(encodeExpire(300))
	b.append(encodeBeacon(1<<40, make([]byte, 32)))
	id := newID()
	for _, principal := range []string{"ann", ""} {
		r := &Request{Principal: principal}
		r.requestID = [RequestIDLength]byte(id)
		b.items = append(b.items, &item{request: r, result: result, resultSize: proto.Size(result), remembered: true})
		b.outcomes++
	}
	b.items = append(b.items, &item{request: &Request{}})

	encoded := b.encode()
	have := &argosyv1.Entry{}
	if err := proto.Unmarshal(encoded, have); err != nil {
		t.Fatal(err)
	}
	value := func(w *argosyv1.Workload) []byte {
		v, err := proto.MarshalOptions{Deterministic: true}.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if v == nil {
			v = []byte{}
		}
		return v
	}
	want := &argosyv1.Entry{
		Mutations: []*argosyv1.Mutation{
			{Kind: &argosyv1.Mutation_Put{Put: &argosyv1.PutRow{Kind: kindWorkload, Key: "w", Group: "a1", Value: value(full)}}},
			{Kind: &argosyv1.Mutation_Put{Put: &argosyv1.PutRow{Kind: kindWorkload, Key: "", Value: value(bare)}}},
			{Kind: &argosyv1.Mutation_Delete{Delete: &argosyv1.DeleteRow{Kind: kindWorkload, Key: "v"}}},
			{Kind: &argosyv1.Mutation_ExpireOutcomes{ExpireOutcomes: &argosyv1.ExpireOutcomes{UpToRevision: 300}}},
			{Kind: &argosyv1.Mutation_Beacon{Beacon: &argosyv1.Beacon{Revision: 1 << 40, StateHash: make([]byte, 32)}}},
		},
		ProposedUnixNanos: proposed.UnixNano(),
	}
	encodedResult, err := proto.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	for _, principal := range []string{"ann", ""} {
		want.Outcomes = append(want.Outcomes, &argosyv1.Outcome{RequestId: id, Principal: principal, Result: encodedResult})
	}
	if !proto.Equal(have, want) {
		t.Errorf("entry reads back as\n%v\nwant\n%v", have, want)
	}
	if len(have.ProtoReflect().GetUnknown()) > 0 {
		t.Error("entry has unknown fields")
	}
}
