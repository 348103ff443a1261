package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// absence is for how long a server of these tests is away: shorter than the client
// is patient.
const absence = 10 * time.Second

// away is a server that works for an hour in which nothing happens, then is gone
// for a while.
type away struct{ begun time.Time }

func (a *away) serve(ctx context.Context) error {
	switch since := time.Since(a.begun); {
	case since < time.Hour:
		select {
		case <-time.After(time.Hour - since):
		case <-ctx.Done():
		}
	case since > time.Hour+absence:
		return nil
	}
	return status.Error(codes.Unavailable, "gone")
}

// Whether anything has happened lately says nothing of whether the server comes
// back.
func TestAWatchInWhichNothingHappensOutlivesTheAbsenceOfItsServer(t *testing.T) {
	for _, tc := range []struct {
		name string
		// silent is a watch that goes on after a revision and is told nothing at all.
		silent bool
	}{{"it has begun with a snapshot", false}, {"it has gone on", true}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &away{begun: time.Now()}
				c := mustClientInBubble(t, client.Config{}, &scripted{watch: func(_ *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
					if !tc.silent && time.Since(server.begun) < time.Hour {
						_ = stream.Send(&argosyv1.WatchResponse{Header: &argosyv1.ResponseHeader{Revision: 5}, SnapshotBegin: true, SnapshotEnd: true})
					}
					return server.serve(stream.Context())
				}})
				request := &argosyv1.WatchRequest{OmitObserved: true, AfterRevision: 5}
				if err := c.Watch(t.Context(), request, func(*argosyv1.WatchResponse) error { return nil }); err != nil {
					t.Errorf("given up after %v: %v", time.Since(server.begun), err)
				}
			})
		})
	}
}

func TestQuietLogsAreFollowedThroughTheAbsenceOfAServer(t *testing.T) {
	for _, tc := range []struct {
		name string
		// broken is a reading that ends at once, and is gone on with in silence.
		broken bool
	}{{"they have begun with a line", false}, {"they were gone on with", true}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &away{begun: time.Now()}
				calls := 0
				c := mustClientInBubble(t, client.Config{}, &scripted{logs: func(_ *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
					if calls++; calls == 1 {
						_ = stream.Send(&argosyv1.LogsResponse{Lines: []*argosyv1.LogLine{printed("web", 1)}})
						if tc.broken {
							return status.Error(codes.Unavailable, "broken")
						}
					}
					return server.serve(stream.Context())
				}})
				request := &argosyv1.LogsRequest{Names: []string{"web"}, Follow: true}
				if err := c.FollowLogs(t.Context(), request, func(*argosyv1.LogsResponse) error { return nil }); err != nil {
					t.Errorf("given up after %v: %v", time.Since(server.begun), err)
				}
			})
		})
	}
}

// Nor does it help that a server waits for a while before it says that there is no
// leader.
func TestStreamsThatNobodyAnswersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		noLeader := func(ctx context.Context) error {
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
			}
			return argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_NO_LEADER, "the others are gone")
		}
		c := mustClientInBubble(t, client.Config{}, &scripted{
			watch: func(_ *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
				return noLeader(stream.Context())
			},
			logs: func(_ *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
				return noLeader(stream.Context())
			},
		})
		err := c.Watch(t.Context(), &argosyv1.WatchRequest{}, func(*argosyv1.WatchResponse) error { return nil })
		if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
			t.Errorf("the watch ended with %v", err)
		}
		err = c.FollowLogs(t.Context(), &argosyv1.LogsRequest{Names: []string{"web"}}, func(*argosyv1.LogsResponse) error { return nil })
		if argosyv1.CodeOf(err) != argosyv1.ErrorCode_ERROR_CODE_NO_LEADER {
			t.Errorf("the logs ended with %v", err)
		}
		if took := time.Since(begun); took > 2*time.Minute {
			t.Errorf("it took %v to give both up", took)
		}
	})
}
