package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/argosy-cluster/argosy/membership"
)

// This file is the pure part of how a server comes into a cluster: from what it
// is and sees to what it shall do next.

// situation is what a server knows of itself and of the servers that it hears.
type situation struct {
	self      string
	clusterID string
	// initialized tells that there is Raft state: the server is in a cluster.
	initialized bool
	expect      int
	// wanted tells that the user has said anything about which cluster.
	wanted bool
	// servers are those that are alive, this one included.
	servers []membership.Member
	// configured is the address of this server in Raft's configuration, "" when
	// it is not in it.
	configured string
	// advertised is the address that it has now.
	advertised string
	// replaces are the ids that it had before its data was found damaged.
	replaces []string
	// members are the ids of the servers in Raft's configuration.
	members []string
	// lonely tells that nobody has led this server for a while.
	lonely bool
	// trouble is why the seeds of gossip are not reached, "" when they are.
	trouble string
}

type action int

const (
	// nothing to do for now; the reason says why.
	nothing action = iota
	// bootstrap a new cluster of the servers in the step.
	bootstrap
	// join the cluster, or tell it the new address of this server.
	join
	// tell the servers in the step that the cluster exists.
	tell
)

type step struct {
	action  action
	servers []membership.Member
	// reason is for people.
	reason string
	// wrong tells that it will not go on without the user.
	wrong bool
}

func decide(s situation) step {
	if s.initialized {
		return decideMember(s)
	}
	return decideNew(s)
}

// decideMember is for a server that is in a cluster.
func decideMember(s situation) step {
	var ignorant []membership.Member
	for _, m := range s.servers {
		if m.ClusterID == "" && m.ID != s.self && slices.Contains(s.members, m.ID) {
			ignorant = append(ignorant, m)
		}
	}
	if len(ignorant) > 0 {
		return step{action: tell, servers: ignorant, reason: "servers of this cluster do not know yet that it exists"}
	}
	if s.configured == "" {
		return step{action: join, reason: "this server is not in its cluster's configuration, as far as it knows"}
	}
	for _, id := range s.replaces {
		if slices.Contains(s.members, id) {
			return step{action: join, reason: "this server takes the place of server " + id + ", whose data was damaged, and that is still in the cluster"}
		}
	}
	if s.configured != s.advertised {
		return step{action: join, reason: fmt.Sprintf("the cluster knows this server at %q, it is at %q", s.configured, s.advertised)}
	}
	if !s.lonely {
		return step{}
	}
	for _, m := range s.servers {
		if m.ID != s.self && m.LeadingTerm > 0 && m.ClusterID == s.clusterID {
			return step{action: join, reason: fmt.Sprintf("server %s (%s) leads, and does not speak with this one", m.Name, m.ID)}
		}
	}
	return step{}
}

// decideNew is for a server that is in none yet.
func decideNew(s situation) step {
	if s.clusterID != "" {
		return step{action: join, reason: "this server belongs to cluster " + s.clusterID + " and has not heard its Raft yet"}
	}
	for _, m := range s.servers {
		if m.ClusterID != "" {
			if !s.wanted {
				return step{reason: "a cluster is heard, but nobody said that this server shall join it: start it with --join or --bootstrap-expect", wrong: true}
			}
			return step{action: join, reason: "cluster " + m.ClusterID + " is heard by gossip"}
		}
	}
	switch {
	case s.expect == 0 && !s.wanted:
		return step{reason: "this server is in no cluster: start it with --bootstrap-expect to found one, or with --join to be added to one", wrong: true}
	case s.expect == 0 && s.trouble != "":
		return step{reason: "no server of a cluster is heard yet: " + s.trouble}
	case s.expect == 0:
		return step{reason: "no server of a cluster is heard yet"}
	}
	if s.expect == 1 {
		// Whoever else is heard is not meant: one server founds its cluster alone.
		return step{action: bootstrap, servers: only(s.servers, s.self)}
	}
	for _, m := range s.servers {
		if m.BootstrapExpect != 0 && m.BootstrapExpect != s.expect {
			return step{reason: fmt.Sprintf("server %s (%s) was started with --bootstrap-expect %d, this one with %d: all must have the same number",
				m.Name, m.ID, m.BootstrapExpect, s.expect), wrong: true}
		}
	}
	founders := slices.DeleteFunc(slices.Clone(s.servers), func(m membership.Member) bool { return m.BootstrapExpect == 0 })
	switch {
	case len(founders) < s.expect:
		return step{reason: fmt.Sprintf("%d of %d servers that shall found the cluster are heard (%s)", len(founders), s.expect, names(founders))}
	case len(founders) > s.expect:
		return step{reason: fmt.Sprintf("%d servers were started to found a cluster of %d (%s): stop those that are too many, or start them without --bootstrap-expect",
			len(founders), s.expect, names(founders)), wrong: true}
	}
	slices.SortFunc(founders, func(a, b membership.Member) int { return cmp.Compare(a.ID, b.ID) })
	if founders[0].ID != s.self {
		return step{reason: fmt.Sprintf("server %s (%s) founds the cluster", founders[0].Name, founders[0].ID)}
	}
	return step{action: bootstrap, servers: founders, reason: fmt.Sprintf("this server founds the cluster (%s), and waits for the others or its disk", names(founders))}
}

func only(servers []membership.Member, id string) []membership.Member {
	return slices.DeleteFunc(slices.Clone(servers), func(m membership.Member) bool { return m.ID != id })
}

func names(servers []membership.Member) string {
	var all []string
	for _, m := range servers {
		all = append(all, m.Name)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// promises is what a new server has promised: to be founded by one server at a
// time. It is memory only: a promise binds until the founder has made the
// cluster, which takes milliseconds, and what binds for good is the cluster id
// on disk.
type promises struct {
	cluster string
	until   time.Time
}

// promiseFor is for how long a promise holds; the founder asks again while it
// needs it.
const promiseFor = 5 * time.Second

// give promises this server to a cluster, or says why not.
func (p *promises) give(cluster string, now time.Time) error {
	if p.cluster != "" && p.cluster != cluster && now.Before(p.until) {
		return fmt.Errorf("this server has promised itself to another new cluster (%s) %v ago", p.cluster, promiseFor-p.until.Sub(now))
	}
	p.cluster, p.until = cluster, now.Add(promiseFor)
	return nil
}
