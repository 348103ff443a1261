package client_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Otherwise the server goes on sending to nobody, for as long as whoever asked lives.
func TestAStreamEndsAtTheServerWhenItsHandlerEndsIt(t *testing.T) {
	for name, read := range map[string]func(t *testing.T, c *client.Client, end error) error{
		"watch": func(t *testing.T, c *client.Client, end error) error {
			return c.Watch(t.Context(), &argosyv1.WatchRequest{}, func(*argosyv1.WatchResponse) error { return end })
		},
		"logs": func(t *testing.T, c *client.Client, end error) error {
			return c.Logs(t.Context(), &argosyv1.LogsRequest{Follow: true}, func(*argosyv1.LogsResponse) error { return end })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan struct{}, 2)
				c := mustClientInBubble(t, client.Config{}, &scripted{
					watch: func(_ *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
						_ = stream.Send(&argosyv1.WatchResponse{})
						<-stream.Context().Done()
						ended <- struct{}{}
						return nil
					},
					logs: func(_ *argosyv1.LogsRequest, stream grpc.ServerStreamingServer[argosyv1.LogsResponse]) error {
						_ = stream.Send(&argosyv1.LogsResponse{})
						<-stream.Context().Done()
						ended <- struct{}{}
						return nil
					},
				})
				enough := errors.New("enough")
				if err := read(t, c, client.ErrStop); err != nil {
					t.Error(err)
				}
				if err := read(t, c, enough); !errors.Is(err, enough) {
					t.Errorf("error %v", err)
				}
				synctest.Wait()
				if len(ended) != 2 {
					t.Errorf("%d of 2 ended", len(ended))
				}
			})
		})
	}
}
