package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/argosy-cluster/argosy/chaos/fault"
	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/chaos/plan"
	"github.com/argosy-cluster/argosy/chaos/sim/fabric"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// world is everything in one bubble.
type world struct {
	plan   *plan.Plan
	dir    string
	log    slog.Handler
	record *history.Recorder
	clock  history.Clock
	fabric *fabric.Fabric
	ledger *fault.Ledger

	servers []*replica
	agents  []*node
	clients *fabric.Host

	// waiting is held by who waits until nothing happens.
	waiting chan struct{}
	// graves are lives that have not noticed yet that they are over.
	graves sync.WaitGroup
	// open ends when nothing is waited for any more, by close; comings are servers that
	// have not been seen to be level since they were down.
	open    context.Context
	close   context.CancelFunc
	comings sync.WaitGroup
	// patience is for how long that is waited for.
	patience time.Duration
	// returns are servers on their way back after their data was spoiled.
	returns sync.WaitGroup
	// stopping is set when nothing shall be started again.
	stopping atomic.Bool
	// upgraded is set when the newest version is installed: servers that are opened
	// from then on are of it.
	upgraded atomic.Bool

	mu       sync.Mutex
	problems []error
	reigns   map[string]uint64 // the term in which each leads, by name
}

// The hosts.
func serverAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}) }
func agentAddr(i int) netip.Addr  { return netip.AddrFrom4([4]byte{127, 0, 2, byte(i + 1)}) }

var clientAddr = netip.AddrFrom4([4]byte{127, 0, 3, 1})

// usualLink is how the network is when nothing is done to it, usualFlush how long
// a write to a disk takes on average.
var usualLink = fabric.Link{Delay: 200 * time.Microsecond, Jitter: 300 * time.Microsecond}

const usualFlush = time.Millisecond

func newWorld(p *plan.Plan, dir string, log slog.Handler, record *history.Recorder) *world {
	random := rand.New(rand.NewPCG(p.Seed, 1))
	w := &world{
		plan: p, dir: dir, log: log, record: record, clock: history.ClockSince(time.Now()),
		fabric: fabric.New(rand.New(rand.NewPCG(p.Seed, 2)), usualLink), waiting: make(chan struct{}, 1), reigns: map[string]uint64{},
	}
	w.open, w.close = context.WithCancel(context.Background())
	w.patience = returnLimit
	var names []string
	for i := range p.Settings.Servers {
		r := &replica{world: w, name: fmt.Sprint("server-", i+1), addr: serverAddr(i)}
		r.disk = newDisk(rand.New(rand.NewPCG(random.Uint64(), 3)), usualFlush)
		r.dir = w.dataDir(r.name, 0)
		r.level.Store(argosyv1.FeatureLevel)
		if old := p.Settings.OldLevel; old > 0 {
			r.level.Store(old)
			record.Level(history.Level{Server: r.name, At: w.clock(), Knows: old})
		}
		w.servers = append(w.servers, r)
		names = append(names, r.name)
	}
	w.ledger = fault.NewLedger(names)
	for _, r := range w.servers {
		r.absence = fault.NewAbsence(w.ledger, r.name)
	}
	return w
}

// start brings everything up; the agents' workloads are on a stage.
func (w *world) start(s *stage) {
	w.clients = w.fabric.Boot(clientAddr)
	for _, r := range w.servers {
		r.start()
	}
	for i := range w.plan.Settings.Agents {
		n := &node{world: w, name: fmt.Sprint("agent-", i+1), addr: agentAddr(i), machine: newMachine(s)}
		n.dir = w.dataDir(n.name, 0)
		w.agents = append(w.agents, n)
		n.start()
	}
}

// stop stops everything in order and waits for the dead.
func (w *world) stop() {
	w.stopping.Store(true)
	w.close()
	var stops sync.WaitGroup
	for _, n := range w.agents {
		stops.Go(func() { w.fail(n.halt()) })
	}
	stops.Wait()
	for _, r := range w.servers {
		stops.Go(func() { w.fail(r.halt()) })
	}
	stops.Wait()
	w.clients.Die(false)
	w.graves.Wait()
	w.comings.Wait()
}

// fail notes what went wrong with the simulation itself, or with a process that
// ended when it should not.
func (w *world) fail(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, err)
}

func (w *world) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.problems...)
}

// still does something at a moment at which nothing happens: nobody is in the
// middle of writing a file.
func (w *world) still(do func() error) error {
	w.waiting <- struct{}{}
	defer func() { <-w.waiting }()
	synctest.Wait()
	return do()
}

// led notes who leads.
func (w *world) led(l history.Leadership) {
	w.record.Leadership(l)
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.Gained {
		w.reigns[l.Server] = l.Term
	} else if w.reigns[l.Server] == l.Term {
		delete(w.reigns, l.Server)
	}
}

// buried notes that who is down does not lead.
func (w *world) buried(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.reigns, name)
}

// leader returns who leads in the highest term, nil when nobody does.
func (w *world) leader() *replica {
	w.mu.Lock()
	defer w.mu.Unlock()
	var leader *replica
	var highest uint64
	for _, r := range w.servers {
		if term, leads := w.reigns[r.name]; leads && term > highest {
			leader, highest = r, term
		}
	}
	return leader
}

// endpoints are the APIs of all servers.
func (w *world) endpoints() []string {
	var endpoints []string
	for _, r := range w.servers {
		endpoints = append(endpoints, r.endpoint())
	}
	return endpoints
}

// connect makes a client; of all servers when none is named.
func (w *world) connect(endpoints ...string) (*client.Client, error) {
	if len(endpoints) == 0 {
		endpoints = w.endpoints()
	}
	return client.New(client.Config{Endpoints: endpoints, Dial: w.clients.Dial})
}

// level waits until every server has applied everything. An agent that has ended is
// an error.
func (w *world) level(ctx context.Context, cl *client.Client) error {
	for {
		last := w.lag(ctx, cl)
		if last == nil {
			return nil
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return fmt.Errorf("wait until all are level: %w; last: %w", context.Cause(ctx), last)
		}
	}
}

// lag tells who is behind.
func (w *world) lag(ctx context.Context, cl *client.Client) error {
	for _, n := range w.agents {
		if err := n.up(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	state, err := cl.GetState(ctx, &argosyv1.GetStateRequest{OmitStates: true})
	if err != nil {
		return err
	}
	revision := state.GetHeader().GetRevision()
	for _, r := range w.servers {
		status, err := cl.StatusOf(ctx, r.endpoint())
		if err != nil {
			return fmt.Errorf("ask %s: %w", r.name, err)
		}
		if at := status.GetHeader().GetRevision(); at < revision {
			return fmt.Errorf("%s has applied %d of %d", r.name, at, revision)
		}
	}
	return nil
}
