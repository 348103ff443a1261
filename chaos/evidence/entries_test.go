package evidence

import (
	"slices"
	"testing"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestARequestThatTheLogRefusesIsNotAmongThoseThatWereCarriedOut(t *testing.T) {
	outcome := func(id byte, result *argosyv1.WriteResult) *argosyv1.Outcome {
		encoded, err := proto.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		return &argosyv1.Outcome{RequestId: []byte{id}, Result: encoded}
	}
	data, err := proto.Marshal(&argosyv1.Entry{Outcomes: []*argosyv1.Outcome{
		outcome(1, &argosyv1.WriteResult{Changes: []*argosyv1.WorkloadChange{{Name: "w"}}}),
		outcome(2, &argosyv1.WriteResult{Refusal: &argosyv1.Refusal{Message: "no"}}),
		outcome(3, &argosyv1.WriteResult{}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := decode(&raft.Log{Index: 7, Term: 2, Data: data})
	if err != nil || !slices.Equal(e.Requests, []string{"01", "03"}) || !slices.Equal(e.Refused, []string{"02"}) {
		t.Errorf("read as %+v, %v", e, err)
	}
}
