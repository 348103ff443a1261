// Package limits bounds what one client, or all of them together, can take from a
// server: connections, streams, calls under way, time. It protects one invariant:
// whoever is refused is told so at once and in the API's words, and whoever is
// within the limits does not notice that others are not.
package limits

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Config says how much is too much.
type Config struct {
	// MaxConnections is how many connections a server takes; further ones are
	// closed at once. Default 16,384: an agent has one.
	MaxConnections int
	// MaxStreams is how many calls one connection may have under way; a client
	// waits before it makes more. Default 1,024.
	MaxStreams int
	// MaxCalls is how many calls of users, all connections together, may be under
	// way; further ones are refused as OVERLOADED. Default 32,768. Each holds its
	// request in memory.
	MaxCalls int
	// MaxWatches is how many watches and logs may be followed at the same time.
	// Default 4,096.
	MaxWatches int
	// MaxHeaderBytes is how large the headers of a call may be. Default 64 KiB.
	MaxHeaderBytes int
	// HandshakeTimeout is how long a connection may take to be set up. Default
	// 10 s.
	HandshakeTimeout time.Duration
	// CallTimeout bounds a call that its client has set no deadline for. Default
	// 10 s.
	CallTimeout time.Duration
	// SlowAfter is how long a client may take to take one message of a watch, a
	// log or a state; then it is cut off. Default 30 s: it has to allow for a
	// message of 1 MiB on the slowest link.
	SlowAfter time.Duration
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		MaxConnections:   16_384,
		MaxStreams:       1024,
		MaxCalls:         32_768,
		MaxWatches:       4096,
		MaxHeaderBytes:   64 << 10,
		HandshakeTimeout: 10 * time.Second,
		CallTimeout:      10 * time.Second,
		SlowAfter:        30 * time.Second,
	}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	for _, field := range []struct {
		name  string
		value int
	}{
		{"MaxConnections", c.MaxConnections},
		{"MaxStreams", c.MaxStreams},
		{"MaxCalls", c.MaxCalls},
		{"MaxWatches", c.MaxWatches},
		{"MaxHeaderBytes", c.MaxHeaderBytes},
	} {
		if field.value <= 0 {
			return fmt.Errorf("%s must be positive", field.name)
		}
	}
	if c.HandshakeTimeout <= 0 || c.CallTimeout <= 0 || c.SlowAfter <= 0 {
		return errors.New("HandshakeTimeout, CallTimeout and SlowAfter must be positive")
	}
	return nil
}

// ServerOptions are the limits that gRPC itself enforces.
func (c Config) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxConcurrentStreams(uint32(c.MaxStreams)),
		grpc.MaxHeaderListSize(uint32(c.MaxHeaderBytes)),
		grpc.ConnectionTimeout(c.HandshakeTimeout),
	}
}

// Calls counts the calls of users that are under way, and bounds them.
type Calls struct {
	cfg     Config
	calls   atomic.Int64
	watches atomic.Int64
}

// NewCalls makes a Calls with none under way.
func NewCalls(cfg Config) (*Calls, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure limits: %w", err)
	}
	return &Calls{cfg: cfg}, nil
}

// Watches returns how many watches and logs are followed.
func (c *Calls) Watches() int { return int(c.watches.Load()) }

// retryAfter is when those who are refused shall come back.
const retryAfter = 250 * time.Millisecond

// Methods of users; servers and agents are bounded where they are served.
const (
	clusterMethods  = "/argosy.v1.ClusterService/"
	operatorMethods = "/argosy.v1.OperatorService/"
)

func ofUsers(method string) bool {
	return strings.HasPrefix(method, clusterMethods) || strings.HasPrefix(method, operatorMethods)
}

// Unary runs a call within the limits.
func (c *Calls) Unary(ctx context.Context, req any, method string, handler grpc.UnaryHandler) (any, error) {
	if !ofUsers(method) {
		return handler(ctx, req)
	}
	if err := enter(&c.calls, c.cfg.MaxCalls, method, "calls are under way"); err != nil {
		return nil, err
	}
	defer c.calls.Add(-1)
	if _, ok := ctx.Deadline(); !ok {
		bounded, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout)
		defer cancel()
		ctx = bounded
	}
	return handler(ctx, req)
}

// Stream runs a streaming call within the limits.
func (c *Calls) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !ofUsers(info.FullMethod) {
		return handler(srv, stream)
	}
	if err := enter(&c.watches, c.cfg.MaxWatches, info.FullMethod, "streams are open"); err != nil {
		return err
	}
	defer c.watches.Add(-1)
	if info.IsClientStream {
		return handler(srv, stream)
	}
	return c.cutSlow(srv, stream, info, handler)
}

func enter(count *atomic.Int64, most int, method, what string) error {
	if now := count.Add(1); now > int64(most) {
		count.Add(-1)
		err := argosyv1.Errorf(argosyv1.ErrorCode_ERROR_CODE_OVERLOADED,
			"call %s: %d %s at this server already; nothing was done, try again after %s, or another server", method, most, what, retryAfter)
		err.Detail.RetryAfterMs = uint64(retryAfter.Milliseconds())
		return err
	}
	return nil
}
