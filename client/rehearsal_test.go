package client_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestADryRunThatNobodyAnsweredDidNothing(t *testing.T) {
	silent := func() string {
		return mustServe(t, &scripted{apply: func(ctx context.Context, _ *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
	}
	c := mustClient(t, client.Config{Endpoints: []string{silent(), silent()}, Timeout: 150 * time.Millisecond})
	if _, err := c.Apply(t.Context(), &argosyv1.ApplyRequest{DryRun: true}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
		t.Errorf("error is %v", err)
	}
}

// All that the API knows arrives, whatever the client adds to it.
func TestARequestArrivesWhole(t *testing.T) {
	sent := &argosyv1.ApplyRequest{
		Workloads: []*argosyv1.Workload{{Name: "w"}}, ExpectedRevision: 1, MustNotExist: true, ExpectedStateRevision: 2,
		Configs: []*argosyv1.Config{{Key: "k"}}, DeleteWorkloads: []string{"v"}, DeleteConfigs: []string{"l"},
		AgentTags: []*argosyv1.AgentTags{{Agent: "a"}}, Expected: []*argosyv1.ExpectedRevision{{Name: "w"}},
		OnBehalfOf: &argosyv1.InstanceName{Workload: "w"},
	}
	var got []*argosyv1.ApplyRequest
	s := &scripted{apply: func(_ context.Context, req *argosyv1.ApplyRequest) (*argosyv1.WriteResponse, error) {
		got = append(got, req)
		if len(got) == 1 {
			return nil, argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN, "unknown")
		}
		return &argosyv1.WriteResponse{}, nil
	}}
	c := mustClient(t, client.Config{Endpoints: []string{mustServe(t, s)}})
	if _, err := c.Apply(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	if len(sent.GetRequestId()) != 0 || len(got) != 2 || !got[1].GetRepeat() || got[0].GetRepeat() {
		t.Fatalf("sent %v, arrived %v", sent, got)
	}
	for _, arrived := range got {
		arrived = proto.CloneOf(arrived)
		if arrived.RequestId, arrived.Repeat = nil, false; !proto.Equal(arrived, sent) {
			t.Errorf("arrived\n%v\nwant\n%v", arrived, sent)
		}
	}
}
