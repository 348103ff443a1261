package client_test

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// A machine that is gone closes no connection, and a frozen process answers
// nothing: who only listens would do so for ever.
func TestAWatchGoesOnElsewhereWhenItsServerFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		send := func(stream grpc.ServerStreamingServer[argosyv1.WatchResponse], revision uint64) error {
			_ = stream.Send(&argosyv1.WatchResponse{Header: &argosyv1.ResponseHeader{Revision: revision}, SnapshotBegin: revision == 5, SnapshotEnd: revision == 5})
			<-stream.Context().Done()
			return nil
		}
		first := mustServeBubble(t, &scripted{watch: func(_ *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
			return send(stream, 5)
		}})
		second := mustServeBubble(t, &scripted{watch: func(req *argosyv1.WatchRequest, stream grpc.ServerStreamingServer[argosyv1.WatchResponse]) error {
			return send(stream, req.GetAfterRevision()+1)
		}})
		silent := make(chan struct{})
		c := mustClient(t, client.Config{
			Endpoints: []string{"192.0.2.1:1", "192.0.2.2:1"},
			Dial: func(ctx context.Context, address string) (net.Conn, error) {
				if address == "192.0.2.2:1" {
					return second.DialContext(ctx)
				}
				conn, err := first.DialContext(ctx)
				return &mute{Conn: conn, silent: silent, closed: make(chan struct{})}, err
			},
		})
		var seen []uint64
		err := c.Watch(t.Context(), &argosyv1.WatchRequest{OmitObserved: true}, func(message *argosyv1.WatchResponse) error {
			seen = append(seen, message.GetHeader().GetRevision())
			if len(seen) == 2 {
				return client.ErrStop
			}
			close(silent)
			return nil
		})
		if err != nil || !slices.Equal(seen, []uint64{5, 6}) {
			t.Errorf("error %v, saw %v", err, seen)
		}
	})
}

// mute is a connection to a machine that is gone from some moment on.
type mute struct {
	net.Conn
	silent  <-chan struct{}
	closing sync.Once
	closed  chan struct{}
}

func (m *mute) Write(b []byte) (int, error) {
	select {
	case <-m.silent:
		return len(b), nil
	default:
		return m.Conn.Write(b)
	}
}

func (m *mute) Read(b []byte) (int, error) {
	n, err := m.Conn.Read(b)
	select {
	case <-m.silent:
		<-m.closed
		return 0, io.EOF
	default:
		return n, err
	}
}

func (m *mute) Close() error {
	m.closing.Do(func() { close(m.closed) })
	return m.Conn.Close()
}
