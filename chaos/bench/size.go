package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/argosy-cluster/argosy/chaos/cluster"
	"github.com/argosy-cluster/argosy/chaos/wait"
	"github.com/argosy-cluster/argosy/client"
	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

// Of a large state: how many workloads of 1 KB, and how many in one request.
const (
	largeState = 50_000
	largeBatch = 500
)

// measureSize measures what a large state costs: snapshots under writes, a
// restart, a new server.
func measureSize(ctx context.Context, s *suite) error {
	dir, clean, err := s.dir("size")
	if err != nil {
		return err
	}
	defer clean()
	// So many requests that snapshots are worthwhile again and again.
	o, err := s.startOutages(ctx, cluster.Config{Dir: dir, ServerArgs: []string{"--snapshot-threshold", "500"}})
	if err != nil {
		return err
	}
	defer o.close()
	size := largeState
	if s.config.Quick {
		size /= 10
	}
	if err := o.grow(ctx, size); err != nil {
		return err
	}
	if err := o.level(ctx); err != nil {
		return err
	}
	for _, measure := range []func(context.Context, int) error{o.snapshots, o.restarts, o.newcomer} {
		if err := measure(ctx, size); err != nil {
			return err
		}
	}
	return nil
}

// grow fills the state.
func (o *outages) grow(ctx context.Context, size int) error {
	for from := 0; from < size; from += largeBatch {
		request := &argosyv1.ApplyRequest{}
		for n := range largeBatch {
			request.Workloads = append(request.Workloads, &argosyv1.Workload{Name: fmt.Sprintf("large-%d", from+n), Runtime: "process", RuntimeConfig: fmt.Sprint(payload, n)})
		}
		if _, err := o.client.Apply(ctx, request); err != nil {
			return err
		}
	}
	return nil
}

// snapshots writes until every server has taken a snapshot, and compares the
// longest gap between acknowledgements while one was being written with the
// longest of the rest.
func (o *outages) snapshots(ctx context.Context, size int) error {
	bounded, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	stop := o.writer.start(ctx)
	defer stop()
	var group sync.WaitGroup
	took := make([]window, len(o.cluster.Servers))
	errs := make([]error, len(took))
	for i, p := range o.cluster.Servers {
		group.Go(func() { took[i], errs[i] = nextSnapshot(bounded, p) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if _, err := o.writer.next(ctx, time.Now().Add(100*time.Millisecond)); err != nil {
		return err
	}
	during, apart := o.writer.gaps(took)
	var length time.Duration
	for _, w := range took {
		length = max(length, w.to.Sub(w.from))
	}
	o.suite.add(fmt.Sprintf("%d workloads of 1 KB: longest gap between acknowledged writes while a snapshot is written, one of each server", size), milliseconds(during), "ms", atMost(20))
	o.suite.add(fmt.Sprintf("%d workloads of 1 KB: longest gap between acknowledged writes apart from that", size), milliseconds(apart), "ms", nil)
	o.suite.add(fmt.Sprintf("%d workloads of 1 KB: a snapshot is written in at most", size), milliseconds(length), "ms", nil)
	return nil
}

// window is a time during which something was done.
type window struct{ from, to time.Time }

// nextSnapshot waits until a server has written its next snapshot.
func nextSnapshot(ctx context.Context, p *cluster.Process) (window, error) {
	dir := filepath.Join(p.DataDir, "raft", "snapshots")
	var w window
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return w, fmt.Errorf("look for snapshots: %w", err)
		}
		writing := false
		for _, entry := range entries {
			writing = writing || strings.HasSuffix(entry.Name(), ".tmp")
		}
		switch {
		case writing && w.from.IsZero():
			w.from = time.Now()
		case !writing && !w.from.IsZero():
			w.to = time.Now()
			return w, nil
		}
		if err := wait.For(ctx, 2*time.Millisecond); err != nil {
			return w, fmt.Errorf("wait for a snapshot of %s: %w", p.Name, err)
		}
	}
}

// gaps returns the longest time between two acknowledgements within the windows
// and apart from them.
func (w *writer) gaps(windows []window) (during, apart time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 1; i < len(w.acks); i++ {
		from, to := w.acks[i-1], w.acks[i]
		within := false
		for _, each := range windows {
			// What is seen of a snapshot begins a little after it does.
			within = within || to.After(each.from.Add(-20*time.Millisecond)) && from.Before(each.to)
		}
		if within {
			during = max(during, to.Sub(from))
		} else {
			apart = max(apart, to.Sub(from))
		}
	}
	return during, apart
}

// restarts measures how soon a server that was killed answers a linearizable
// read by itself again.
func (o *outages) restarts(ctx context.Context, size int) error {
	var took sample
	for n := range 2 * len(o.cluster.Servers) {
		p := o.cluster.Servers[n%len(o.cluster.Servers)]
		if err := p.Kill(); err != nil {
			return err
		}
		begin := time.Now()
		if err := p.Start(); err != nil {
			return err
		}
		if err := o.answers(ctx, p); err != nil {
			return err
		}
		took = append(took, time.Since(begin))
		if err := o.level(ctx); err != nil {
			return err
		}
	}
	o.suite.add(fmt.Sprintf("%d workloads of 1 KB: a killed server's start to its first linearizable read, max of %d", size, len(took)), took.max().Seconds(), "s", atMost(5))
	return nil
}

// answers waits until a server, and no other, answers a linearizable read.
func (o *outages) answers(ctx context.Context, p *cluster.Process) error {
	c, err := o.cluster.Client(client.Config{Endpoints: []string{p.Endpoint()}})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_, err = c.GetWorkload(ctx, &argosyv1.GetWorkloadRequest{Name: "large-0"})
	return err
}

// newcomer measures how soon a new server has everything and votes.
func (o *outages) newcomer(ctx context.Context, size int) error {
	bounded, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	p, err := o.cluster.AddServer(false)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := p.Start(); err != nil {
		return err
	}
	if err := o.answers(bounded, p); err != nil {
		return err
	}
	caughtUp := time.Since(begin)
	for {
		status, err := o.client.Status(bounded)
		if err == nil && int(status.GetVoters()) == len(o.cluster.Servers) {
			break
		}
		if err := wait.For(bounded, 20*time.Millisecond); err != nil {
			return fmt.Errorf("wait until the new server votes: %w", err)
		}
	}
	o.suite.add(fmt.Sprintf("%d workloads of 1 KB: a new server's start to its first linearizable read", size), caughtUp.Seconds(), "s", atMost(15))
	o.suite.add(fmt.Sprintf("%d workloads of 1 KB: a new server's start to its vote", size), time.Since(begin).Seconds(), "s", nil)
	return nil
}
