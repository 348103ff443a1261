package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// load counts upwards through a cluster: each writer has a counter of its own,
// and every write expects the revision of the one before. A write that was lost
// or carried out twice makes the next one a conflict. Readers read linearizably
// at every server, and a watch follows along.
type load struct {
	t        *testing.T
	counters []counter
	acks     atomic.Int64
	reads    atomic.Int64
	stop     chan struct{}
	writers  sync.WaitGroup
	readers  sync.WaitGroup
	cancel   context.CancelFunc
	watched  *watched
	endpoint map[*cluster.Process]*client.Client

	mu     sync.Mutex
	wrongs []string
}

// counter is what one writer has been told.
type counter struct {
	name            string
	value, revision atomic.Uint64
}

func counterName(i int) string { return fmt.Sprintf("counter-%d", i) }

func startLoad(t *testing.T, c *cluster.Cluster, writers int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, counters: make([]counter, writers), stop: make(chan struct{}), cancel: cancel, endpoint: map[*cluster.Process]*client.Client{}}
	l.watched = &watched{load: l, values: map[string]uint64{}}
	endpoints := c.Endpoints()
	for i := range writers {
		l.counters[i].name = counterName(i)
		first := i % len(endpoints)
		cl := mustClient(t, c, append(append([]string{}, endpoints[first:]...), endpoints[:first]...)...)
		l.writers.Go(func() { l.write(ctx, cl, &l.counters[i]) })
	}
	for _, p := range c.Servers {
		cl := mustClient(t, c, p.Endpoint())
		l.endpoint[p] = cl
		for i := range 2 {
			l.readers.Go(func() { l.readAlong(ctx, cl, i) })
		}
	}
	cl := mustClient(t, c)
	l.readers.Go(func() { l.watched.follow(ctx, cl) })
	t.Cleanup(func() { cancel(); l.writers.Wait(); l.readers.Wait() })
	return l
}

func (l *load) wrong(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrongs = append(l.wrongs, fmt.Sprintf(format, args...))
}

// check fails the test when something was wrong so far.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.wrongs {
		t.Error(text)
	}
	if len(l.wrongs) > 0 {
		t.FailNow()
	}
}

func (l *load) write(ctx context.Context, cl *client.Client, own *counter) {
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
func (l *load) readAlong(ctx context.Context, cl *client.Client, i int) {
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
func (l *load) read(ctx context.Context, cl *client.Client, of *counter) error {
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

// mustGoOn waits until many more writes were acknowledged.
func (l *load) mustGoOn(t *testing.T) {
	t.Helper()
	from := l.acks.Load()
	eventually(t, "writes to go on", func() error {
		l.check(t)
		return when(l.acks.Load() >= from+100, "%d writes were acknowledged", l.acks.Load()-from)
	})
}

// mustEnd lets the writers finish and compares what they were told with what is
// there, and with what the watch saw.
func (l *load) mustEnd(t *testing.T, cl *client.Client) {
	t.Helper()
	close(l.stop)
	l.writers.Wait()
	l.check(t)
	there := map[string]*argosyv1.Workload{}
	for _, w := range mustState(t, cl).GetWorkloads() {
		there[w.GetName()] = w
	}
	for i := range l.counters {
		c := &l.counters[i]
		w := there[c.name]
		if w.GetRuntimeConfig() != strconv.FormatUint(c.value.Load(), 10) || w.GetRevision() != c.revision.Load() {
			t.Errorf("%s was acknowledged as %d at revision %d, there is %q at revision %d", c.name, c.value.Load(), c.revision.Load(), w.GetRuntimeConfig(), w.GetRevision())
		}
	}
	eventually(t, "the watch to catch up", func() error { l.check(t); return l.watched.level() })
	l.cancel()
	l.readers.Wait()
	l.check(t)
	t.Logf("%d writes, %d reads", l.acks.Load(), l.reads.Load())
}

// watched is what a watch has shown.
type watched struct {
	load   *load
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
	if !strings.HasPrefix(workload.GetName(), "counter-") {
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
		if err := when(w.values[c.name] == c.value.Load(), "%s was shown as %d, it is %d", c.name, w.values[c.name], c.value.Load()); err != nil {
			return err
		}
	}
	return nil
}
