package traffic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/argosy-cluster/argosy/chaos/history"
	"github.com/argosy-cluster/argosy/client"
)

// Traffic is what clients ask of a cluster.
type Traffic struct {
	config Config
	// pinned are the ways to each server alone.
	pinned  []way
	clients []*client.Client
	// mine are the names of all objects of the load, running those of its probes.
	mine, running map[string]struct{}
	names, probes []string
	// askers are the names of the workloads that ask their agents.
	askers      []string
	watchers    []*watcher
	subscribers []*subscriber
	counts      counts

	cancel context.CancelFunc
	// calm is closed when changers shall end, quiet when readers shall.
	calm, quiet         chan struct{}
	calming, quieting   sync.Once
	closing             sync.Once
	changers, questions sync.WaitGroup
	streams             sync.WaitGroup
	// last is the highest revision at which something was changed, as was
	// acknowledged.
	last atomic.Uint64
	// settler is who looks at everything in the end.
	settler *session
}

type counts struct{ acknowledged, reads, failed, sights, lines atomic.Int64 }

// Counts is how much traffic there was.
type Counts struct {
	// Acknowledged writes, answered Reads, and calls of both sorts that Failed.
	Acknowledged, Reads, Failed int64
	// Sights are messages of watches, Lines those that were followed.
	Sights, Lines int64
}

// Counts tells how much there was so far.
func (t *Traffic) Counts() Counts {
	return Counts{
		Acknowledged: t.counts.acknowledged.Load(), Reads: t.counts.reads.Load(),
		Failed: t.counts.failed.Load(), Sights: t.counts.sights.Load(), Lines: t.counts.lines.Load(),
	}
}

// Objects are the names of all objects of the load, probes too.
func (t *Traffic) Objects() []string { return t.names }

// Probes are the names of the workloads that run, and of those that ask their agents.
func (t *Traffic) Probes() []string { return slices.Concat(t.probes, t.askers) }

func (t *Traffic) count(op *history.Operation) {
	write := op.Action == history.Apply || op.Action == history.Delete
	switch {
	case op.Outcome != history.Done:
		t.counts.failed.Add(1)
	case write:
		t.counts.acknowledged.Add(1)
	default:
		t.counts.reads.Add(1)
	}
	if write && op.Outcome == history.Done && changed(op) {
		t.raise(op.Revision)
	}
}

// raise notes that something was changed at a revision.
func (t *Traffic) raise(revision uint64) {
	for last := t.last.Load(); revision > last && !t.last.CompareAndSwap(last, revision); last = t.last.Load() {
	}
}

// Start starts the traffic. It goes on until Settle, Stop or the end of the
// context, whatever becomes of the cluster.
func Start(ctx context.Context, config Config) (*Traffic, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &Traffic{
		config: config, cancel: cancel, calm: make(chan struct{}), quiet: make(chan struct{}),
		mine: map[string]struct{}{}, running: map[string]struct{}{},
	}
	if err := t.start(ctx); err != nil {
		t.Stop()
		return nil, fmt.Errorf("start traffic: %w", err)
	}
	return t, nil
}

func (t *Traffic) start(ctx context.Context) error {
	for _, server := range t.config.Servers {
		cl, err := t.connect(server.Endpoint)
		if err != nil {
			return err
		}
		t.pinned = append(t.pinned, way{cl, server.Name})
	}
	free, err := t.freeWays()
	if err != nil {
		return err
	}
	var begin []func()
	add := func(group *sync.WaitGroup, run func()) {
		begin = append(begin, func() { group.Go(run) })
	}
	l := t.config.Load
	for n := range l.Writers {
		names := t.own(writerObjects(n))
		s := t.session("writer", n, t.calm, free[n%len(free)])
		add(&t.changers, func() { s.writeAlong(ctx, names) })
	}
	if l.Rivals > 0 {
		names := t.own(rivalNames())
		for n := range l.Rivals {
			s := t.session("rival", n, t.calm, free[n%len(free)])
			add(&t.changers, func() { s.rivalAlong(ctx, names) })
		}
	}
	if l.Makers > 0 {
		shared := t.own(madeNames("shared"))
		for n := range l.Makers {
			names := append(t.own(madeNames(strconv.Itoa(n))), shared...)
			s := t.session("maker", n, t.calm, free[n%len(free)])
			add(&t.changers, func() { s.makeAlong(ctx, names) })
		}
	}
	if l.Appliers > 0 {
		shared := t.own(groupNames("shared"))
		for n := range l.Appliers {
			own := t.own(groupNames(strconv.Itoa(n)))
			s := t.session("applier", n, t.calm, free[n%len(free)])
			add(&t.changers, func() { s.applyAlong(ctx, own, shared) })
		}
	}
	t.addProbes(ctx, free, add)
	for n := range l.Couples {
		user := t.own([]string{history.UserName(n), history.BaseName(n)})[0]
		t.running[user], t.running[history.BaseName(n)] = struct{}{}, struct{}{}
		s := t.session("coupler", n, t.calm, free[n%len(free)])
		add(&t.changers, func() { s.coupleAlong(ctx, user, history.BaseName(n)) })
	}
	for n := range l.Configurers {
		names := t.own([]string{renderedName(n), history.ConfigName(n, 0), history.ConfigName(n, 1)})
		t.running[names[0]] = struct{}{}
		c := &configurer{t.session("configurer", n, t.calm, free[n%len(free)]), names[0], names[1:]}
		add(&t.changers, func() { c.configureAlong(ctx) })
	}
	for n := range l.Askers {
		names := t.own([]string{askerName(n), askedName(n)})
		t.running[names[0]] = struct{}{}
		t.askers = append(t.askers, names[0])
		p := &placer{t.session("asker-placer", n, t.calm, free[n%len(free)]), n, chain{name: names[0], known: true}}
		add(&t.changers, func() { p.placeAlong(ctx) })
	}
	for n := range l.Readers {
		s := t.session("reader", n, t.quiet, t.pinned[n%len(t.pinned)])
		add(&t.questions, func() { s.readAlong(ctx, t.names, false) })
	}
	for n := range l.StaleReaders {
		s := t.session("stale-reader", n, t.quiet, t.pinned[n%len(t.pinned)])
		add(&t.questions, func() { s.readAlong(ctx, t.names, true) })
	}
	for n := range l.Listers {
		s := t.session("lister", n, t.quiet, free[n%len(free)])
		add(&t.questions, func() { s.listAlong(ctx) })
	}
	for n := range l.Watchers {
		w := &watcher{session: *t.session("watcher", n, nil, free[n%len(free)]), free: n%3 == 2, observed: n%2 == 1}
		t.watchers = append(t.watchers, w)
		add(&t.streams, func() { w.watchAlong(ctx) })
	}
	for n := range l.Subscribers {
		s := &subscriber{session: *t.session("subscriber", n, nil, free[n%len(free)])}
		t.subscribers = append(t.subscribers, s)
		add(&t.streams, func() { s.subscribeAlong(ctx) })
	}
	t.settler = t.session("settler", 0, nil, free[0])
	if len(t.names) == 0 {
		return fmt.Errorf("%w: the load writes nothing", ErrConfig)
	}
	for _, b := range begin {
		b()
	}
	return nil
}

func (t *Traffic) addProbes(ctx context.Context, free []way, add func(*sync.WaitGroup, func())) {
	l := t.config.Load
	if l.Probes == 0 {
		return
	}
	shares := make([][]int, l.Movers)
	for n := range l.Probes {
		name := t.own([]string{probeName(n)})[0]
		t.running[name] = struct{}{}
		t.probes = append(t.probes, name)
		if moves(n) && l.Movers > 0 {
			shares[n/2%l.Movers] = append(shares[n/2%l.Movers], n)
		}
	}
	placer := t.session("placer", 0, t.calm, free[0])
	add(&t.changers, func() { placer.place(ctx) })
	for n, share := range shares {
		if len(share) > 0 {
			s := t.session("mover", n, t.calm, free[n%len(free)])
			add(&t.changers, func() { s.moveAlong(ctx, share) })
		}
	}
	for n := range l.LogFollowers {
		f := &follower{session: *t.session("follower", n, nil, free[n%len(free)])}
		add(&t.streams, func() { f.followAlong(ctx, t.probes) })
	}
}

func (t *Traffic) connect(endpoints ...string) (*client.Client, error) {
	cl, err := t.config.Connect(endpoints...)
	if err != nil {
		return nil, err
	}
	t.clients = append(t.clients, cl)
	return cl, nil
}

// freeWays are clients that go to any server, and to another one first each. There
// are twice as many as servers: sessions that share a client share its stream of
// writes.
func (t *Traffic) freeWays() ([]way, error) {
	var ways []way
	servers := t.config.Servers
	for i := range 2 * len(servers) {
		var endpoints []string
		for j := range servers {
			endpoints = append(endpoints, servers[(i+j)%len(servers)].Endpoint)
		}
		cl, err := t.connect(endpoints...)
		if err != nil {
			return nil, err
		}
		ways = append(ways, way{client: cl})
	}
	return ways, nil
}

func (t *Traffic) session(kind string, n int, stop <-chan struct{}, own way) *session {
	return &session{
		Traffic: t, name: fmt.Sprintf("%s-%d", kind, n), stop: stop, own: own,
		rand: rand.New(rand.NewPCG(t.config.Rand.Uint64(), t.config.Rand.Uint64())),
	}
}

// own notes the names of objects.
func (t *Traffic) own(names []string) []string {
	for _, name := range names {
		t.mine[name] = struct{}{}
	}
	t.names = append(t.names, names...)
	return names
}

// Settle lets the traffic come to rest: changers end after the call that they are
// making, everything is read once more at each server, and watchers see the last
// change. Readers and watchers go on until Stop. The cluster must be able to
// answer; the context bounds how long it is waited for.
func (t *Traffic) Settle(ctx context.Context) error {
	t.calming.Do(func() { close(t.calm) })
	if err := wait(ctx, &t.changers); err != nil {
		return fmt.Errorf("%w: changers do not end: %w", ErrUnsettled, err)
	}
	if err := t.quieten(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	for _, by := range append([]way{t.settler.own}, t.pinned...) {
		if err := t.look(ctx, by); err != nil {
			return fmt.Errorf("%w: %w", ErrUnsettled, err)
		}
	}
	return t.level(ctx)
}

// look reads everything until there is an answer.
func (t *Traffic) look(ctx context.Context, by way) error {
	for {
		op := t.settler.list(ctx, by, false)
		if op.Outcome == history.Done {
			for _, object := range op.Found {
				t.raise(object.Revision)
			}
			return nil
		}
		if !t.settler.pause(ctx, failurePause) {
			return fmt.Errorf("the last list at %q is not answered: %s: %w", by.server, op.Error, context.Cause(ctx))
		}
	}
}

// level waits until every watcher and subscriber has seen the last change.
func (t *Traffic) level(ctx context.Context) error {
	seen := map[string]*atomic.Uint64{}
	for _, w := range t.watchers {
		seen[w.name] = &w.seen
	}
	for _, s := range t.subscribers {
		seen[s.name] = &s.seen
	}
	ticker := time.NewTicker(failurePause)
	defer ticker.Stop()
	for name, seen := range seen {
		for seen.Load() < t.last.Load() {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return fmt.Errorf("%w: %s has seen everything up to revision %d, the last change was at %d: %w", ErrUnsettled, name, seen.Load(), t.last.Load(), context.Cause(ctx))
			}
		}
	}
	return nil
}

// Stop ends everything at once; writes that are under way are recorded as of
// unknown fate. It may be called twice.
func (t *Traffic) Stop() {
	t.calming.Do(func() { close(t.calm) })
	t.quieting.Do(func() { close(t.quiet) })
	t.cancel()
	t.changers.Wait()
	t.questions.Wait()
	t.streams.Wait()
	t.closing.Do(func() {
		for _, cl := range t.clients {
			// Nothing can be done about one that does not close.
			_ = cl.Close()
		}
	})
}

var errWaiting = errors.New("waited in vain")

// wait waits for a group, or for the end of the context.
func wait(ctx context.Context, group *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errWaiting, context.Cause(ctx))
	}
}
