package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// DefaultEndpoint is where a server on this machine answers.
const DefaultEndpoint = "127.0.0.1:25551"

const defaultPort = "25551"

// MaxMessage is the largest message sent or received, in bytes; the same number
// on the servers.
const MaxMessage = 32 << 20

// ErrNoEndpoints is returned when no endpoint is given.
var ErrNoEndpoints = errors.New("no server given")

// Config says where the cluster is and how patient the client is.
type Config struct {
	// Endpoints are API addresses of servers, host or host:port; the port
	// defaults to 25551. More than one lets the client survive a server.
	Endpoints []string
	// TLS is the client's side of mutual TLS; nil means plain text.
	TLS *tls.Config
	// Timeout bounds a call whose context has no deadline. Streams are not
	// bounded. Default 30 s.
	Timeout time.Duration
	// HedgeAfter is how long an endpoint may be silent during a call before
	// another is asked beside it. Shorter finds a frozen server sooner; longer
	// asks twice less often. Default 75 ms: below the silence after which the
	// servers themselves replace a leader, so that the second request is there
	// waiting when the new one leads.
	HedgeAfter time.Duration
	// Connections is the number of connections to each endpoint. More than one
	// helps only with hundreds of calls at once. Default 1.
	Connections int
	// Dial connects to an endpoint, host:port. Default: TCP from this machine;
	// another way is for those who reach the servers through something else.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Endpoints:   []string{DefaultEndpoint},
		Timeout:     30 * time.Second,
		HedgeAfter:  75 * time.Millisecond,
		Connections: 1,
	}
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	defaults := DefaultConfig()
	if c.Timeout == 0 {
		c.Timeout = defaults.Timeout
	}
	if c.HedgeAfter == 0 {
		c.HedgeAfter = defaults.HedgeAfter
	}
	if c.Connections == 0 {
		c.Connections = defaults.Connections
	}
	return c
}

// Validate checks the configuration.
func (c Config) Validate() error {
	if len(c.Endpoints) == 0 {
		return ErrNoEndpoints
	}
	for _, endpoint := range c.Endpoints {
		if _, err := address(endpoint); err != nil {
			return err
		}
	}
	if c.Timeout < 0 || c.HedgeAfter < 0 || c.Connections < 0 {
		return fmt.Errorf("configure client: timeout %v, hedge after %v and connections %d must not be negative", c.Timeout, c.HedgeAfter, c.Connections)
	}
	return nil
}

// address adds the default port.
func address(endpoint string) (string, error) {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(endpoint, "["), "]"), defaultPort
	}
	_, bad := netip.ParseAddr(host)
	number, wrong := strconv.ParseUint(port, 10, 16)
	if host == "" || wrong != nil || number == 0 || strings.ContainsAny(host, " /[]") || strings.Contains(host, ":") && bad != nil {
		return "", fmt.Errorf("read server address %q: want host or host:port", endpoint)
	}
	return net.JoinHostPort(host, port), nil
}
