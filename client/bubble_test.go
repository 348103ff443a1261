package client_test

import (
	"context"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"

	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// mustClientInBubble returns a client of servers that are in the synctest bubble
// of the test. There time stands still while anybody has something to do: on a
// machine that is busy no server seems silent that is not. At the address of a
// server that is nil nobody listens.
func mustClientInBubble(t *testing.T, config client.Config, servers ...any) *client.Client {
	t.Helper()
	listeners := map[string]*bufconn.Listener{}
	for i, server := range servers {
		address := "192.0.2." + strconv.Itoa(i+1) + ":1"
		config.Endpoints = append(config.Endpoints, address)
		if server != nil {
			listeners[address] = mustServeBubble(t, server)
		}
	}
	config.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		if listener := listeners[address]; listener != nil {
			return listener.DialContext(ctx)
		}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return mustClient(t, config)
}

func mustServeBubble(t *testing.T, s any) *bufconn.Listener {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second}))
	if cluster, ok := s.(argosyv1.ClusterServiceServer); ok {
		argosyv1.RegisterClusterServiceServer(server, cluster)
	}
	if operator, ok := s.(argosyv1.OperatorServiceServer); ok {
		argosyv1.RegisterOperatorServiceServer(server, operator)
	}
	var group sync.WaitGroup
	group.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); group.Wait() })
	return listener
}
