// Package load writes to a cluster, reads from it and watches it while faults are
// done to it, and says what was wrong.
//
// The invariant it protects: a write that was acknowledged and is not there, one
// that was carried out twice, a linearizable read that is older than what was
// acknowledged before it began, and a watch that goes back are each found, by
// arithmetic alone.
package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Load counts upwards through a cluster: each writer has a counter of its own,
// and every write expects the revision of the one before. A write that was lost
// or carried out twice makes the next one a conflict. Readers read linearizably
// at every server, and a watch follows along.
type Load struct {
	counters []counter
	acks     atomic.Int64
	reads    atomic.Int64
	stop     chan struct{}
	stopping sync.Once
	writers  sync.WaitGroup
	readers  sync.WaitGroup
	cancel   context.CancelFunc
	watched  *watched
	clients  []*client.Client
	at       map[*cluster.Process]*client.Client

	mu     sync.Mutex
	wrongs []error
}

// counterPrefix begins the names of all counters.
const counterPrefix = "counter-"

// counter is what one writer has been told.
type counter struct {
	name            string
	value, revision atomic.Uint64
}

// Start starts writers, each with its own preferred server, two readers at each
// server, and a watch. Writers beyond the number of servers share the clients of
// the first ones, which then write at once, on one stream. Any call may take as
// long as patience.
func Start(ctx context.Context, c *cluster.Cluster, writers int, patience time.Duration) (*Load, error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{counters: make([]counter, writers), stop: make(chan struct{}), cancel: cancel, at: map[*cluster.Process]*client.Client{}}
	l.watched = &watched{load: l, values: map[string]uint64{}}
	connect := func(endpoints ...string) (*client.Client, error) {
		cl, err := c.Client(client.Config{Endpoints: endpoints, Timeout: patience})
		if err == nil {
			l.clients = append(l.clients, cl)
		}
		return cl, err
	}
	endpoints := c.Endpoints()
	for i := range writers {
		l.counters[i].name = fmt.Sprint(counterPrefix, i)
		if i < len(endpoints) {
			if _, err := connect(append(append([]string{}, endpoints[i:]...), endpoints[:i]...)...); err != nil {
				l.Stop()
				return nil, err
			}
		}
		cl := l.clients[i%len(endpoints)]
		l.writers.Go(func() { l.write(ctx, cl, &l.counters[i]) })
	}
	for _, p := range c.Servers {
		cl, err := connect(p.Endpoint())
		if err != nil {
			l.Stop()
			return nil, err
		}
		l.at[p] = cl
		for i := range 2 {
			l.readers.Go(func() { l.readAlong(ctx, cl, i) })
		}
	}
	cl, err := connect()
	if err != nil {
		l.Stop()
		return nil, err
	}
	l.readers.Go(func() { l.watched.follow(ctx, cl) })
	return l, nil
}

// Stop ends everything at once. It may be called twice.
func (l *Load) Stop() {
	l.cancel()
	l.writers.Wait()
	l.readers.Wait()
	for _, cl := range l.clients {
		// The error says that it is closed already.
		_ = cl.Close()
	}
}

func (l *Load) wrong(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrongs = append(l.wrongs, fmt.Errorf(format, args...))
}

// Wrong returns what was wrong so far.
func (l *Load) Wrong() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.wrongs...)
}

// Acknowledged returns how many writes were acknowledged so far.
func (l *Load) Acknowledged() int64 { return l.acks.Load() }

// Reads returns how many reads were answered so far.
func (l *Load) Reads() int64 { return l.reads.Load() }

// Names returns the names of the workloads that are written.
func (l *Load) Names() []string {
	var names []string
	for i := range l.counters {
		names = append(names, l.counters[i].name)
	}
	return names
}

// Read makes one linearizable read at one server, of the counter of a number.
// What is wrong with it is kept; the error says that it was not answered.
func (l *Load) Read(ctx context.Context, p *cluster.Process, number int) error {
	return l.read(ctx, l.at[p], &l.counters[number%len(l.counters)])
}

func (l *Load) write(ctx context.Context, cl *client.Client, own *counter) {
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		value := own.value.Load() + 1
		request := &argosyv1.ApplyRequest{
			RequestId: client.NewRequestID(), ExpectedRevision: own.revision.Load(), MustNotExist: own.revision.Load() == 0,
			Workloads: []*argosyv1.Workload{{Name: own.name, Runtime: "process", RuntimeConfig: strconv.FormatUint(value, 10)}},
		}
		response, err := cl.Apply(ctx, request)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.wrong("%s could not be set to %d: %v", own.name, value, err)
			return
		}
		if response.GetHeader().GetRevision() <= own.revision.Load() {
			l.wrong("%s was set to %d at revision %d, to %d at revision %d", own.name, value-1, own.revision.Load(), value, response.GetHeader().GetRevision())
		}
		own.revision.Store(response.GetHeader().GetRevision())
		own.value.Store(value)
		l.acks.Add(1)
	}
}

// readAlong reads at one server, over and over, whatever becomes of it.
func (l *Load) readAlong(ctx context.Context, cl *client.Client, i int) {
	for n := i; ctx.Err() == nil; n++ {
		try, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := l.read(try, cl, &l.counters[n%len(l.counters)])
		cancel()
		if err == nil {
			l.reads.Add(1)
			continue
		}
		// A server that is down is asked again soon.
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// read makes one linearizable read. Whatever was acknowledged before it began
// must be in the answer.
func (l *Load) read(ctx context.Context, cl *client.Client, of *counter) error {
	least := of.value.Load()
	response, err := cl.GetWorkload(ctx, &argosyv1.GetWorkloadRequest{Name: of.name})
	if argosyv1.CodeOf(err) == argosyv1.ErrorCode_ERROR_CODE_NOT_FOUND && least > 0 {
		l.wrong("%s was not there after it had been set to %d", of.name, least)
	}
	if err != nil {
		return err
	}
	value, err := strconv.ParseUint(response.GetWorkload().GetRuntimeConfig(), 10, 64)
	if err != nil || value < least {
		l.wrong("%s was read as %q after it had been set to %d: a stale read, answered by %s", of.name, response.GetWorkload().GetRuntimeConfig(), least, response.GetHeader().GetServerId())
	}
	return nil
}

// End lets the writers finish, compares what they were told with what is there,
// and with what the watch saw, and returns all that was wrong.
func (l *Load) End(ctx context.Context) error {
	defer l.Stop()
	l.stopping.Do(func() { close(l.stop) })
	l.writers.Wait()
	state, err := l.clients[len(l.clients)-1].GetState(ctx, &argosyv1.GetStateRequest{OmitStates: true, OmitAgents: true})
	if err != nil {
		return errors.Join(l.Wrong(), err)
	}
	there := map[string]*argosyv1.Workload{}
	for _, w := range state.GetWorkloads() {
		there[w.GetName()] = w
	}
	for i := range l.counters {
		c := &l.counters[i]
		w := there[c.name]
		if w.GetRuntimeConfig() != strconv.FormatUint(c.value.Load(), 10) || w.GetRevision() != c.revision.Load() {
			l.wrong("%s was acknowledged as %d at revision %d, there is %q at revision %d", c.name, c.value.Load(), c.revision.Load(), w.GetRuntimeConfig(), w.GetRevision())
		}
	}
	for l.Wrong() == nil && l.watched.level() != nil {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			l.wrong("the watch does not catch up: %w", l.watched.level())
		}
	}
	l.Stop()
	return l.Wrong()
}

// watched is what a watch has shown.
type watched struct {
	load   *Load
	mu     sync.Mutex
	values map[string]uint64
}

func (w *watched) follow(ctx context.Context, cl *client.Client) {
	err := cl.Watch(ctx, &argosyv1.WatchRequest{OmitObserved: true}, func(message *argosyv1.WatchResponse) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, workload := range message.GetWorkloads() {
			w.take(workload)
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		w.load.wrong("the watch ended: %v", err)
	}
}

// take checks that a counter is shown counting: nothing twice, nothing again.
func (w *watched) take(workload *argosyv1.Workload) {
	if !strings.HasPrefix(workload.GetName(), counterPrefix) {
		// Somebody else's.
		return
	}
	value, err := strconv.ParseUint(workload.GetRuntimeConfig(), 10, 64)
	if seen := w.values[workload.GetName()]; err != nil || value < seen {
		w.load.wrong("the watch showed %s as %q after %d", workload.GetName(), workload.GetRuntimeConfig(), seen)
	}
	w.values[workload.GetName()] = value
}

// level returns nil when the watch has shown the last value of every counter.
func (w *watched) level() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.load.counters {
		c := &w.load.counters[i]
		if w.values[c.name] != c.value.Load() {
			return fmt.Errorf("%s was shown as %d, it is %d", c.name, w.values[c.name], c.value.Load())
		}
	}
	return nil
}
