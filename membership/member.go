package membership

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Role is what a member is.
type Role uint8

const (
	// RoleServer is a server replica.
	RoleServer Role = iota + 1
	// RoleAgent is the agent of one node.
	RoleAgent
)

func (r Role) String() string {
	switch r {
	case RoleServer:
		return "server"
	case RoleAgent:
		return "agent"
	default:
		return fmt.Sprintf("role %d", uint8(r))
	}
}

// Member is what is known of a server or an agent.
type Member struct {
	// ID outlives restarts and changes of address: the UUID in a server's data
	// directory, an agent's name.
	ID string
	// Name is for people.
	Name string
	// Role is what it is.
	Role Role
	// APIAddress is where a server's API is reached, host:port.
	APIAddress string
	// RaftAddress is where a server's Raft transport is reached, host:port.
	RaftAddress string
	// GossipAddress is where it gossips, ip:port. It is found by Open.
	GossipAddress string
	// Version is that of its binary.
	Version string
	// ClusterID is the cluster it belongs to, empty when it does not know yet.
	ClusterID string
	// Incarnation is which life of its cluster a server belongs to, empty in the
	// first; agents tell none.
	Incarnation string
	// FeatureLevel is the highest feature level that a server's binary knows, 0
	// for one of before there were any.
	FeatureLevel uint32
	// LeadingTerm is the term it leads in, 0 when it does not say so.
	LeadingTerm uint64
	// BootstrapExpect is how many servers it waits for before it bootstraps a
	// cluster; 0 when it does not bootstrap.
	BootstrapExpect int
	// ProtocolMin and ProtocolMax are the protocol versions it speaks. Open
	// fills in those of this binary when they are 0.
	ProtocolMin, ProtocolMax uint32
	// Alive tells whether it answers, or did until less than about 2 s ago.
	Alive bool
	// Left tells, of one that is not alive, that it has left of its own will.
	Left bool
}

// The name of a node says what it is. It is never an address: memberlist files
// what a node says in its own defence under its address, and would drop it in
// favour of an accusation, filed under its name, if the two were the same.
const (
	serverPrefix = "s-"
	agentPrefix  = "a-"
)

func (m Member) nodeName() string {
	if m.Role == RoleServer {
		return serverPrefix + m.ID
	}
	return agentPrefix + m.ID
}

func parseNodeName(name string) (Role, string, error) {
	if id, ok := strings.CutPrefix(name, serverPrefix); ok && id != "" {
		return RoleServer, id, nil
	}
	if id, ok := strings.CutPrefix(name, agentPrefix); ok && id != "" {
		return RoleAgent, id, nil
	}
	return 0, "", fmt.Errorf("node name %q is neither a server's nor an agent's", name)
}

// sortMembers puts servers before agents, each by id.
func sortMembers(members []Member) {
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.ID, b.ID))
	})
}
