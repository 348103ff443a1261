package consensus

import (
	"sync"

	"github.com/hashicorp/raft"
)

// routes picks between two addresses of one server: the one that gossip knows
// and the one in Raft's configuration. Mostly gossip learns first where a server
// has gone. But one that comes back elsewhere within a moment has joined again,
// and is in the configuration, while gossip keeps to its former self until that
// is found dead. So an address at which nobody answers gives way to the other.
type routes struct {
	resolve func(serverID string) string

	mu sync.Mutex
	// failed are the addresses at which a server was looked for last, in vain.
	failed map[string]string
}

func newRoutes(resolve func(serverID string) string) *routes {
	if resolve == nil {
		resolve = func(string) string { return "" }
	}
	return &routes{resolve: resolve, failed: map[string]string{}}
}

// pick returns the address to try.
func (r *routes) pick(id raft.ServerID, configured raft.ServerAddress) raft.ServerAddress {
	heard := r.resolve(string(id))
	if heard == "" {
		return configured
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed[string(id)] == heard {
		return configured
	}
	return raft.ServerAddress(heard)
}

// note takes down whether a server could be dialled at an address.
func (r *routes) note(id, address string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.failed[id] = address
	case r.failed[id] == address:
		delete(r.failed, id)
	}
}
