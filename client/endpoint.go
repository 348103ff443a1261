package client

import (
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

const (
	// silence is how long a server may say nothing during a call or a watch before
	// it is asked whether it is there; servers take such questions once a second.
	silence = 10 * time.Second
	// noAnswer is how long it may take to answer that.
	noAnswer = 5 * time.Second
)

// endpoint is one server and the connections to it.
type endpoint struct {
	address string
	conns   []*grpc.ClientConn
	stubs   []services
	next    atomic.Uint32
	// writes is the way of all writes to it.
	writes *lane
	// heard is when the server last answered anything, in nanoseconds since the
	// client's start: what tells a slow server from a silent one.
	heard atomic.Int64
}

// services is what a server offers to its users.
type services struct {
	argosyv1.ClusterServiceClient
	argosyv1.OperatorServiceClient
	of *endpoint
}

func newEndpoint(address string, config Config) (*endpoint, error) {
	creds := insecure.NewCredentials()
	if config.TLS != nil {
		creds = credentials.NewTLS(config.TLS)
	}
	e := &endpoint{address: address}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		// A killed server is usually back within a second: dial again soon.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}),
		// Nobody says goodbye whose machine is gone, and to a watch nothing else tells.
		// It also bounds how long what was sent may stay without the receipt of the
		// machine.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: silence, Timeout: noAnswer}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)),
		grpc.WithDisableServiceConfig(),
	}
	if config.Dial != nil {
		options = append(options, grpc.WithContextDialer(config.Dial))
	}
	for range config.Connections {
		conn, err := grpc.NewClient("passthrough:///"+address, options...)
		if err != nil {
			e.close()
			return nil, fmt.Errorf("prepare connection to %s: %w", address, err)
		}
		e.conns = append(e.conns, conn)
		if e.writes == nil {
			e.writes = &lane{stub: argosyv1.NewClusterServiceClient(conn)}
		}
		e.stubs = append(e.stubs, services{argosyv1.NewClusterServiceClient(conn), argosyv1.NewOperatorServiceClient(conn), e})
	}
	return e, nil
}

func (e *endpoint) stub() services {
	return e.stubs[e.next.Add(1)%uint32(len(e.stubs))]
}

func (e *endpoint) close() {
	for _, conn := range e.conns {
		// The error says that it is closed already.
		_ = conn.Close()
	}
	if e.writes != nil {
		e.writes.close()
	}
}
