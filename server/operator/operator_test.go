package operator

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// replica is a server that leads, or knows who does.
type replica struct {
	leader argosyv1.OperatorServiceClient
	err    error
}

func (r replica) Header() *argosyv1.ResponseHeader { return &argosyv1.ResponseHeader{ServerId: "self"} }
func (r replica) Revision() uint64                 { return 7 }

func (r replica) Leader(ctx context.Context, _ string) (argosyv1.OperatorServiceClient, context.Context, error) {
	return r.leader, ctx, r.err
}

// elsewhere is the leader when that is another server.
type elsewhere struct {
	argosyv1.OperatorServiceClient
}

func (elsewhere) RemoveServer(_ context.Context, req *argosyv1.RemoveServerRequest, _ ...grpc.CallOption) (*argosyv1.RemoveServerResponse, error) {
	return &argosyv1.RemoveServerResponse{ServerId: "by the leader: " + req.GetServer()}, nil
}

type servers struct{}

func (servers) RemoveServer(_ context.Context, server string, _ bool) (string, error) {
	return "here: " + server, nil
}

func (servers) PromoteServer(context.Context, string) (string, error) {
	return "", argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_CONFLICT, "not yet")
}

func mustMake(t *testing.T, deps Deps) *Service {
	t.Helper()
	s, err := New(deps)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatOnlyTheLeaderCanDoIsPassedOn(t *testing.T) {
	remove := &argosyv1.RemoveServerRequest{Server: "x"}
	leads := mustMake(t, Deps{Replica: replica{}, Servers: servers{}})
	if got, err := leads.RemoveServer(t.Context(), remove); err != nil || got.GetServerId() != "here: x" || got.GetHeader().GetServerId() != "self" || got.GetHeader().GetRevision() != 7 {
		t.Errorf("on the leader: %v, %v", got, err)
	}
	follows := mustMake(t, Deps{Replica: replica{leader: elsewhere{}}, Servers: servers{}})
	if got, err := follows.RemoveServer(t.Context(), remove); err != nil || got.GetServerId() != "by the leader: x" {
		t.Errorf("on a follower: %v, %v", got, err)
	}
	nobody := errors.New("nobody leads")
	alone := mustMake(t, Deps{Replica: replica{err: nobody}, Servers: servers{}})
	if _, err := alone.RemoveServer(t.Context(), remove); !errors.Is(err, nobody) {
		t.Errorf("without a leader: %v", err)
	}
	if _, err := leads.PromoteServer(t.Context(), &argosyv1.PromoteServerRequest{Server: "x"}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_CONFLICT {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := leads.RemoveServer(t.Context(), &argosyv1.RemoveServerRequest{}); argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INVALID {
		t.Errorf("remove nobody: %v", err)
	}
}

func TestAPartThatIsNotThereIsSaidToBeUnknown(t *testing.T) {
	s := mustMake(t, Deps{Replica: replica{}})
	for name, call := range map[string]func() error{
		"remove": func() error {
			_, err := s.RemoveServer(t.Context(), &argosyv1.RemoveServerRequest{Server: "x"})
			return err
		},
		"settings": func() error {
			_, err := s.GetSettings(t.Context(), &argosyv1.GetSettingsRequest{})
			return err
		},
		"history": func() error {
			_, err := s.ListLeaderships(t.Context(), &argosyv1.ListLeadershipsRequest{})
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Deps{}); err == nil {
		t.Error("made without a replica")
	}
}
