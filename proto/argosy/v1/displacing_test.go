package argosyv1

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

func TestAWorkloadIsMarkedWithoutBeingDecoded(t *testing.T) {
	w := &Workload{Name: "w", Agent: "a", Runtime: "process", RuntimeConfig: "c", Tags: map[string]string{"k": "v"}}
	plain, err := proto.MarshalOptions{Deterministic: true}.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	marked := MarkDisplacing(plain)
	back := &Workload{}
	if err := proto.Unmarshal(marked, back); err != nil {
		t.Fatal(err)
	}
	w.Displacing = true
	if !proto.Equal(back, w) || len(back.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("the marked workload reads back as %v, want %v", back, w)
	}
	if IsDisplacing(plain) || !IsDisplacing(marked) {
		t.Error("the mark is not found where it is, or where it is not")
	}
	for _, c := range []struct {
		what     string
		a, b     []byte
		expected bool
	}{
		{"itself", plain, plain, true},
		{"itself, marked", marked, plain, true},
		{"another", plain[:len(plain)-1], plain, false},
		{"another, marked", MarkDisplacing(plain[:len(plain)-1]), plain, false},
		{"nothing", nil, plain, false},
	} {
		if got := SameButDisplacing(c.a, c.b); got != c.expected {
			t.Errorf("%s is the same: %v", c.what, got)
		}
	}
}
