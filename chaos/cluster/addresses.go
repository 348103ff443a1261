package cluster

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
)

// ports of a server, as everywhere.
const (
	apiPort    = "25551"
	raftPort   = "25552"
	gossipPort = "25553"
	httpPort   = "25554"
)

// firstAgent is the number of the host of the first agent less one: servers have
// the numbers below.
const firstAgent = 100

// block is a block of loopback addresses 127.a.b.*: servers and agents each get
// one of their own, so that they can use the ports that they use in production.
type block struct{ a, b int }

func (b block) host(n int) string { return fmt.Sprintf("127.%d.%d.%d", b.a, b.b, n) }

// leaseBlock picks a block on which nothing listens. Blocks are drawn from so
// many that two test programs seldom meet, and a draw is proved by binding.
func leaseBlock(servers, agents int) (block, error) {
	var err error
	for range 64 {
		b := block{64 + rand.IntN(128), 1 + rand.IntN(250)}
		// One more server may join later.
		if err = b.free(servers+1, agents); err == nil {
			return b, nil
		}
	}
	return block{}, fmt.Errorf("find free loopback addresses: none of 64 blocks tried is free: %w", err)
}

// free returns an error that names the first address that somebody uses.
func (b block) free(servers, agents int) error {
	for n := 1; n <= servers; n++ {
		for _, port := range []string{apiPort, raftPort, gossipPort} {
			if err := tryListen("tcp", net.JoinHostPort(b.host(n), port)); err != nil {
				return err
			}
		}
		if err := tryListen("udp", net.JoinHostPort(b.host(n), gossipPort)); err != nil {
			return err
		}
	}
	for n := 1; n <= agents; n++ {
		if err := tryListen("tcp", net.JoinHostPort(b.host(firstAgent+n), gossipPort)); err != nil {
			return err
		}
	}
	return nil
}

func tryListen(network, address string) error {
	var listener io.Closer
	var err error
	if network == "udp" {
		listener, err = net.ListenPacket(network, address)
	} else {
		listener, err = net.Listen(network, address)
	}
	if err != nil {
		return err
	}
	return listener.Close()
}
