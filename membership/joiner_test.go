package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
)

// world is what a joiner finds: it answers at some addresses.
type world struct {
	lock  sync.Mutex
	up    map[netip.AddrPort]*memberlist.Node
	tried map[netip.AddrPort]int
	// early answers, and knows nothing of itself yet.
	early netip.AddrPort
	dir   *directory
}

func (n *world) join(address netip.AddrPort) error {
	n.lock.Lock()
	defer n.lock.Unlock()
	n.tried[address]++
	found, ok := n.up[address]
	if !ok {
		return errors.New("connection refused")
	}
	if address != n.early {
		n.dir.put(found, true)
	}
	return nil
}

// tries returns how often an address was tried since the last call.
func (n *world) tries(address string) int {
	n.lock.Lock()
	defer n.lock.Unlock()
	key := netip.MustParseAddrPort(address)
	defer delete(n.tried, key)
	return n.tried[key]
}

func (n *world) start(member Member, address string) *memberlist.Node {
	n.lock.Lock()
	defer n.lock.Unlock()
	node := testNode(member, address, 1)
	n.up[netip.MustParseAddrPort(address)] = node
	return node
}

// testNode is a node as memberlist describes it.
func testNode(member Member, address string, generation int64) *memberlist.Node {
	told := metadata{generation: generation, member: member, term: member.LeadingTerm, leading: member.LeadingTerm > 0}
	data, err := told.checked()
	if err != nil {
		panic(err)
	}
	parsed := netip.MustParseAddrPort(address)
	return &memberlist.Node{Name: member.nodeName(), Addr: net.IP(parsed.Addr().AsSlice()), Port: parsed.Port(), Meta: data}
}

// startJoiner runs a joiner of server "self" at 10.0.0.1:1 until the test ends.
func startJoiner(t *testing.T, self Member, seeds ...string) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	dir := newDirectory(self.nodeName(), "", time.Hour, log)
	net := &world{up: map[netip.AddrPort]*memberlist.Node{}, tried: map[netip.AddrPort]int{}, dir: dir}
	dir.put(testNode(self, "10.0.0.1:1", 1), true)
	j := &joiner{directory: dir, resolver: &fakeDNS{}, log: log, role: self.Role, join: net.join}
	for _, text := range seeds {
		endpoint, err := parseSeed(text)
		if err != nil {
			t.Fatal(err)
		}
		j.seeds = append(j.seeds, &seed{endpoint: endpoint})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { j.run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return net
}

// pass lets time pass in the bubble.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestJoinerTriesASeedOftenAtFirstAndForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := startJoiner(t, server("self"), "10.0.0.2:1", "10.0.0.3:1", "10.0.0.1:1")
		net.start(server("c"), "10.0.0.3:1")
		pass(200 * time.Millisecond)
		if got := net.tries("10.0.0.2:1"); got < 3 || got > 5 {
			t.Errorf("tried %d times in the first 200 ms", got)
		}
		if got := net.tries("10.0.0.3:1"); got == 0 {
			t.Error("the seed that is up was not tried")
		}
		pass(time.Hour)
		if got := net.tries("10.0.0.2:1"); got < 600 || got > 920 {
			t.Errorf("tried %d times in an hour, want once in about 5 s", got)
		}
		if got := net.tries("10.0.0.3:1"); got != 0 {
			t.Errorf("the seed that was reached was tried %d times more", got)
		}
		if got := net.tries("10.0.0.1:1"); got != 0 {
			t.Errorf("it has joined itself %d times", got)
		}
		net.start(server("b"), "10.0.0.2:1")
		pass(6 * time.Second)
		net.tries("10.0.0.2:1")
		pass(time.Hour)
		if got := net.tries("10.0.0.2:1"); got != 0 {
			t.Errorf("all are there, and it tried %d times more", got)
		}
	})
}

func TestJoinerLooksForWhoWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := startJoiner(t, server("self"), "10.0.0.2:1")
		b := net.start(server("b"), "10.0.0.2:1")
		c, n := testNode(server("c"), "10.0.0.3:1", 1), testNode(agent("n"), "10.0.0.9:1", 1)
		net.dir.put(c, true)
		net.dir.put(n, true)
		pass(time.Minute)
		net.tries("10.0.0.2:1")

		net.dir.remove(c)
		net.dir.remove(n)
		pass(30 * time.Minute)
		for _, lost := range []string{"10.0.0.3:1", "10.0.0.9:1"} {
			if got := net.tries(lost); got < 100 || got > 160 {
				t.Errorf("the lost %s was tried %d times in half an hour, want once in about 15 s", lost, got)
			}
		}
		if got := net.tries("10.0.0.2:1"); got != 0 {
			t.Errorf("a live seed was tried %d times", got)
		}

		pass(time.Hour) // both are forgotten
		net.tries("10.0.0.3:1")
		pass(time.Hour)
		if got := net.tries("10.0.0.3:1"); got != 0 {
			t.Errorf("one that was lost for long is still tried %d times", got)
		}

		net.dir.remove(b) // alone: only the seeds are left
		net.tries("10.0.0.2:1")
		pass(10 * time.Second)
		if got := net.tries("10.0.0.2:1"); got == 0 {
			t.Error("it is alone and does not try its seed")
		}
	})
}

func TestJoinerLeavesWhoHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := startJoiner(t, server("self"))
		c := testNode(server("c"), "10.0.0.3:1", 1)
		net.dir.put(c, true)
		net.dir.farewell(c.Name, 1)
		net.dir.remove(c)
		pass(time.Hour)
		if got := net.tries("10.0.0.3:1"); got != 0 {
			t.Errorf("one that has left was tried %d times", got)
		}
	})
}

func TestAgentsDoNotLookForAgents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := startJoiner(t, agent("self"))
		s, n := testNode(server("s"), "10.0.0.3:1", 1), testNode(agent("n"), "10.0.0.9:1", 1)
		net.dir.put(s, true)
		net.dir.put(n, true)
		net.dir.remove(n)
		net.dir.remove(s)
		pass(time.Minute)
		if got := net.tries("10.0.0.9:1"); got != 0 {
			t.Errorf("the lost agent was tried %d times", got)
		}
		if got := net.tries("10.0.0.3:1"); got == 0 {
			t.Error("the lost server was not tried")
		}
	})
}

func TestJoinerGreetsWhoIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := startJoiner(t, server("self"))
		c, d := testNode(server("c"), "10.0.0.3:1", 1), testNode(server("d"), "10.0.0.4:1", 1)
		net.dir.put(c, true)
		net.dir.put(d, true)
		net.dir.remove(c)
		net.dir.remove(d)
		pass(20 * time.Minute) // the delay between rounds is at its longest
		net.tries("10.0.0.3:1")
		net.start(server("c"), "10.0.0.3:1")
		net.dir.put(c, true)
		pass(100 * time.Millisecond)
		if got := net.tries("10.0.0.3:1"); got != 1 {
			t.Errorf("the one that is back was greeted %d times", got)
		}
	})
}

func TestJoinerTellsThePeersWhenItIsTakenForItsFormerSelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := startJoiner(t, server("self"))
		for i := range 5 {
			address := fmt.Sprintf("10.0.1.%d:1", i+1)
			net.dir.put(net.start(server(fmt.Sprint("s", i)), address), true)
		}
		pass(time.Minute)
		former := testNode(server("self"), "10.0.0.77:1", 1)
		own := testNode(server("self"), "10.0.0.1:1", 2)
		net.dir.conflict(own, former)
		pass(time.Second)
		tried := 0
		for i := range 5 {
			tried += net.tries(fmt.Sprintf("10.0.1.%d:1", i+1))
		}
		if tried != joinHelpers {
			t.Errorf("%d peers were told, want %d", tried, joinHelpers)
		}
	})
}

func TestASeedThatKnewNothingOfItselfIsAskedOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := startJoiner(t, server("self"), "10.0.0.2:1", "10.0.0.3:1")
		net.early = netip.MustParseAddrPort("10.0.0.3:1")
		net.start(server("b"), "10.0.0.2:1")
		c := net.start(server("c"), "10.0.0.3:1")
		pass(10 * time.Millisecond)
		net.lock.Lock()
		net.early = netip.AddrPort{}
		net.lock.Unlock()
		pass(100 * time.Millisecond)
		if _, ok := net.dir.survey().live[netip.MustParseAddrPort(c.Address())]; !ok {
			t.Error("it answered too early, and was not asked again")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		net := startJoiner(t, server("self"), "10.0.0.2:1", "10.0.0.3:1")
		net.early = netip.MustParseAddrPort("10.0.0.3:1") // for ever: it advertises another address
		net.start(server("b"), "10.0.0.2:1")
		net.start(server("c"), "10.0.0.3:1")
		pass(time.Minute)
		if got := net.tries("10.0.0.3:1"); got < 2 {
			t.Errorf("a seed that answers and advertises another address was joined %d times, want once more", got)
		}
		pass(time.Hour)
		if got := net.tries("10.0.0.3:1"); got != 0 {
			t.Errorf("a seed that answers and advertises another address was joined %d times more", got)
		}
	})
}

func TestASeedMayHaveSeveralAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		dir := newDirectory("s-self", "", time.Hour, log)
		net := &world{up: map[netip.AddrPort]*memberlist.Node{}, tried: map[netip.AddrPort]int{}, dir: dir}
		net.start(server("b"), "10.0.0.3:25553")
		j := &joiner{directory: dir, resolver: names{"10.0.0.2", "10.0.0.3"}, log: log, join: net.join,
			seeds: []*seed{{endpoint: endpoint{"argosy.example", 25553}}}}
		if longest := j.round(t.Context()); longest != 0 {
			t.Errorf("one address answered, and the next round is due within %s", longest)
		}
	})
}

type names []string

func (n names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	addresses := make([]netip.Addr, len(n))
	for i, text := range n {
		addresses[i] = netip.MustParseAddr(text)
	}
	return addresses, nil
}

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]endpoint{
		"host":               {"host", 25553},
		" host:7 ":           {"host", 7},
		"10.0.0.1":           {"10.0.0.1", 25553},
		"10.0.0.1:7":         {"10.0.0.1", 7},
		"::1":                {"::1", 25553},
		"[::1]":              {"::1", 25553},
		"[::1]:7":            {"::1", 7},
		":7":                 {"", 7},
		"argosy.example:":    {"argosy.example", 25553},
		"fe80::1%eth0":       {"fe80::1%eth0", 25553},
		"[fe80::1%eth0]:123": {"fe80::1%eth0", 123},
	} {
		got, err := parseEndpoint(text, DefaultPort)
		if err != nil || got != want {
			t.Errorf("%q: want %v, got %v, %v", text, want, got, err)
		}
	}
	for _, text := range []string{"host:x", "host:70000", "host:-1", "a:b:c", "http://host", "a b", "[::1"} {
		if got, err := parseEndpoint(text, DefaultPort); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: want ErrAddress, got %v, %v", text, got, err)
		}
	}
}

func TestMembersAreSorted(t *testing.T) {
	members := []Member{agent("b"), server("z"), agent("a"), server("a")}
	sortMembers(members)
	if !slices.Equal(members, []Member{server("a"), server("z"), agent("a"), agent("b")}) {
		t.Errorf("got %v", members)
	}
}
