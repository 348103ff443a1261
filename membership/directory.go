package membership

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// directory is what this node knows of the members. It has a lock of its own,
// below those of memberlist, under which nothing waits and nobody is called.
type directory struct {
	log       *slog.Logger
	remember  time.Duration
	localName string
	// agent tells that this node is an agent's.
	agent bool

	lock      sync.Mutex
	clusterID string
	// incarnation is which life of the cluster this node belongs to.
	incarnation string
	entries     map[string]*entry
	leader      leader
	conflicts   map[string]time.Time
	watchers    map[chan struct{}]struct{}
	// ownConflicts counts how often somebody took this node for one at another
	// address.
	ownConflicts int
	// rival is who claimed last to be this node.
	rival Member
	// returned are the nodes that were gone and are back, here or elsewhere, until
	// this node has exchanged with them what is known.
	returned map[netip.AddrPort]struct{}
}

// maxReturned bounds directory.returned: when half of a network comes back, the
// rest of it learns from those.
const maxReturned = 32

// entry is one member. What is in it was copied from memberlist under its lock:
// its own records change at any time.
type entry struct {
	member     Member
	generation int64
	// ledTerm is the highest term that the process of this generation is known
	// to have led in.
	ledTerm uint64
	address netip.AddrPort
	// pmax is the highest version of memberlist's protocol that it speaks.
	pmax    uint8
	changed time.Time
	// claimed is where another process has claimed to be this member: most often
	// it is the same member, which came back elsewhere.
	claimed netip.AddrPort
}

// leader is the leader of the highest term that was heard of.
type leader struct {
	term   uint64
	id     string
	member Member
}

func newDirectory(localName, clusterID string, remember time.Duration, log *slog.Logger) *directory {
	return &directory{
		log:       log,
		remember:  remember,
		localName: localName,
		agent:     strings.HasPrefix(localName, agentPrefix),
		clusterID: clusterID,
		entries:   map[string]*entry{},
		conflicts: map[string]time.Time{},
		returned:  map[netip.AddrPort]struct{}{},
		watchers:  map[chan struct{}]struct{}{},
	}
}

// admit returns why a node may not be a member, nil when it may.
func (d *directory) admit(node *memberlist.Node) error {
	if node.Name == d.localName {
		return nil
	}
	role, id, err := parseNodeName(node.Name)
	if err != nil {
		return fmt.Errorf("refuse member at %s: %w", node.Address(), err)
	}
	told, err := decodeMetadata(node.Meta)
	if err != nil {
		return fmt.Errorf("refuse %s %s at %s: %w", role, id, node.Address(), err)
	}
	member := told.member
	member.Role = role
	d.lock.Lock()
	own, incarnation, ours := d.clusterID, d.incarnation, d.ours(member)
	d.lock.Unlock()
	if !sameCluster(own, told.member.ClusterID) {
		return fmt.Errorf("refuse %s %s at %s: %w: it belongs to cluster %s, this node to %s; "+
			"point its --join elsewhere, or give one of the clusters another --cluster name",
			role, id, node.Address(), ErrAnotherCluster, told.member.ClusterID, own)
	}
	if !ours {
		return fmt.Errorf("refuse %s %s at %s: %w: it is of incarnation %s, this node of %s; "+
			"the cluster was recovered since: give what was left behind an empty data directory and --join",
			role, id, node.Address(), ErrAnotherIncarnation,
			argosyv1.DescribeIncarnation(member.Incarnation), argosyv1.DescribeIncarnation(incarnation))
	}
	return nil
}

// ours tells whether a member is of this node's cluster and incarnation. An
// agent goes on to a higher incarnation, and never back to a lower one. The lock
// is held.
func (d *directory) ours(member Member) bool {
	switch {
	case !sameCluster(d.clusterID, member.ClusterID):
		return false
	case d.clusterID == "" || member.ClusterID == "" || member.Role != RoleServer || member.Incarnation == d.incarnation:
		return true
	}
	return d.agent && argosyv1.IncarnationNumber(member.Incarnation) > argosyv1.IncarnationNumber(d.incarnation)
}

// sameCluster tells whether two members may be of one cluster: one that does
// not know its cluster may be of any.
func sameCluster(a, b string) bool { return a == "" || b == "" || a == b }

// put takes over what memberlist says of a node that lives. joined tells that it
// was not there, or dead, before.
func (d *directory) put(node *memberlist.Node, joined bool) {
	role, id, err := parseNodeName(node.Name)
	if err != nil {
		return
	}
	told, err := decodeMetadata(node.Meta)
	if err != nil {
		return
	}
	member := told.member
	member.ID, member.Role, member.Alive = id, role, true
	member.GossipAddress = node.Address()
	address, _ := netip.ParseAddrPort(member.GossipAddress)

	d.lock.Lock()
	defer d.lock.Unlock()
	next := &entry{
		member:     member,
		generation: told.generation,
		ledTerm:    told.term,
		address:    address,
		pmax:       node.PMax,
		changed:    time.Now(),
	}
	before, known := d.entries[node.Name]
	if known && before.generation == told.generation {
		if before.ledTerm > told.term {
			// The datagram of the new leader was faster than its metadata.
			next.ledTerm = before.ledTerm
			next.member.LeadingTerm = before.member.LeadingTerm
		}
		if before.member.Left {
			return // What it said before its farewell was slower.
		}
	}
	d.entries[node.Name] = next
	if role == RoleServer && told.leading {
		d.observeLeader(told.term, member)
	}
	if joined && node.Name != d.localName {
		d.log.Info("member joined", memberAttrs(member)...)
		if known && !before.member.Alive && len(d.returned) < maxReturned {
			d.returned[address] = struct{}{}
		}
	}
	d.prune()
	d.signal()
}

// remove notes that a node is gone. memberlist does not say whether it died or
// left; one that left has said farewell before.
func (d *directory) remove(node *memberlist.Node) {
	d.lock.Lock()
	defer d.lock.Unlock()
	known, ok := d.entries[node.Name]
	if !ok {
		return
	}
	if known.claimed.IsValid() {
		// Its word was not taken while the former process was thought to live.
		d.returned[known.claimed] = struct{}{}
		d.signal()
	}
	if !known.member.Alive {
		return
	}
	known.member.Alive = false
	known.changed = time.Now()
	if node.Name != d.localName {
		d.log.Warn("member failed", memberAttrs(known.member)...)
	}
	d.signal()
}

// farewell notes that a process is about to leave.
func (d *directory) farewell(nodeName string, generation int64) {
	d.lock.Lock()
	defer d.lock.Unlock()
	known, ok := d.entries[nodeName]
	if !ok || known.generation != generation || known.member.Left || nodeName == d.localName {
		return
	}
	known.member.Alive, known.member.Left = false, true
	known.changed = time.Now()
	d.log.Info("member left", memberAttrs(known.member)...)
	d.signal()
}

// announced takes the word of a leader. It returns false when the word is from
// another cluster.
func (d *directory) announced(clusterID string, term uint64, member Member) bool {
	d.lock.Lock()
	defer d.lock.Unlock()
	member.Role, member.ClusterID, member.Alive, member.LeadingTerm = RoleServer, clusterID, true, term
	if !d.ours(member) {
		return false
	}
	if known, ok := d.entries[member.nodeName()]; ok && term > known.ledTerm {
		known.ledTerm = term
		known.member.LeadingTerm = term
	}
	if d.observeLeader(term, member) {
		d.signal()
	}
	return true
}

// observeLeader keeps the leader of the highest term of the highest incarnation.
// The lock is held.
func (d *directory) observeLeader(term uint64, member Member) bool {
	known := argosyv1.IncarnationNumber(d.leader.member.Incarnation)
	heard := argosyv1.IncarnationNumber(member.Incarnation)
	switch {
	case term == 0 || heard < known || !d.ours(member):
		return false
	case heard > known:
	case term < d.leader.term:
		return false
	case term == d.leader.term && member.ID != d.leader.id:
		d.warnOnce("two servers claim to lead in one term, the first one is believed",
			"term", term, "first", d.leader.id, "second", member.ID)
		return false
	case term == d.leader.term:
		d.leader.member = member
		return false
	}
	d.leader = leader{term, member.ID, member}
	d.log.Info("leader announced", "id", member.ID, "term", term, "api", member.APIAddress)
	return true
}

// current returns the leader of the highest term heard of.
func (d *directory) current() (Member, uint64, bool) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.leader.term == 0 {
		return Member{}, 0, false
	}
	if known, ok := d.entries[d.leader.member.nodeName()]; ok {
		return known.member, d.leader.term, true
	}
	return d.leader.member, d.leader.term, true
}

// setCluster changes what incarnation of what cluster this node belongs to, and
// forgets what it knew of another one.
func (d *directory) setCluster(id, incarnation string) {
	d.lock.Lock()
	defer d.lock.Unlock()
	d.clusterID, d.incarnation = id, incarnation
	if !d.ours(d.leader.member) {
		d.leader = leader{}
	}
	d.signal()
}

// list returns all members, those of other clusters excepted. They can be there
// when this node learned its cluster's id after it had met them.
func (d *directory) list() []Member {
	d.lock.Lock()
	defer d.lock.Unlock()
	d.prune()
	members := make([]Member, 0, len(d.entries))
	for _, known := range d.entries {
		if d.ours(known.member) {
			members = append(members, known.member)
		}
	}
	sortMembers(members)
	return members
}

// targets returns the nodes to tell something directly: all live ones but this
// one, servers first.
func (d *directory) targets() []*memberlist.Node {
	d.lock.Lock()
	defer d.lock.Unlock()
	var servers, agents []*memberlist.Node
	for name, known := range d.entries {
		if name == d.localName || !known.member.Alive || !known.address.IsValid() ||
			!d.ours(known.member) {
			continue
		}
		node := &memberlist.Node{
			Name: name,
			Addr: known.address.Addr().AsSlice(),
			Port: known.address.Port(),
			PMax: known.pmax,
		}
		if known.member.Role == RoleServer {
			servers = append(servers, node)
		} else {
			agents = append(agents, node)
		}
	}
	return append(servers, agents...)
}

// conflict notes that two processes claim one id.
func (d *directory) conflict(existing, other *memberlist.Node) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if existing.Name == d.localName {
		d.ownConflicts++
		d.claim(other)
		d.signal()
		d.warnOnce("the id of this node is in use at another address: "+
			"if that is this node's former process, the others will notice in a moment; "+
			"if it is another process, give one of them another name",
			"node", existing.Name, "own", existing.Address(), "other", other.Address())
		return
	}
	if known, ok := d.entries[existing.Name]; ok {
		known.claimed, _ = netip.ParseAddrPort(other.Address())
	}
	d.warnOnce("two members claim one id, the first one is kept while it lives",
		"node", existing.Name, "first", existing.Address(), "second", other.Address())
}

// claim remembers who claims to be this node. The lock is held.
func (d *directory) claim(other *memberlist.Node) {
	told, err := decodeMetadata(other.Meta)
	if err != nil {
		return
	}
	d.rival = told.member
	d.rival.GossipAddress = other.Address()
	d.rival.Role, d.rival.ID, _ = parseNodeName(other.Name)
}

// claimed returns who claims to be this node, false when nobody does.
func (d *directory) claimed() (Member, bool) {
	d.lock.Lock()
	defer d.lock.Unlock()
	return d.rival, d.rival.GossipAddress != ""
}

// warnOnce logs what would otherwise be logged with every packet. The lock is
// held.
func (d *directory) warnOnce(text string, attrs ...any) {
	key := fmt.Sprint(append([]any{text}, attrs...)...)
	now := time.Now()
	if said, ok := d.conflicts[key]; ok && now.Sub(said) < 10*logRepeat {
		return
	}
	if len(d.conflicts) >= logBacklog {
		clear(d.conflicts)
	}
	d.conflicts[key] = now
	d.log.Warn(text, attrs...)
}

// prune forgets who is gone for long. The lock is held.
func (d *directory) prune() {
	now := time.Now()
	for name, known := range d.entries {
		if !known.member.Alive && now.Sub(known.changed) > d.remember {
			delete(d.entries, name)
		}
	}
}

// survey is what the joiner has to know.
type survey struct {
	// live has the addresses of all live nodes, this one included.
	live map[netip.AddrPort]struct{}
	// peers are the live nodes but this one, servers first.
	peers []netip.AddrPort
	// lostServers and lostAgents did not leave, but are not there.
	lostServers, lostAgents []netip.AddrPort
	// returned are nodes that were gone and are back.
	returned []netip.AddrPort
	// ownConflicts counts how often this node was taken for one elsewhere.
	ownConflicts int
}

func (s survey) alone() bool { return len(s.peers) == 0 }

func (s survey) lost() int { return len(s.lostServers) + len(s.lostAgents) }

func (d *directory) survey() survey {
	d.lock.Lock()
	defer d.lock.Unlock()
	d.prune()
	result := survey{
		live:         map[netip.AddrPort]struct{}{},
		returned:     slices.Collect(maps.Keys(d.returned)),
		ownConflicts: d.ownConflicts,
	}
	var agents []netip.AddrPort
	for name, known := range d.entries {
		server := known.member.Role == RoleServer
		switch {
		case !d.ours(known.member):
		case known.member.Alive:
			result.live[known.address] = struct{}{}
			if name == d.localName {
				continue
			}
			if server {
				result.peers = append(result.peers, known.address)
			} else {
				agents = append(agents, known.address)
			}
		case known.member.Left:
		case server:
			result.lostServers = append(result.lostServers, known.address)
		default:
			result.lostAgents = append(result.lostAgents, known.address)
		}
	}
	result.peers = append(result.peers, agents...)
	return result
}

// greeted notes that nodes which had returned need nothing more.
func (d *directory) greeted(addresses []netip.AddrPort) {
	d.lock.Lock()
	defer d.lock.Unlock()
	for _, address := range addresses {
		delete(d.returned, address)
	}
}

// watch returns a channel that gets a value when something has changed since the
// last one was taken.
func (d *directory) watch() (<-chan struct{}, func()) {
	changed := make(chan struct{}, 1)
	d.lock.Lock()
	defer d.lock.Unlock()
	d.watchers[changed] = struct{}{}
	return changed, func() {
		d.lock.Lock()
		defer d.lock.Unlock()
		delete(d.watchers, changed)
	}
}

// signal wakes all watchers. The lock is held.
func (d *directory) signal() {
	for changed := range d.watchers {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

func memberAttrs(member Member) []any {
	return []any{
		"role", member.Role.String(),
		"id", member.ID,
		"name", cmp.Or(member.Name, member.ID),
		"gossip", member.GossipAddress,
	}
}
