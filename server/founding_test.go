package server

import (
	"strings"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/membership"
)

func founder(id string, expect int) membership.Member {
	return membership.Member{ID: id, Name: "n-" + id, Role: membership.RoleServer, BootstrapExpect: expect, Alive: true}
}

func member(id, cluster string) membership.Member {
	return membership.Member{ID: id, Name: "n-" + id, Role: membership.RoleServer, ClusterID: cluster, Alive: true}
}

func leading(id, cluster string) membership.Member {
	m := member(id, cluster)
	m.LeadingTerm = 7
	return m
}

func TestWhatAServerDoesNext(t *testing.T) {
	three := []membership.Member{founder("a", 3), founder("b", 3), founder("c", 3)}
	for name, c := range map[string]struct {
		now    situation
		want   action
		wrong  bool
		reason string
	}{
		"the lowest id of exactly those expected founds": {
			now: situation{self: "a", expect: 3, wanted: true, servers: three}, want: bootstrap},
		"the others wait for it": {
			now: situation{self: "b", expect: 3, wanted: true, servers: three}, reason: "n-a"},
		"too few wait": {
			now: situation{self: "a", expect: 3, wanted: true, servers: three[:2]}, reason: "2 of 3"},
		"too many is for the user to solve": {
			now: situation{self: "a", expect: 2, wanted: true, servers: []membership.Member{founder("a", 2), founder("b", 2), founder("c", 2)}}, wrong: true, reason: "3 servers"},
		"different expectations are for the user to solve": {
			now: situation{self: "a", expect: 3, wanted: true, servers: []membership.Member{founder("a", 3), founder("b", 5), founder("c", 3)}}, wrong: true, reason: "--bootstrap-expect 5"},
		"servers that only join do not count as founders": {
			now: situation{self: "a", expect: 3, wanted: true, servers: append(three[:2:2], founder("c", 0))}, reason: "2 of 3"},
		"one founds alone, whoever else is heard": {
			now: situation{self: "b", expect: 1, wanted: true, servers: []membership.Member{founder("a", 1), founder("b", 1)}}, want: bootstrap},
		"where there is a cluster it is joined": {
			now: situation{self: "a", expect: 3, wanted: true, servers: append(three[:2:2], member("c", "x"))}, want: join},
		"a cluster is not joined without a word of the user": {
			now: situation{self: "a", servers: []membership.Member{founder("a", 0), member("c", "x")}}, wrong: true, reason: "--join"},
		"without a word of the user nothing is founded": {
			now: situation{self: "a", servers: []membership.Member{founder("a", 0)}}, wrong: true, reason: "--bootstrap-expect"},
		"who joins waits to hear of a cluster": {
			now: situation{self: "a", wanted: true, servers: []membership.Member{founder("a", 0)}}, reason: "no server of a cluster"},
		"who knows its cluster asks until it hears its Raft": {
			now: situation{self: "a", clusterID: "x", wanted: true}, want: join},
		"a member at its address does nothing": {
			now: situation{self: "a", clusterID: "x", initialized: true, configured: "h:1", advertised: "h:1", members: []string{"a", "b"},
				servers: []membership.Member{member("a", "x"), member("b", "x")}}},
		"a member that nobody leads for a while asks whether it is one": {
			now: situation{self: "a", clusterID: "x", initialized: true, lonely: true, configured: "h:1", advertised: "h:1", members: []string{"a", "b"},
				servers: []membership.Member{member("a", "x"), leading("b", "x")}}, want: join, reason: "n-b"},
		"but not when nobody is said to lead": {
			now: situation{self: "a", clusterID: "x", initialized: true, lonely: true, configured: "h:1", advertised: "h:1", members: []string{"a", "b"},
				servers: []membership.Member{member("a", "x"), member("b", "x")}}},
		"a member that its own configuration does not know asks too": {
			now: situation{self: "a", clusterID: "x", initialized: true, advertised: "h:1", members: []string{"b"},
				servers: []membership.Member{member("a", "x"), member("b", "x")}}, want: join},
		"a member tells its new address": {
			now: situation{self: "a", clusterID: "x", initialized: true, configured: "h:1", advertised: "h:2", members: []string{"a"}}, want: join, reason: "h:2"},
		"a member tells those who do not know of the cluster": {
			now: situation{self: "a", clusterID: "x", initialized: true, configured: "h:1", advertised: "h:1", members: []string{"a", "b"},
				servers: []membership.Member{member("a", "x"), founder("b", 2)}}, want: tell},
		"a stranger is not told": {
			now: situation{self: "a", clusterID: "x", initialized: true, configured: "h:1", advertised: "h:1", members: []string{"a", "b"},
				servers: []membership.Member{member("a", "x"), founder("z", 2)}}},
	} {
		t.Run(name, func(t *testing.T) {
			next := decide(c.now)
			if next.action != c.want || next.wrong != c.wrong || !strings.Contains(next.reason, c.reason) {
				t.Errorf("decided on %d (wrong: %v) %q, want %d (wrong: %v) %q", next.action, next.wrong, next.reason, c.want, c.wrong, c.reason)
			}
		})
	}
}

func TestAServerPromisesItselfToOneClusterAtATime(t *testing.T) {
	var p promises
	now := time.Unix(1000, 0)
	if err := p.give("x", now); err != nil {
		t.Fatal(err)
	}
	if err := p.give("y", now.Add(time.Second)); err == nil {
		t.Error("promised itself twice")
	}
	if err := p.give("x", now.Add(2*time.Second)); err != nil {
		t.Errorf("the first one may ask again: %v", err)
	}
	if err := p.give("y", now.Add(2*time.Second+promiseFor)); err != nil {
		t.Errorf("a promise does not bind for ever: %v", err)
	}
}
