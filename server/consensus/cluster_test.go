package consensus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
	"go.uber.org/goleak"

	"github.com/argosy-cluster/argosy/network"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestMain(m *testing.M) {
	if plan := os.Getenv(memberEnv); plan != "" {
		runMember(plan)
		return
	}
	goleak.VerifyTestMain(m)
}

// counter is a machine that remembers what was applied to it, in order.
type counter struct {
	mu      sync.Mutex
	entries []string
	applied uint64
	moved   chan struct{}
	failed  chan struct{}
	failure error
	refusal error  // of Restore
	taking  func() // told of each Restore; may be nil
}

var _ Machine = (*counter)(nil)

func newCounter() *counter {
	return &counter{moved: make(chan struct{}), failed: make(chan struct{})}
}

func (c *counter) advance(index uint64) {
	c.applied = index
	close(c.moved)
	c.moved = make(chan struct{})
}

func (c *counter) Apply(entry *raft.Log) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = append(c.entries, string(entry.Data))
	c.advance(entry.Index)
	return len(c.entries)
}

func (c *counter) StoreConfiguration(index uint64, _ raft.Configuration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(index)
}

func (c *counter) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.entries...)
}

func (c *counter) Applied() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.applied
}

func (c *counter) WaitApplied(ctx context.Context, index uint64) error {
	for {
		c.mu.Lock()
		applied, moved := c.applied, c.moved
		c.mu.Unlock()
		if applied >= index {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *counter) Failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

func (c *counter) FailedC() <-chan struct{} { return c.failed }

func (c *counter) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
	close(c.failed)
}

// refuse makes the counter restore nothing.
func (c *counter) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusal = err
}

// whenTaking has the counter call something at each Restore.
func (c *counter) whenTaking(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taking = do
}

type counterSnapshot struct {
	applied uint64
	entries []string
}

func (c *counter) Snapshot() (raft.FSMSnapshot, error) {
	return &counterSnapshot{applied: c.Applied(), entries: c.all()}, nil
}

func (s *counterSnapshot) Release() {}

func (s *counterSnapshot) Persist(sink raft.SnapshotSink) error {
	text := binary.BigEndian.AppendUint64(nil, s.applied)
	for _, entry := range s.entries {
		text = binary.BigEndian.AppendUint32(text, uint32(len(entry)))
		text = append(text, entry...)
	}
	if _, err := sink.Write(text); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (c *counter) Restore(from io.ReadCloser) error {
	text, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	var entries []string
	applied := binary.BigEndian.Uint64(text)
	for text = text[8:]; len(text) > 0; {
		size := binary.BigEndian.Uint32(text)
		entries = append(entries, string(text[4:4+size]))
		text = text[4+size:]
	}
	c.mu.Lock()
	taking := c.taking
	c.mu.Unlock()
	if taking != nil {
		taking()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusal != nil {
		return c.refusal
	}
	c.entries = entries
	c.advance(applied)
	return nil
}

// fabric is the network between the members of a test's cluster. A member that
// is frozen neither reads nor writes while its connections stay open, as a
// stopped process does; one that is cut off cannot be reached either.
type fabric struct {
	mu     sync.Mutex
	frozen map[string]chan struct{} // by member name; closed when thawed
}

func newFabric() *fabric { return &fabric{frozen: make(map[string]chan struct{})} }

func (f *fabric) freeze(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.frozen[name] == nil {
		f.frozen[name] = make(chan struct{})
	}
}

func (f *fabric) thaw(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ice := f.frozen[name]; ice != nil {
		close(ice)
		delete(f.frozen, name)
	}
}

func (f *fabric) ice(name string) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.frozen[name]
}

func (f *fabric) network(name string) network.Streams {
	system := systemNetwork()
	return bent{
		listen: func(ctx context.Context, address string) (net.Listener, error) {
			listener, err := system.Listen(ctx, address)
			if err != nil {
				return nil, err
			}
			return &fabricListener{listener, f, name}, nil
		},
		dial: func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := system.Dial(ctx, address)
			if err != nil {
				return nil, err
			}
			return newFabricConn(conn, f, name), nil
		},
	}
}

// bent is a network made of two functions.
type bent struct {
	listen func(ctx context.Context, address string) (net.Listener, error)
	dial   func(ctx context.Context, address string) (net.Conn, error)
}

func (b bent) Listen(ctx context.Context, address string) (net.Listener, error) {
	return b.listen(ctx, address)
}

func (b bent) Dial(ctx context.Context, address string) (net.Conn, error) {
	return b.dial(ctx, address)
}

type fabricListener struct {
	net.Listener
	fabric *fabric
	name   string
}

func (l *fabricListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newFabricConn(conn, l.fabric, l.name), nil
}

type fabricConn struct {
	net.Conn
	fabric *fabric
	name   string
	once   sync.Once
	closed chan struct{}
}

func newFabricConn(conn net.Conn, f *fabric, name string) *fabricConn {
	return &fabricConn{Conn: conn, fabric: f, name: name, closed: make(chan struct{})}
}

// wait waits while the member is frozen. Who is killed meanwhile never goes on.
func (c *fabricConn) wait() error {
	ice := c.fabric.ice(c.name)
	if ice == nil {
		return nil
	}
	select {
	case <-ice:
	case <-c.closed:
	}
	select {
	case <-c.closed:
		return net.ErrClosed
	default:
		return nil
	}
}

func (c *fabricConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if closed := c.wait(); closed != nil {
		return 0, closed
	}
	return n, err
}

func (c *fabricConn) Write(b []byte) (int, error) {
	if err := c.wait(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *fabricConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// member is one server of a test's cluster: its directory outlives its nodes.
type member struct {
	*Node
	name    string
	cfg     Config
	machine *counter
	events  atomic.Pointer[[]LeadershipEvent]
}

// cluster is a cluster of real nodes in this process.
type cluster struct {
	t         *testing.T
	fabric    *fabric
	id        string
	configure func(*Config)
	wrap      func(name string, streams network.Streams) network.Streams
	resolve   func(id string) string
	members   []*member

	// mu guards the members' nodes: they ask each other while one is opened.
	mu sync.Mutex
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return &cluster{t: t, fabric: newFabric(), id: uuid.NewString()}
}

// mustFound starts a cluster of n members and waits for its first leader.
func mustFound(t *testing.T, n int, configure ...func(*Config)) *cluster {
	t.Helper()
	c := newCluster(t)
	if len(configure) > 0 {
		c.configure = configure[0]
	}
	c.mustFound(n)
	return c
}

// mustFound starts the members and waits for their first leader.
func (c *cluster) mustFound(n int) {
	t := c.t
	t.Helper()
	var servers []Server
	for range n {
		m := c.mustAdd()
		servers = append(servers, Server{ID: m.ID(), RaftAddress: m.Address()})
	}
	for _, m := range c.members[1:] {
		if err := m.SetClusterID(c.id); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.members[0].Bootstrap(c.id, servers); err != nil {
		t.Fatal(err)
	}
	c.mustLead()
}

// mustAdd opens a member with an empty directory.
func (c *cluster) mustAdd() *member {
	c.t.Helper()
	cfg := DefaultConfig(c.t.TempDir(), "127.0.0.1:0")
	// Tests share their machine with others.
	cfg.Timing = LAN().Scale(4)
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	m := &member{name: fmt.Sprintf("m%d", len(c.members)), cfg: cfg}
	if c.configure != nil {
		c.configure(&m.cfg)
	}
	c.members = append(c.members, m)
	c.mustOpen(m)
	return m
}

// mustOpen opens a member's directory, at its former address if it had one.
func (c *cluster) mustOpen(m *member) {
	c.t.Helper()
	m.machine = newCounter()
	m.cfg.Network = c.fabric.network(m.name)
	if c.wrap != nil {
		m.cfg.Network = c.wrap(m.name, m.cfg.Network)
	}
	var node *Node
	eventually(c.t, m.name+" has its address", func() (free bool) {
		var err error
		node, err = Open(m.cfg, Deps{Machine: m.machine, Contact: c.contact(m), RaftAddress: c.resolve})
		if errors.Is(err, syscall.EADDRINUSE) {
			return false // another process of this machine was given its port meanwhile
		}
		if err != nil {
			c.t.Fatal(err)
		}
		return true
	})
	c.mu.Lock()
	m.Node = node
	c.mu.Unlock()
	m.cfg.RaftAddress = node.Address()
	c.t.Cleanup(func() { c.crash(m) })
}

// crash stops a member as a kill would: its connections break first.
func (c *cluster) crash(m *member) {
	if m.Node == nil || m.stopped() {
		return
	}
	_ = m.layer.Close()
	c.fabric.thaw(m.name)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m.stopOnce.Do(func() { m.stopErr = m.stop(ctx, false) })
	if m.stopErr != nil {
		c.t.Errorf("crash %s: %v", m.name, m.stopErr)
	}
}

// contact is the peer API between members.
func (c *cluster) contact(from *member) func(context.Context, string, *argosyv1.ContactRequest) (*argosyv1.ContactResponse, error) {
	return func(ctx context.Context, id string, request *argosyv1.ContactRequest) (*argosyv1.ContactResponse, error) {
		for _, m := range c.members {
			c.mu.Lock()
			node := m.Node
			c.mu.Unlock()
			if node == nil || node.ID() != id {
				continue
			}
			if node.stopped() {
				return nil, syscall.ECONNREFUSED
			}
			if c.fabric.ice(m.name) != nil || c.fabric.ice(from.name) != nil {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return node.HandleContact(request), nil
		}
		return nil, fmt.Errorf("no server %s", id)
	}
}

func (c *cluster) alive() []*member {
	var alive []*member
	for _, m := range c.members {
		if m.Node != nil && !m.stopped() && c.fabric.ice(m.name) == nil {
			alive = append(alive, m)
		}
	}
	return alive
}

// mustLead waits until one of the members that are alive leads and has applied
// everything, and returns it.
func (c *cluster) mustLead() *member {
	c.t.Helper()
	var leader *member
	eventually(c.t, "somebody leads", func() bool {
		for _, m := range c.alive() {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			_, _, err := m.ReadIndex(ctx)
			cancel()
			if err == nil {
				leader = m
				return true
			}
		}
		return false
	})
	return leader
}

func (c *cluster) followers(leader *member) []*member {
	var followers []*member
	for _, m := range c.members {
		if m != leader {
			followers = append(followers, m)
		}
	}
	return followers
}

// mustWrite proposes an entry on a member and waits for it.
func mustWrite(t *testing.T, m *member, text string) uint64 {
	t.Helper()
	index, _, err := m.Propose([]byte(text)).Wait(deadline(t))
	if err != nil {
		t.Fatalf("write %q: %v", text, err)
	}
	return index
}

// mustHave waits until a member has applied exactly these entries.
func mustHave(t *testing.T, m *member, want ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s has applied %q", m.name, want), func() bool {
		return fmt.Sprint(m.machine.all()) == fmt.Sprint(want)
	})
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}
