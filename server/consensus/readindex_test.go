package consensus

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/argosy-cluster/argosy/network"
)

func TestReadIndexCoversEveryWriteBeforeIt(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	for range 50 {
		wrote := mustWrite(t, leader, "x")
		read, term, err := leader.ReadIndex(deadline(t))
		if err != nil || read < wrote || term != leader.Leadership().Term {
			t.Fatalf("after a write at %d: read index %d in term %d, error %v", wrote, read, term, err)
		}
		for _, m := range c.members {
			if err := m.machine.WaitApplied(deadline(t), read); err != nil {
				t.Fatalf("%s cannot wait for %d: %v", m.name, read, err)
			}
		}
	}
}

func TestReadIndexIsOneThatTheMachineReaches(t *testing.T) {
	c := mustFound(t, 3)
	mustWrite(t, c.mustLead(), "the last write")
	// Each election appends entries that no machine sees.
	for range 3 {
		leader := c.mustLead()
		read, _, err := leader.ReadIndex(deadline(t))
		if err != nil {
			continue // it lost leadership again
		}
		for _, m := range c.members {
			if err := m.machine.WaitApplied(deadline(t), read); err != nil {
				t.Fatalf("%s cannot wait for %d: %v", m.name, read, err)
			}
		}
		if err := leader.TransferLeadership(deadline(t), ""); err != nil {
			t.Logf("%v", err)
		}
	}
}

func TestFollowerHasNoReadIndex(t *testing.T) {
	c := mustFound(t, 3)
	for _, m := range c.followers(c.mustLead()) {
		if _, _, err := m.ReadIndex(deadline(t)); !errors.Is(err, ErrNotLeader) {
			t.Errorf("read index on %s: %v", m.name, err)
		}
		if err := m.VerifyLeader(deadline(t)); !errors.Is(err, ErrNotLeader) {
			t.Errorf("verify leader on %s: %v", m.name, err)
		}
	}
}

func TestReadersShareRounds(t *testing.T) {
	c := mustFound(t, 3)
	leader := c.mustLead()
	var readers sync.WaitGroup
	for range 200 {
		readers.Go(func() {
			if _, _, err := leader.ReadIndex(deadline(t)); err != nil {
				t.Errorf("read index: %v", err)
			}
		})
	}
	readers.Wait()
}

// TestDeposedLeaderServesNoRead pauses a leader that is being read from, as
// SIGSTOP would: its followers' answers to old messages wait in its
// connections, and its main loop does not notice that time passes. It goes on
// after its successor has acknowledged a write.
func TestDeposedLeaderServesNoRead(t *testing.T) {
	c := mustFound(t, 3)
	for round := range 3 {
		old := c.mustLead()
		mustWrite(t, old, "before")

		// Readers keep messages to the followers under way all the time.
		ctx, cancel := context.WithCancel(context.Background())
		var readers sync.WaitGroup
		var wrote atomic.Uint64 // index of the successor's write, once acknowledged
		for range 4 {
			readers.Go(func() {
				for ctx.Err() == nil {
					least := wrote.Load()
					if read, _, err := old.ReadIndex(ctx); err == nil && read < least {
						t.Errorf("round %d: read index %d on the old leader after a write at %d", round, read, least)
						return
					}
				}
			})
		}
		goOn := pauseMainLoop(t, old)
		c.fabric.freeze(old.name)
		next := c.mustLead()
		wrote.Store(mustWrite(t, next, "after"))
		// Readers that come now wait for the main loop.
		eventually(t, "somebody asks again", func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			_, _, err := old.ReadIndex(ctx)
			return err != nil
		})
		c.fabric.thaw(old.name)
		goOn()
		eventually(t, "the old leader follows", func() bool { return old.Leadership().LeaderID == next.ID() })
		cancel()
		readers.Wait()
	}
}

// pauseMainLoop stops a node's Raft main loop until the returned function is
// called.
func pauseMainLoop(t *testing.T, m *member) (goOn func()) {
	t.Helper()
	paused, resumed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	observer := raft.NewObserver(nil, false, func(o *raft.Observation) bool {
		if _, ok := o.Data.(raft.RequestVoteRequest); ok {
			once.Do(func() {
				close(paused)
				<-resumed
			})
		}
		return false
	})
	m.raft.RegisterObserver(observer)
	go func() {
		_ = m.transport.inject(context.Background(), func() []raft.WithRPCHeader {
			return []raft.WithRPCHeader{&raft.RequestVoteRequest{RPCHeader: m.header()}}
		})
	}()
	<-paused
	return func() {
		close(resumed)
		m.raft.DeregisterObserver(observer)
	}
}

// TestRaftsOwnVerificationIsNotEnough shows the gap that confirm closes: Raft
// takes answers that a leader reads after the question for answers to it.
func TestRaftsOwnVerificationIsNotEnough(t *testing.T) {
	c := newCluster(t)
	gates := make(map[string]*answerGate)
	c.wrap = func(name string, streams network.Streams) network.Streams {
		gates[name] = newAnswerGate()
		return gates[name].wrap(streams)
	}
	c.mustFound(3)
	eventually(t, "Raft is misled while leadership holds", func() bool {
		leader := c.mustLead()
		gate := gates[leader.name]
		term := leader.Leadership().Term
		// Every answer of the followers waits in the leader's connections.
		gate.hold()
		defer gate.open()
		eventually(t, "answers wait", func() bool { return gate.waiting() >= 2 })

		confirmed := make(chan error, 1)
		go func() { confirmed <- leader.confirm(deadline(t), term) }()
		verified := make(chan error, 1)
		future := leader.raft.VerifyLeader()
		go func() { verified <- future.Error() }()
		limit := time.After(leader.cfg.Timing.Lease / 2)
		gate.pass() // only what was asked before
		select {
		case err := <-verified:
			if err != nil {
				<-confirmed
				return false // too slow: leadership was lost
			}
		case <-limit:
			gate.open()
			<-verified
			<-confirmed
			return false
		}
		select {
		case err := <-confirmed:
			if err == nil {
				t.Fatal("confirmed by answers to messages from before")
			}
			return false
		default:
		}
		gate.open()
		return <-confirmed == nil
	})
}

// answerGate holds back what a server reads from connections that it opened.
type answerGate struct {
	mu     sync.Mutex
	holds  bool
	inside map[chan struct{}]struct{}
}

func newAnswerGate() *answerGate { return &answerGate{inside: make(map[chan struct{}]struct{})} }

func (g *answerGate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holds = true
}

func (g *answerGate) open() {
	g.mu.Lock()
	g.holds = false
	g.mu.Unlock()
	g.pass()
}

// pass lets through what waits now, and nothing that comes later.
func (g *answerGate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for held := range g.inside {
		close(held)
	}
	clear(g.inside)
}

func (g *answerGate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.inside)
}

func (g *answerGate) wait() {
	g.mu.Lock()
	if !g.holds {
		g.mu.Unlock()
		return
	}
	held := make(chan struct{})
	g.inside[held] = struct{}{}
	g.mu.Unlock()
	<-held
}

func (g *answerGate) wrap(streams network.Streams) network.Streams {
	return bent{listen: streams.Listen, dial: func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := streams.Dial(ctx, address)
		if err != nil {
			return nil, err
		}
		return gatedConn{conn, g}, nil
	}}
}

type gatedConn struct {
	net.Conn
	gate *answerGate
}

func (c gatedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.gate.wait()
	return n, err
}

// TestAnswersFromBeforeProveNothing is the same in small: of the answers that
// come in after the question, only those to messages from after it count.
func TestAnswersFromBeforeProveNothing(t *testing.T) {
	p := newProgress()
	voters := []raft.ServerID{"a", "b", "c"}
	asked := time.Unix(1000, 0)
	follows := func(id raft.ServerID, sent time.Time, term, answered uint64) {
		p.note(id, sent, &raft.AppendEntriesRequest{Term: term}, &raft.AppendEntriesResponse{Term: answered, Success: answered <= term})
	}
	confirmed := func() bool { return p.confirmed("a", voters, 5, asked) }

	follows("b", asked.Add(-time.Millisecond), 5, 5)
	if confirmed() {
		t.Fatal("an answer to a message from before counts")
	}
	follows("b", asked.Add(time.Millisecond), 4, 4)
	if confirmed() {
		t.Fatal("an answer in an older term counts")
	}
	follows("b", asked.Add(time.Millisecond), 5, 6)
	if confirmed() {
		t.Fatal("an answer of a server in a newer term counts")
	}
	changed := p.wait()
	follows("c", asked, 5, 5)
	if !confirmed() {
		t.Fatal("a majority is not enough")
	}
	<-changed
	if p.confirmed("a", []raft.ServerID{"a", "b", "c", "d", "e"}, 5, asked) {
		t.Fatal("two of five are enough")
	}
	if !p.confirmed("a", []raft.ServerID{"a"}, 5, asked) {
		t.Fatal("one of one is not enough")
	}
}

func TestProgressKnowsHowFarAFollowerIs(t *testing.T) {
	p := newProgress()
	now := time.Now()
	answer := &raft.AppendEntriesResponse{Term: 5, Success: true}
	p.note("b", now, &raft.AppendEntriesRequest{Term: 5, PrevLogEntry: 7, Entries: []*raft.Log{{Index: 8}, {Index: 9}}}, answer)
	p.note("b", now, &raft.AppendEntriesRequest{Term: 5}, answer) // a heartbeat
	if got, ok := p.of("b", 5); !ok || got.match != 9 {
		t.Fatalf("follower is at %d, want 9", got.match)
	}
	p.note("b", now, &raft.AppendEntriesRequest{Term: 5, PrevLogEntry: 20}, &raft.AppendEntriesResponse{Term: 5})
	if got, _ := p.of("b", 5); got.match != 9 {
		t.Fatalf("refused entries count: follower is at %d", got.match)
	}
	if _, ok := p.of("b", 6); ok {
		t.Fatal("what was true in another term is told for this one")
	}
}
