package client

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Client talks to a cluster. It is safe for concurrent use.
type Client struct {
	config    Config
	endpoints []*endpoint
	// preferred is the index of the endpoint that answered last.
	preferred atomic.Int32
	start     time.Time
}

// New makes a client. It connects when it is first used.
func New(config Config) (*Client, error) {
	config = config.withDefaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	c := &Client{config: config, start: time.Now()}
	for _, given := range config.Endpoints {
		addr, err := address(given)
		if err != nil {
			return nil, err
		}
		e, err := newEndpoint(addr, config)
		if err != nil {
			_ = c.Close()
			return nil, err
		}
		c.endpoints = append(c.endpoints, e)
	}
	return c, nil
}

// Close closes all connections. It may be called twice.
func (c *Client) Close() error {
	for _, e := range c.endpoints {
		e.close()
	}
	return nil
}

// Endpoints returns the addresses the client knows, the preferred one first.
func (c *Client) Endpoints() []string {
	first := int(c.preferred.Load())
	addresses := make([]string, 0, len(c.endpoints))
	for i := range c.endpoints {
		addresses = append(addresses, c.endpoints[(first+i)%len(c.endpoints)].address)
	}
	return addresses
}

func (c *Client) now() int64 { return int64(time.Since(c.start)) }

func (c *Client) heard(index int) {
	c.endpoints[index].heard.Store(c.now())
}

// prefer keeps to an endpoint that answered.
func (c *Client) prefer(index int) {
	if c.preferred.Load() != int32(index) {
		c.preferred.Store(int32(index))
	}
}

// abandon moves on from an endpoint, unless somebody did already.
func (c *Client) abandon(index int) {
	c.preferred.CompareAndSwap(int32(index), int32((index+1)%len(c.endpoints)))
}

// pause waits between two rounds over all endpoints: 2 ms at first, twice as
// long each time, at most 100 ms, with jitter. It returns false when the context
// ends first.
func pause(ctx context.Context, round int) bool {
	wait := min(2*time.Millisecond<<min(round, 6), 100*time.Millisecond)
	wait = wait/2 + rand.N(wait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
