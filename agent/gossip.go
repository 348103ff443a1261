package agent

import (
	"github.com/argosy-cluster/argosy/agent/session"
	"github.com/argosy-cluster/argosy/membership"
)

var _ session.Directory = gossip{}

// gossip is what the session wants to know of the members.
type gossip struct{ members *membership.Membership }

// FromMembership returns what gossip knows of servers.
func FromMembership(m *membership.Membership) session.Directory { return gossip{members: m} }

func (g gossip) Leader() (address string, term uint64, ok bool) {
	leader, term, ok := g.members.Leader()
	return leader.APIAddress, term, ok && leader.APIAddress != ""
}

func (g gossip) Servers() []string {
	var addresses []string
	for _, member := range g.members.Members() {
		if member.Role == membership.RoleServer && member.Alive && member.APIAddress != "" {
			addresses = append(addresses, member.APIAddress)
		}
	}
	return addresses
}

func (g gossip) Watch() (changed <-chan struct{}, stop func()) { return g.members.Watch() }

func (g gossip) SetCluster(id, incarnation string) { g.members.SetCluster(id, incarnation) }
