package membership

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestThreeThatStartAtOnceFindEachOther(t *testing.T) {
	t.Parallel()
	// Their own address among the seeds does no harm, nor does the missing port.
	seeds := []string{loopback(), loopback(), loopback()}
	nodes := make([]*node, len(seeds))
	for i, address := range seeds {
		nodes[i] = mustOpen(t, server(string(rune('a'+i))), bind(address), join(seeds...))
	}
	for _, n := range nodes {
		n.sees(t, "a", "b", "c")
	}
}

func TestASeedThatComesLaterIsFound(t *testing.T) {
	t.Parallel()
	late := loopback()
	early := mustOpen(t, server("early"), join(late))
	early.logs.await(t, "seed not reached", late+":25553", "refused")
	mustOpen(t, server("late"), bind(late))
	early.sees(t, "early", "late")
}

// fakeDNS is a name server whose answers change.
type fakeDNS struct {
	answer atomic.Pointer[netip.Addr]
	asked  atomic.Int64
}

func (f *fakeDNS) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	f.asked.Add(1)
	answer := f.answer.Load()
	if answer == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{*answer}, nil
}

func TestNamesOfSeedsAreLookedUpAgain(t *testing.T) {
	t.Parallel()
	address := loopback()
	mustOpen(t, server("seed"), bind(address))
	dns := &fakeDNS{}
	n := mustOpen(t, agent("agent_A"), join("argosy.example"), func(c *Config) { c.Resolver = dns })
	n.logs.await(t, "seed not reached", "argosy.example:25553", "no such host")
	found := netip.MustParseAddr(address)
	dns.answer.Store(&found)
	n.sees(t, "seed", "agent_A")
}

func TestEverybodyKnowsWhatAMemberTells(t *testing.T) {
	t.Parallel()
	self := Member{
		ID: "a", Name: "alpha", Role: RoleServer, APIAddress: "10.0.0.1:25551", RaftAddress: "10.0.0.1:25552",
		Version: "v1.2.3", ClusterID: "c1", BootstrapExpect: 3,
	}
	a := mustOpen(t, self)
	b := mustOpen(t, agent("agent_B"), join(a.gossip()))
	b.sees(t, "a", "agent_B")
	want := self
	want.GossipAddress, want.Alive, want.ProtocolMin, want.ProtocolMax = a.gossip(), true, 1, 1
	if got := b.find("a"); got != want {
		t.Errorf("want %+v, got %+v", want, got)
	}

	if err := a.SetSelf(func(m *Member) { m.APIAddress, m.Role, m.ID = "10.0.0.9:1", RoleAgent, "z" }); err != nil {
		t.Fatal(err)
	}
	want.APIAddress = "10.0.0.9:1" // what it is stays what it is
	await(t, b, func() bool { return b.find("a") == want },
		func() string { return "the change was not told" })

	err := a.SetSelf(func(m *Member) { m.APIAddress = strings.Repeat("x", 500) + ":1" })
	if !errors.Is(err, ErrTooLong) || !strings.Contains(err.Error(), "API address") {
		t.Errorf("want an error that names the API address, got %v", err)
	}
	if got := a.Self(); got.APIAddress != "10.0.0.9:1" {
		t.Errorf("a change that was refused was made: %+v", got)
	}
}

func TestAKilledMemberIsFoundDeadAndComesBack(t *testing.T) {
	t.Parallel()
	a := mustOpen(t, server("a"))
	b := mustOpen(t, server("b"), join(a.gossip()))
	c := mustOpen(t, server("c"), join(a.gossip()))
	for _, n := range []*node{a, b, c} {
		n.sees(t, "a", "b", "c")
	}
	address := c.gossip()
	c.kill(t)
	a.sees(t, "a", "b", "-c")
	b.sees(t, "a", "b", "-c")
	a.logs.await(t, "member failed", "id=c")

	// It comes back without seeds: the others look for it.
	back := mustOpen(t, server("c"), bind(address))
	for _, n := range []*node{a, b, back} {
		n.sees(t, "a", "b", "c")
	}
}

func TestAMemberThatLeavesIsKnownToHaveLeft(t *testing.T) {
	t.Parallel()
	a := mustOpen(t, server("a"))
	b := mustOpen(t, server("b"), join(a.gossip()))
	c := mustOpen(t, agent("c"), join(a.gossip()))
	for _, n := range []*node{a, b, c} {
		n.sees(t, "a", "b", "c")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	a.sees(t, "a", "<b", "c")
	c.sees(t, "a", "<b", "c")

	if err := b.Close(); err != nil {
		t.Errorf("the second Close fails: %v", err)
	}
	if err := b.SetSelf(func(m *Member) { m.Name = "x" }); !errors.Is(err, ErrClosed) {
		t.Errorf("want ErrClosed, got %v", err)
	}
	b.SetLeading(1) // has no effect
}

func TestAMemberThatComesBackElsewhereReplacesItsFormerSelf(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *node){
		"after it was killed": func(t *testing.T, n *node) { n.kill(t) },
		"after it left": func(t *testing.T, n *node) {
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := mustOpen(t, server("a"))
			b := mustOpen(t, server("b"), join(a.gossip()))
			former := mustOpen(t, server("c"), join(a.gossip()))
			a.sees(t, "a", "b", "c")
			b.sees(t, "a", "b", "c")
			end(t, former)

			moved := mustOpen(t, server("c"), join(a.gossip()))
			for _, n := range []*node{a, b, moved} {
				await(t, n, func() bool {
					c := n.find("c")
					return c.Alive && c.GossipAddress == moved.gossip()
				}, func() string { return "c is not known at its new address, but at " + n.find("c").GossipAddress })
			}
		})
	}
}

func TestTwoProcessesOfOneNameAreNotedAndHarmNobody(t *testing.T) {
	t.Parallel()
	a := mustOpen(t, server("a"))
	first := mustOpen(t, agent("agent_A"), join(a.gossip()))
	a.sees(t, "a", "agent_A")
	second := mustOpen(t, agent("agent_A"), join(a.gossip()))

	second.logs.await(t, "WARN", "is in use at another address", second.gossip(), first.gossip())
	a.logs.await(t, "WARN", "two members claim one id", first.gossip(), second.gossip())
	if got := a.find("agent_A").GossipAddress; got != first.gossip() {
		t.Errorf("the first one was replaced by the second, at %s", got)
	}
}

func TestMembersOfAnotherClusterAreRefused(t *testing.T) {
	t.Parallel()
	a := mustOpen(t, server("a"), cluster("cluster-1"))
	b := mustOpen(t, server("b"), cluster("cluster-1"), join(a.gossip()))
	a.sees(t, "a", "b")
	stranger := mustOpen(t, server("x"), cluster("cluster-2"), join(a.gossip()))

	a.logs.await(t, "WARN", "refuse server x", stranger.gossip(), "cluster-1", "cluster-2")
	stranger.logs.await(t, "seed not reached", "refuse server", "cluster-1", "cluster-2")
	a.sees(t, "a", "b")
	b.sees(t, "a", "b")
	stranger.sees(t, "x")
}

func TestOneThatLearnsItsClusterForgetsTheOthers(t *testing.T) {
	t.Parallel()
	a := mustOpen(t, server("a"), cluster("cluster-1"))
	x := mustOpen(t, server("x"), cluster("cluster-2"))
	x.SetLeading(7)
	young := mustOpen(t, agent("young"), join(a.gossip(), x.gossip()))
	young.sees(t, "a", "x", "young")
	if leader, _, _ := young.Leader(); leader.ID != "x" {
		t.Errorf("x leads, not %q", leader.ID)
	}
	young.SetCluster("cluster-1", "")
	young.sees(t, "a", "young")
	if leader, term, ok := young.Leader(); ok {
		t.Errorf("%q of the other cluster is still taken for the leader of term %d", leader.ID, term)
	}
	await(t, a, func() bool { return a.find("young").ClusterID == "cluster-1" },
		func() string { return "the cluster id was not told" })

	young.SetCluster(strings.Repeat("x", 65), "")
	young.logs.await(t, "ERROR", "cluster id was not taken", "65 bytes")
}

func TestAnotherClusterNameCannotBeHeard(t *testing.T) {
	t.Parallel()
	a := mustOpen(t, server("a"))
	b := mustOpen(t, server("b"), join(a.gossip()), func(c *Config) { c.Cluster = "test" })
	a.logs.await(t, "WARN", "unacceptable label", "test")
	b.logs.await(t, "WARN", "seed not reached", "same cluster name", "cluster=test", "hung up without a word")
	if why := b.Trouble(); !containsAll(why, []string{a.gossip(), "--cluster"}) {
		t.Errorf("trouble is %q", why)
	}
	a.sees(t, "a")
	b.sees(t, "b")
}

func TestAKeyringKeepsStrangersOut(t *testing.T) {
	t.Parallel()
	const key1, key2 = "MDEyMzQ1Njc4OWFiY2RlZg==", "ZmVkY2JhOTg3NjU0MzIxMA=="
	keyring := func(keys string) func(*Config) {
		path := filepath.Join(t.TempDir(), "keyring.json")
		mustWrite(t, path, keys, 0o600)
		return func(c *Config) { c.KeyringFile = path }
	}
	a := mustOpen(t, server("a"), keyring(`["`+key1+`"]`))
	b := mustOpen(t, server("b"), join(a.gossip()), keyring(`["`+key1+`"]`))
	a.sees(t, "a", "b")
	b.SetLeading(3)
	await(t, a, func() bool { _, term, _ := a.Leader(); return term == 3 },
		func() string { return "an encrypted datagram was not understood" })

	plain := mustOpen(t, server("plain"), join(a.gossip()))
	other := mustOpen(t, server("other"), join(a.gossip()), keyring(`["`+key2+`"]`))
	plain.logs.await(t, "WARN", "seed not reached", "keyring")
	other.logs.await(t, "WARN", "seed not reached", "keyring")
	for _, n := range []*node{plain, other} {
		if why := n.Trouble(); !containsAll(why, []string{a.gossip(), "crypt"}) {
			t.Errorf("trouble of %s is %q", n.Self().ID, why)
		}
	}
	a.sees(t, "a", "b")

	both := mustOpen(t, server("both"), join(a.gossip()), keyring(`["`+key1+`", "`+key2+`"]`))
	both.sees(t, "a", "b", "both")
}

func TestALeaderIsKnownToAll(t *testing.T) {
	t.Parallel()
	a := mustOpen(t, server("a"), cluster("c1"))
	b := mustOpen(t, server("b"), cluster("c1"), join(a.gossip()))
	// Servers tell agents as well, and those that know no cluster yet.
	n := mustOpen(t, agent("n"), join(a.gossip()))
	for _, n := range []*node{a, b, n} {
		n.sees(t, "a", "b", "n")
		if leader, term, ok := n.Leader(); ok {
			t.Fatalf("before any leads, %q leads in term %d", leader.ID, term)
		}
	}
	leads := func(t *testing.T, id string, term uint64, still bool) {
		t.Helper()
		for _, n := range []*node{a, b, n} {
			if n.closed {
				continue
			}
			var leader Member
			var got uint64
			await(t, n, func() bool {
				leader, got, _ = n.Leader()
				return leader.ID == id && got == term && leader.APIAddress == id+":1" && (leader.LeadingTerm == term) == still
			}, func() string { return "leader is " + leader.ID })
		}
	}
	a.SetLeading(3)
	leads(t, "a", 3, true)
	b.SetLeading(5)
	leads(t, "b", 5, true)
	a.SetLeading(4) // it has missed that it lost
	b.SetLeading(0)
	leads(t, "b", 5, false)
	a.SetLeading(6)
	leads(t, "a", 6, true)
	a.SetLeading(0)
	leads(t, "a", 6, false)
	b.SetLeading(7)
	leads(t, "b", 7, true)

	b.kill(t)
	a.sees(t, "a", "-b", "n")
	leads(t, "b", 7, true) // who led is still told; that it died, too
	if leader, _, _ := a.Leader(); leader.Alive {
		t.Error("a dead leader is said to live")
	}
}

func TestAPortInUseIsAClearError(t *testing.T) {
	t.Parallel()
	address := loopback()
	mustOpen(t, server("a"), bind(address))
	config := DefaultConfig()
	config.Self, config.BindAddress = server("b"), address
	_, err := Open(config)
	if err == nil || !containsAll(err.Error(), []string{address + ":25553", "in use", "--gossip-address"}) {
		t.Errorf("want an error that names the address and what to do, got %v", err)
	}
}

func TestOpenRefusesWhatCouldNotWork(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*Config)
		says   []string
	}{
		{"no id", func(c *Config) { c.Self.ID = "" }, []string{"no id"}},
		{"no role", func(c *Config) { c.Self.Role = 0 }, []string{"no role"}},
		{"a long id", func(c *Config) { c.Self.ID = strings.Repeat("x", 200) }, []string{"id has 200 bytes"}},
		{"a long name", func(c *Config) { c.Self.Name = strings.Repeat("x", 500) }, []string{"name", "500", "bytes"}},
		{"long addresses", func(c *Config) {
			c.Self.APIAddress, c.Self.RaftAddress = strings.Repeat("x", 200), strings.Repeat("y", 250)
		}, []string{"Raft address", "250"}},
		{"a long version", func(c *Config) { c.Self.Version = strings.Repeat("x", 500) }, []string{"version"}},
		{"a long cluster name", func(c *Config) { c.Cluster = strings.Repeat("x", 300) }, []string{"cluster name", "300"}},
		{"a seed without a host", func(c *Config) { c.Join = []string{":1"} }, []string{"join", `":1"`}},
		{"a seed that is none", func(c *Config) { c.Join = []string{"http://a:1"} }, []string{"join", "http://a:1"}},
		{"a port that is none", func(c *Config) { c.BindAddress = "127.0.0.1:x" }, []string{"bind", `"x"`}},
		{"an address of another machine", func(c *Config) { c.BindAddress = "192.0.2.1" }, []string{"192.0.2.1:25553"}},
		{"an unknown host to advertise", func(c *Config) {
			c.AdvertiseAddress, c.Resolver = "nowhere.example", &fakeDNS{}
		}, []string{"advertise", "nowhere.example", "no such host"}},
		{"all addresses to advertise", func(c *Config) { c.AdvertiseAddress = "0.0.0.0" }, []string{"advertise", `"0.0.0.0"`, "others"}},
		{"no port to advertise", func(c *Config) { c.AdvertiseAddress = "127.0.0.1:0" }, []string{"advertise", `"127.0.0.1:0"`, "others"}},
		{"no keyring file", func(c *Config) { c.KeyringFile = "/nowhere/keyring" }, []string{"keyring", "/nowhere/keyring"}},
		{"timing that cannot be", func(c *Config) { c.Timing = Timing{ProbeInterval: 1, ProbeTimeout: 1, GossipInterval: 1} },
			[]string{"timing"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := DefaultConfig()
			config.Self, config.BindAddress = server("a"), loopback()
			test.change(&config)
			opened, err := Open(config)
			if err == nil {
				t.Error("it was opened", opened.Close())
				return
			}
			if !containsAll(err.Error(), test.says) {
				t.Errorf("the error does not say %q: %v", test.says, err)
			}
		})
	}
}

func TestAllInterfacesAreBoundAndOneIsAdvertised(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		n := mustOpen(t, server("a"), bind(address), func(c *Config) { c.AdvertiseAddress = "127.0.0.1" })
		if !strings.HasPrefix(n.gossip(), "127.0.0.1:") || strings.HasSuffix(n.gossip(), ":0") {
			t.Errorf("bound to %s it advertises %s", address, n.gossip())
		}
		other := mustOpen(t, agent("b"), join(n.gossip()))
		n.sees(t, "a", "b")
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func mustWrite(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
