package cluster

import (
	"errors"
	"fmt"
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

// errNoAddresses is returned when no block of loopback addresses is free.
var errNoAddresses = errors.New("find free loopback addresses: none of 64 blocks tried is free")

// block is a block of loopback addresses 127.a.b.*: servers and agents each get
// one of their own, so that they can use the ports that they use in production.
type block struct{ a, b int }

func (b block) host(n int) string { return fmt.Sprintf("127.%d.%d.%d", b.a, b.b, n) }

// leaseBlock picks a block on which nothing listens. Blocks are drawn from so
// many that two test programs seldom meet, and a draw is proved by binding.
func leaseBlock(hosts int) (block, error) {
	for range 64 {
		b := block{64 + rand.IntN(128), 1 + rand.IntN(250)}
		if b.free(hosts) {
			return b, nil
		}
	}
	return block{}, errNoAddresses
}

func (b block) free(hosts int) bool {
	for n := 1; n <= hosts; n++ {
		for _, port := range []string{apiPort, raftPort, gossipPort} {
			listener, err := net.Listen("tcp", net.JoinHostPort(b.host(n), port))
			if err != nil {
				return false
			}
			_ = listener.Close()
		}
	}
	return true
}
