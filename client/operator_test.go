package client_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// remover is a server that answers each removal of a server by the next error.
type remover struct {
	argosyv1.UnimplementedOperatorServiceServer
	answers []error
}

func (r *remover) RemoveServer(_ context.Context, req *argosyv1.RemoveServerRequest) (*argosyv1.RemoveServerResponse, error) {
	err := r.answers[0]
	r.answers = r.answers[1:]
	return &argosyv1.RemoveServerResponse{ServerId: req.GetServer()}, err
}

func TestAServerThatIsGoneAtTheSecondTryIsRemoved(t *testing.T) {
	unknown := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND, "no such server")
	for _, tc := range []struct {
		name    string
		answers []error
		want    argosyv1.ErrorCode
	}{
		{"the first try broke", []error{status.Error(codes.Unavailable, "gone"), unknown}, 0},
		{"the leader did not hear of it", []error{argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_FATE_UNKNOWN, "deposed"), unknown}, 0},
		{"there was no other try", []error{unknown}, argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND},
		{"the other try was not carried out", []error{argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "not yet"), unknown}, argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := mustClientInBubble(t, client.Config{}, &remover{answers: tc.answers})
				response, err := c.RemoveServer(t.Context(), &argosyv1.RemoveServerRequest{Server: "b"})
				if argosyv1.CodeOf(err) != tc.want || tc.want == 0 && response.GetServerId() != "b" {
					t.Errorf("answered %v, %v; want %v", response, err, tc.want)
				}
			})
		})
	}
}

// A client that is newer than its servers, or that speaks to something else: neither
// waiting nor other servers of the same age would help, and nothing was done.
func TestAServerThatDoesNotKnowACallIsSaidToBeTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustClientInBubble(t, client.Config{}, &argosyv1.UnimplementedClusterServiceServer{}, nil)
		_, read := c.ListLeaderships(t.Context(), &argosyv1.ListLeadershipsRequest{})
		_, written := c.RemoveAgent(t.Context(), &argosyv1.RemoveAgentRequest{Name: "a"})
		for _, err := range []error{read, written, c.Watch(t.Context(), &argosyv1.WatchRequest{}, nil)} {
			if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_INCOMPATIBLE || !strings.Contains(err.Error(), "upgrade") {
				t.Errorf("error %v", err)
			}
		}
	})
}
